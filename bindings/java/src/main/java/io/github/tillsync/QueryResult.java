package io.github.tillsync;

import java.util.List;
import java.util.Map;

/**
 * What a statement came to.
 *
 * @param columns their names, in order
 * @param rows all of them: use {@code LIMIT}
 * @param changes what the statement itself inserted, changed or deleted
 */
public record QueryResult(List<String> columns, List<Row> rows, long changes) {
    @SuppressWarnings("unchecked")
    static QueryResult of(Map<String, Object> told) {
        List<String> columns = (List<String>) told.get("columns");
        List<Row> rows = ((List<List<Object>>) told.get("rows")).stream().map(row -> new Row(columns, row)).toList();
        return new QueryResult(columns, rows, Json.count(told, "changes"));
    }
}
