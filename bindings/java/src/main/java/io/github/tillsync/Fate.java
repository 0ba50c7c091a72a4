package io.github.tillsync;

import java.time.Instant;
import java.util.Locale;
import java.util.Map;

/**
 * What became of the edits of a receipt.
 *
 * @param kind the worst of them
 * @param dateModified when the store last changed the customer, by its own clock; null: it does not tell
 * @param customerId of what was rejected or is in conflict; of one who was made, the store's id, or who was deleted; else null
 * @param field of what was rejected or is in conflict; else null
 * @param reason the store's words; null: none
 */
public record Fate(Kind kind, Instant dateModified, Long customerId, String field, String reason) {
    /** What became of edits. */
    public enum Kind {
        /** They wait, or are on their way. */
        PENDING,
        /** The store has them. */
        UPLOADED,
        /** The store refused one; it waits for a person. */
        REJECTED,
        /** The store was changed too; it waits for a person. */
        IN_CONFLICT,
        /** The store has made the customer whom they entered. */
        CREATED,
        /** The store has deleted the customer whom they deleted. */
        DELETED,
        /** Later edits, or the store's value, took their place. */
        SUPERSEDED,
        /** The store had the same already. */
        UNCHANGED,
        /** A person gave them up. */
        GIVEN_UP,
    }

    static Fate of(Map<String, Object> told) {
        return new Fate(
            Kind.valueOf(Json.text(told, "fate").toUpperCase(Locale.ROOT)),
            Json.moment(told, "date_modified"),
            Json.whole(told, "customer_id"),
            Json.text(told, "field"),
            Json.text(told, "reason"));
    }
}
