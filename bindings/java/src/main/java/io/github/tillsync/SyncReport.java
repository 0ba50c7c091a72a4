package io.github.tillsync;

import java.util.Map;

/**
 * What a push or a sync did. What is left waits in the file: {@link Till#toDecide()} lists it.
 *
 * @param pulled customers that came in
 * @param uploadedFields attributes that the store took
 * @param uploadedCustomers customers that they are of
 * @param rejected edits that the store refused, open at its end
 * @param conflicts attributes that wait for a decision, open at its end
 * @param heldUp customers that a trigger of the app held up
 * @param document all that was said
 */
public record SyncReport(
    long pulled,
    long uploadedFields,
    long uploadedCustomers,
    long rejected,
    long conflicts,
    long heldUp,
    Map<String, Object> document) {

    /**
     * Whether nothing waits for a person.
     *
     * @return whether nothing does
     */
    public boolean isSuccessful() {
        return rejected == 0 && conflicts == 0 && heldUp == 0;
    }

    static SyncReport of(Map<String, Object> told) {
        return new SyncReport(
            Json.count(told, "pulled"),
            Json.count(told, "uploaded_fields"),
            Json.count(told, "uploaded_customers"),
            Json.count(told, "rejected"),
            Json.count(told, "conflicts"),
            Json.count(told, "held_up"),
            told);
    }
}
