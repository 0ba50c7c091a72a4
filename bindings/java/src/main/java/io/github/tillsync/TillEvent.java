package io.github.tillsync;

import java.util.Map;

/**
 * Something happened. It holds no value of a customer: that is read from the file.
 *
 * @param name as {@code docs/embedding.md} has it: {@code edit_uploaded}, {@code sync_finished}, …
 * @param customerId to whom; null: to nobody
 * @param field to which attribute; null: to none
 * @param seq to which edit; null: to none
 * @param document all that was said
 */
public record TillEvent(String name, Long customerId, String field, Long seq, Map<String, Object> document) {
    static TillEvent of(Map<String, Object> said) {
        return new TillEvent(
            Json.text(said, "event"), Json.whole(said, "customer_id"), Json.text(said, "field"), Json.whole(said, "seq"), said);
    }
}
