package io.github.tillsync;

import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** A row: a value is a {@code Long}, a {@code Double}, a {@code String}, a {@code byte[]}, or null. */
public final class Row {
    private final List<String> columns;
    private final List<Object> values;

    Row(List<String> columns, List<Object> values) {
        this.columns = columns;
        this.values = values;
    }

    /**
     * Of a column by its place.
     *
     * @param column from 0 on
     * @return its value
     */
    public Object get(int column) {
        Object value = values.get(column);
        return value instanceof Map<?, ?> blob ? HexFormat.of().parseHex((String) blob.get("hex")) : value;
    }

    /**
     * Of a column by its name.
     *
     * @param column as the statement calls it
     * @return its value
     */
    public Object get(String column) {
        int place = columns.indexOf(column);
        if (place < 0) throw TillException.usage("there is no column " + column, "there are " + String.join(", ", columns));
        return get(place);
    }

    String text(String column) {
        return (String) get(column);
    }

    Long whole(String column) {
        return (Long) get(column);
    }

    long count(String column) {
        return whole(column);
    }

    Boolean flag(String column) {
        return whole(column) == null ? null : Boolean.valueOf(whole(column) != 0);
    }

    Instant moment(String column) {
        return Json.moment(text(column));
    }

    Object json(String column) {
        return text(column) == null ? null : Json.read(text(column));
    }

    <T> List<T> list(String column, Function<Object, T> item) {
        return json(column) instanceof List<?> items ? items.stream().map(one -> item.apply(one)).toList() : null;
    }
}
