package io.github.tillsync;

import java.time.Instant;
import java.util.Map;

/**
 * What waits, and how the sync stands.
 *
 * @param pendingFields attributes that the next sync sends
 * @param pendingCustomers customers that they are of
 * @param rejected edits that the store refused
 * @param conflicts attributes that both sides changed
 * @param unsent edits that are in this file alone: while there are any it must not be thrown away
 * @param snapshotCustomers customers of the file
 * @param storeHash whose file it is; null: it has met no store yet
 * @param lastPullAt when the last pull was complete
 * @param lastPushAt when the last upload was
 * @param syncState {@code idle}, {@code syncing}, {@code offline}, {@code refused} (token, scope, store hash), {@code failed}
 * @param lastError why the last sync failed; null: it did not
 * @param lastSuccessAt when one last went well
 * @param nextTryAt when the worker tries again after a failure
 * @param workerAlive whether a worker of any process keeps the file in step
 * @param workerPaused whether that worker was told to pause: it syncs only when it is asked
 * @param document all that was said, as the command's {@code status --json} has it
 */
public record Status(
    long pendingFields,
    long pendingCustomers,
    long rejected,
    long conflicts,
    long unsent,
    long snapshotCustomers,
    String storeHash,
    Instant lastPullAt,
    Instant lastPushAt,
    String syncState,
    TillException lastError,
    Instant lastSuccessAt,
    Instant nextTryAt,
    boolean workerAlive,
    boolean workerPaused,
    Map<String, Object> document) {

    static Status of(Map<String, Object> told) {
        Map<String, Object> sync = Json.inner(told, "sync");
        Map<String, Object> error = Json.inner(sync, "last_error");
        return new Status(
            Json.count(told, "pending_fields"),
            Json.count(told, "pending_customers"),
            Json.count(told, "rejected"),
            Json.count(told, "conflicts"),
            Json.count(told, "unsent"),
            Json.count(told, "snapshot_customers"),
            Json.text(told, "store_hash"),
            Json.moment(told, "last_pull_at"),
            Json.moment(told, "last_push_at"),
            Json.text(sync, "state"),
            error == null ? null : TillException.of(error),
            Json.moment(sync, "last_success_at"),
            Json.moment(sync, "next_try_at"),
            Json.isTrue(sync, "worker_alive"),
            Json.isTrue(sync, "worker_paused"),
            told);
    }
}
