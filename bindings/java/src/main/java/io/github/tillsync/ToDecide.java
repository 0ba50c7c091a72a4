package io.github.tillsync;

import java.time.Instant;
import java.util.Locale;

/**
 * Something that waits for a person, as it was shown: a decision about it covers nothing newer.
 *
 * @param kind which kind of thing
 * @param id of the conflict, or the edit's {@code seq}
 * @param customerId whose attribute
 * @param field which
 * @param base what both sides began with; of an edit, what it changed
 * @param local the till's
 * @param remote the store's
 * @param reason the store's words
 * @param since when it was found, or edited
 * @param author whose edit it is
 * @param seen its name as it was shown: when a side moves on, so does the name
 */
public record ToDecide(
    Kind kind,
    long id,
    long customerId,
    String field,
    Object base,
    Object local,
    Object remote,
    String reason,
    Instant since,
    String author,
    String seen) {

    /** What a person is to decide. */
    public enum Kind {
        /** Both sides changed it. */
        CONFLICT,
        /** The store refused it. */
        REJECTED,
        /** It waits, and no conflict of it is open. */
        HELD,
    }

    static final String SQL =
        "SELECT kind, id, customer_id, field, base, local, remote, reason, since, author, seen FROM to_decide";

    static ToDecide of(Row row) {
        return new ToDecide(
            Kind.valueOf(row.text("kind").toUpperCase(Locale.ROOT)),
            row.count("id"),
            row.count("customer_id"),
            row.text("field"),
            row.json("base"),
            row.json("local"),
            row.json("remote"),
            row.text("reason"),
            row.moment("since"),
            row.text("author"),
            row.text("seen"));
    }
}
