-- For an app's screens. Both follow what is unsettled, which an index holds, however many customers there are.

-- One row for each customer of whom anything waits; nobody else has one. The states, the worst first: `conflict` (a person must
-- decide), `rejected` (the store refused), `held_up` (something of the app's refuses what came from the store), `in_flight` (on its
-- way), `pending` (the next sync sends it).
-- In three parts, for a condition on `id` to reach the index of each: who has edits, who has nothing but a conflict, and who has
-- neither and is held up.
CREATE VIEW customer_state (id, state, pending_fields, rejected, in_conflict, since, held_up) AS
    SELECT customer_id,
           CASE WHEN max(coalesce(outcome = 'held', 0)) THEN 'conflict'
                WHEN max(coalesce(outcome = 'rejected', 0)) THEN 'rejected'
                WHEN EXISTS (SELECT 1 FROM tillsync_held_up AS h WHERE h.customer_id = j.customer_id) THEN 'held_up'
                WHEN max(coalesce(outcome = 'in_flight', 0)) THEN 'in_flight'
                ELSE 'pending' END,
           count(DISTINCT CASE coalesce(outcome, 'in_flight') WHEN 'in_flight' THEN {what} END),
           count(DISTINCT CASE outcome WHEN 'rejected' THEN {what} END),
           (SELECT count(*) FROM conflict AS c WHERE c.customer_id = j.customer_id AND c.resolution IS NULL),
           min(min(at), coalesce((SELECT since FROM tillsync_held_up AS h WHERE h.customer_id = j.customer_id), min(at))),
           EXISTS (SELECT 1 FROM tillsync_held_up AS h WHERE h.customer_id = j.customer_id)
    FROM journal AS j
    WHERE settled_at IS NULL
    GROUP BY customer_id
    UNION ALL
    SELECT customer_id, 'conflict', 0, 0, count(*), min(detected_at),
           EXISTS (SELECT 1 FROM tillsync_held_up AS h WHERE h.customer_id = c.customer_id)
    FROM conflict AS c
    WHERE resolution IS NULL
      AND NOT EXISTS (SELECT 1 FROM journal AS j WHERE j.customer_id = c.customer_id AND j.settled_at IS NULL)
    GROUP BY customer_id
    UNION ALL
    SELECT customer_id, 'held_up', 0, 0, 0, since, 1
    FROM tillsync_held_up AS h
    WHERE NOT EXISTS (SELECT 1 FROM journal AS j WHERE j.customer_id = h.customer_id AND j.settled_at IS NULL)
      AND NOT EXISTS (SELECT 1 FROM conflict AS c WHERE c.customer_id = h.customer_id AND c.resolution IS NULL);

-- One row: how it stands with the syncs, by the till's clock.
CREATE VIEW sync_state (state, since, last_pull_at, last_push_at, next_try_at, throttled_until, last_error, waiting, oldest_at, search) AS
    SELECT coalesce((SELECT value FROM state WHERE key = 'sync_state'), 'idle'),
           (SELECT value FROM state WHERE key = 'sync_since'),
           (SELECT value FROM state WHERE key = 'last_pull_at'),
           (SELECT value FROM state WHERE key = 'last_push_at'),
           (SELECT value FROM state WHERE key = 'next_try_at'),
           (SELECT value FROM state WHERE key = 'throttled_until' AND value > {now}),
           (SELECT value FROM state WHERE key = 'last_error'),
           count(DISTINCT customer_id || ' ' || {what}),
           min(at),
           CASE WHEN NOT EXISTS (SELECT 1 FROM state WHERE key = 'searched_through') THEN NULL
                WHEN EXISTS (SELECT 1 FROM state WHERE key = 'search_listed') THEN 'incomplete'
                WHEN EXISTS (SELECT 1 FROM tillsync_search_due) THEN 'incomplete'
                ELSE 'complete' END
    FROM journal
    WHERE settled_at IS NULL AND coalesce(outcome, 'in_flight') = 'in_flight';
