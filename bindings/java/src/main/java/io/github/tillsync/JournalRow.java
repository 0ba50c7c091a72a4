package io.github.tillsync;

import java.math.BigDecimal;
import java.time.Instant;

/**
 * An edit, and what became of it.
 *
 * @param seq its place
 * @param customerId whose attribute
 * @param field which
 * @param isAdjustment whether it adjusts the store credit; else it sets a value
 * @param value the new value; of an adjustment the signed amount, a {@code BigDecimal}
 * @param was the value before
 * @param at when it was made, by the till's clock
 * @param author who edited; null: nobody signed
 * @param label for what
 * @param allowedBy who allowed a payment to take the balance below the floor; null: nobody had to
 * @param outcome null: it is pending. {@code in_flight}, {@code rejected} and {@code held} wait, too; {@code uploaded}, {@code
 *     unchanged}, {@code superseded}, {@code discarded}, {@code remote} and {@code merged} are final
 * @param reason the store's words, or the engine's
 * @param settledAt when it became final
 */
public record JournalRow(
    long seq,
    long customerId,
    String field,
    boolean isAdjustment,
    Object value,
    Object was,
    Instant at,
    String author,
    String label,
    String allowedBy,
    String outcome,
    String reason,
    Instant settledAt) {

    static final String SQL =
        "SELECT seq, customer_id, field, op, value, was, at, author, label, allowed_by, outcome, reason, settled_at FROM journal";

    static JournalRow of(Row row) {
        boolean isAdjustment = "adjust".equals(row.text("op"));
        Object value = row.json("value");
        return new JournalRow(
            row.count("seq"),
            row.count("customer_id"),
            row.text("field"),
            isAdjustment,
            isAdjustment ? new BigDecimal((String) value) : value,
            row.json("was"),
            row.moment("at"),
            row.text("author"),
            row.text("label"),
            row.text("allowed_by"),
            row.text("outcome"),
            row.text("reason"),
            row.moment("settled_at"));
    }
}
