package io.github.tillsync;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * The app's own rows and the edits, together or not at all. Made by {@link Till#transaction(Work)}; it belongs to the thread that
 * began it.
 */
public final class Transaction {
    /**
     * What is done in one.
     *
     * @param <E> what it may throw besides; then nothing of it was done
     */
    @FunctionalInterface
    public interface Work<E extends Exception> {
        /**
         * Does it.
         *
         * @param sale the transaction
         * @throws E and nothing was done
         */
        void in(Transaction sale) throws E;
    }

    private final Till till;
    private final long after;

    Transaction(Till till, String author, String label) {
        this.till = till;
        after = newestEdit();
        sign(author, label);
    }

    /**
     * Sets attributes of one customer.
     *
     * @param customerId whose
     * @param changes which
     */
    public void set(long customerId, Changes changes) {
        Map<String, Object> attributes = changes.attributes();
        if (!attributes.isEmpty()) {
            String columns = attributes.keySet().stream().map(name -> "\"" + name + "\" = ?").collect(Collectors.joining(", "));
            List<Object> values = new ArrayList<>();
            attributes.values().forEach(value -> values.add(column(value)));
            values.add(customerId);
            if (query("UPDATE customer SET " + columns + " WHERE id = ?", values.toArray()).changes() == 0) throw nobody(customerId);
        }
        if (changes.password() == null) return;
        query("INSERT INTO password_change (customer_id, new_password) VALUES (?, ?)", customerId, changes.password());
    }

    /**
     * Adjusts the store credit by a signed amount, exactly.
     *
     * @param customerId whose
     * @param amount signed
     */
    public void credit(long customerId, BigDecimal amount) {
        query("INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (?, ?)", customerId, amount);
    }

    /**
     * The same, also below the file's floor.
     *
     * @param customerId whose
     * @param amount signed
     * @param allowedBy who allows it; the journal says so
     */
    public void creditAllowedBy(long customerId, BigDecimal amount, String allowedBy) {
        query(
            "INSERT INTO store_credit_override (customer_id, amount, allowed_by) VALUES (?, ?, ?)", customerId, amount, allowedBy);
    }

    /**
     * Plain SQL, of the app's own tables too. A BigDecimal is bound as text.
     *
     * @param sql one statement
     * @param parameters for each {@code ?}
     * @return its rows
     */
    public QueryResult query(String sql, Object... parameters) {
        return till.query(sql, parameters);
    }

    /** Takes the signature back, and tells which edits were made. */
    Receipt end() {
        Receipt receipt = new Receipt(after, newestEdit());
        sign(null, null);
        return receipt;
    }

    private long newestEdit() {
        return (Long) query("SELECT coalesce(max(seq), 0) FROM journal").rows().get(0).get(0);
    }

    private void sign(String author, String label) {
        query("UPDATE edit_context SET author = ?, label = ?", author, label);
    }

    /** A value as its column has it. */
    private static Object column(Object value) {
        return value == null || value instanceof String || value instanceof Boolean || value instanceof Long ? value : Json.write(value);
    }

    private static TillException nobody(long customerId) {
        String hint = "pull first, or look for the customer with find";
        return new RefusedException("unknown_customer", "customer " + customerId + " is not in this file", hint, customerId, null, null);
    }
}
