package io.github.tillsync;

import java.util.Map;

/**
 * Edits, by their places in the journal. May be kept, and asked for later.
 *
 * @param after the newest edit before them
 * @param upTo the last of them
 */
public record Receipt(long after, long upTo) {
    static Receipt of(Map<String, Object> told) {
        return new Receipt(Json.count(told, "after"), Json.count(told, "up_to"));
    }

    Map<String, Object> document() {
        return Json.document("after", after, "up_to", upTo);
    }
}
