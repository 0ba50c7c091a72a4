-- For an app's screens. Both follow what is unsettled, which an index holds, however many customers there are.

-- One row for each customer of whom anything waits; nobody else has one. The states, the worst first: `conflict` (a person must
-- decide), `rejected` (the store refused), `in_flight` (on its way), `pending` (the next sync sends it).
-- In two parts, for a condition on `id` to reach the index of each: who has edits, and who has nothing but a conflict.
CREATE VIEW customer_state (id, state, pending_fields, rejected, in_conflict, since) AS
    SELECT customer_id,
           CASE WHEN max(coalesce(outcome = 'held', 0)) THEN 'conflict'
                WHEN max(coalesce(outcome = 'rejected', 0)) THEN 'rejected'
                WHEN max(coalesce(outcome = 'in_flight', 0)) THEN 'in_flight'
                ELSE 'pending' END,
           count(DISTINCT CASE coalesce(outcome, 'in_flight') WHEN 'in_flight' THEN field END),
           count(DISTINCT CASE outcome WHEN 'rejected' THEN field END),
           (SELECT count(*) FROM conflict AS c WHERE c.customer_id = j.customer_id AND c.resolution IS NULL),
           min(at)
    FROM journal AS j
    WHERE settled_at IS NULL
    GROUP BY customer_id
    UNION ALL
    SELECT customer_id, 'conflict', 0, 0, count(*), min(detected_at)
    FROM conflict AS c
    WHERE resolution IS NULL
      AND NOT EXISTS (SELECT 1 FROM journal AS j WHERE j.customer_id = c.customer_id AND j.settled_at IS NULL)
    GROUP BY customer_id;

-- One row: how it stands with the syncs, by the till's clock.
CREATE VIEW sync_state (state, since, last_pull_at, last_push_at, next_try_at, throttled_until, last_error, waiting, oldest_at) AS
    SELECT coalesce((SELECT value FROM state WHERE key = 'sync_state'), 'idle'),
           (SELECT value FROM state WHERE key = 'sync_since'),
           (SELECT value FROM state WHERE key = 'last_pull_at'),
           (SELECT value FROM state WHERE key = 'last_push_at'),
           (SELECT value FROM state WHERE key = 'next_try_at'),
           (SELECT value FROM state WHERE key = 'throttled_until' AND value > {now}),
           (SELECT value FROM state WHERE key = 'last_error'),
           count(DISTINCT customer_id || ' ' || field),
           min(at)
    FROM journal
    WHERE settled_at IS NULL AND coalesce(outcome, 'in_flight') = 'in_flight';
