-- What waits for a person, a row for each thing that can be decided: fields that both sides changed (`conflict`), edits that the store
-- refused (`rejected`), and edits that are held without any conflict (`held`). `seen` names it as it is shown, to the last sign: what
-- moves on has another name. `own` is the word of a conflict without the row that it is of. A form field is named by its own values alone, for a row of the journal is about several.
-- What was set since a conflict was found waits with it, and is the till's value (`here`); what was paid since goes on top, and is not.
-- `json((…))`: SQLite does not promise that what comes out of a subquery is known to be JSON, and two of them may share the file.
CREATE VIEW to_decide (kind, id, customer_id, field, base, local, remote, reason, since, author, seen) AS
    SELECT 'conflict', id, customer_id, field, base, here, remote,
           (SELECT max(reason) FROM journal AS j
            WHERE {j is of c} AND j.settled_at IS NULL AND j.outcome = 'held' AND c.own NOT IN ('*', '+', '-')
              AND j.field = substr(c.own, 1, instr(c.own || '.', '.') - 1)),
           detected_at, author,
           json_array('conflict', id, base, here, remote,
                      json((SELECT json_group_array(seq)
                            FROM (SELECT j.seq
                                  FROM (SELECT max(seq) AS newest FROM journal
                                        WHERE customer_id = c.customer_id AND settled_at IS NULL AND outcome IS NULL
                                          AND field = '{money}' AND op = 'set') AS balance,
                                       journal AS j
                                  WHERE {j is of c} AND j.settled_at IS NULL
                                    AND (c.own IN ('*', '+', '-') OR j.field = c.own)
                                    AND (j.outcome = 'held'
                                         OR j.outcome IS NULL AND (j.op = 'set' OR j.seq < balance.newest))
                                  ORDER BY j.seq))))
    FROM (SELECT id, customer_id, of_resource, of_row, field, own, base, remote, detected_at, author,
                 coalesce(CASE
                     WHEN own = '*' THEN json_patch(local, (
                         SELECT nullif(json_group_object(field, json(value)), '{}')
                         FROM (SELECT field, value, max(seq) FROM journal AS j
                               WHERE {j is of c} AND settled_at IS NULL AND outcome IS NULL
                                 AND op = 'set' AND json_valid(value)
                               GROUP BY field)))
                     WHEN own GLOB '{entries}.*' THEN (
                         SELECT coalesce((SELECT {form value} FROM json_each(j.value) AS entry
                                          WHERE CASE entry.type WHEN 'object' THEN json_extract(entry.value, '$.name') END
                                                = substr(c.own, length('{entries}.') + 1)),
                                         'null')
                         FROM journal AS j
                         WHERE {j is of c} AND j.settled_at IS NULL AND j.outcome IS NULL
                           AND j.field = '{entries}' AND json_valid(j.value)
                         ORDER BY j.seq DESC LIMIT 1)
                     ELSE (
                         SELECT value FROM journal AS j
                         WHERE {j is of c} AND settled_at IS NULL AND outcome IS NULL
                           AND j.field = c.own AND op = 'set'
                         ORDER BY seq DESC LIMIT 1)
                 END, local) AS here
          FROM (SELECT c.*, {own} AS own FROM conflict AS c WHERE resolution IS NULL) AS c) AS c
    UNION ALL
    SELECT iif(outcome = 'held', 'held', 'rejected'), seq, customer_id, {what}, was, value, NULL, reason, at, author,
           json_array(iif(outcome = 'held', 'held', 'rejected'), seq)
    FROM journal AS j
    WHERE settled_at IS NULL
      AND (outcome = 'rejected'
           OR outcome = 'held' AND NOT EXISTS (
               SELECT 1 FROM conflict AS c
               WHERE {j is of c} AND c.resolution IS NULL
                 AND ({own} IN ('*', '+', '-') OR j.field = substr({own}, 1, instr({own} || '.', '.') - 1))));

CREATE TRIGGER tillsync_decision_insert BEFORE INSERT ON decision
BEGIN
    INSERT INTO tillsync_check_text SELECT NULL, 'decision: author', 0, NULL, NEW.author WHERE NEW.author IS NOT NULL;
    INSERT INTO tillsync_check_text SELECT NULL, 'decision: value', 0, NULL, NEW.value WHERE NEW.value IS NOT NULL;
    INSERT INTO tillsync_refusal
    SELECT 'decision', CASE
        WHEN NEW.outcome IS NOT NULL OR NEW.reason IS NOT NULL OR NEW.decided_at IS NOT NULL
            THEN 'what becomes of it is the library''s to say: give seen, keep, value and author'
        WHEN EXISTS (SELECT 1 FROM decision WHERE id = NEW.id) THEN 'there is one of that id: give none'
        WHEN NOT json_valid(NEW.seen) THEN 'seen is what to_decide shows'
        WHEN NOT EXISTS (SELECT 1 FROM to_decide
                         WHERE kind IS json_extract(NEW.seen, '$[0]') AND id IS json_extract(NEW.seen, '$[1]') AND seen IS NEW.seen)
            THEN 'what was seen has moved on, or is decided: look at to_decide again'
        WHEN NEW.keep NOT IN ('local', 'remote', 'value', 'retry', 'discard')
            THEN 'keep is one of local, remote, value, retry and discard'
        WHEN json_extract(NEW.seen, '$[0]') = 'conflict' AND NEW.keep = 'retry'
            THEN 'a conflict is decided by local, remote, value or discard'
        WHEN json_extract(NEW.seen, '$[0]') = 'rejected' AND NEW.keep NOT IN ('retry', 'discard')
            THEN 'a refused edit is decided by retry or discard'
        WHEN json_extract(NEW.seen, '$[0]') = 'held' AND NEW.keep <> 'discard'
            THEN 'an edit that is held without a conflict is decided by discard'
        WHEN (NEW.keep = 'value') <> (NEW.value IS NOT NULL) THEN 'a value belongs to keep = ''value'', and to nothing else'
        WHEN EXISTS (SELECT 1 FROM decision WHERE seen = NEW.seen AND outcome IS NULL)
            THEN 'there is a decision of it that waits: delete that one first'
    END;
END;
CREATE TRIGGER tillsync_decision_update BEFORE UPDATE ON decision WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: decision: is not changed: delete one that waits, and decide anew');
END;
CREATE TRIGGER tillsync_decision_delete BEFORE DELETE ON decision
WHEN OLD.outcome IS NOT NULL AND (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: decision: has been carried out');
END;

-- What is the engine's alone, and would be lost: conflicts, what is on its way, what may have arrived, new passwords; how far a pull has
-- come, below what no payment takes a balance, which payments are held; who is held up; how syncs went, and what schema the
-- file has. Not whom the search has yet to take in: a trigger there has FTS5 write a segment for each.
CREATE TRIGGER tillsync_conflict_insert BEFORE INSERT ON conflict WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: conflict: is decided through the table decision, or by resolve and discard');
END;
CREATE TRIGGER tillsync_conflict_update BEFORE UPDATE ON conflict WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: conflict: is decided through the table decision, or by resolve and discard');
END;
CREATE TRIGGER tillsync_conflict_delete BEFORE DELETE ON conflict WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: conflict: is decided through the table decision, or by resolve and discard');
END;
CREATE TRIGGER tillsync_batch_insert BEFORE INSERT ON batch WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: batch: is the engine''s alone');
END;
CREATE TRIGGER tillsync_batch_update BEFORE UPDATE ON batch WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: batch: is the engine''s alone');
END;
CREATE TRIGGER tillsync_batch_delete BEFORE DELETE ON batch WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: batch: is the engine''s alone');
END;
CREATE TRIGGER tillsync_batch_item_insert BEFORE INSERT ON batch_item WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: batch_item: is the engine''s alone');
END;
CREATE TRIGGER tillsync_batch_item_update BEFORE UPDATE ON batch_item WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: batch_item: is the engine''s alone');
END;
CREATE TRIGGER tillsync_batch_item_delete BEFORE DELETE ON batch_item WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: batch_item: is the engine''s alone');
END;
CREATE TRIGGER tillsync_state_insert BEFORE INSERT ON state WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: state: is the engine''s alone');
END;
CREATE TRIGGER tillsync_state_update BEFORE UPDATE ON state WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: state: is the engine''s alone');
END;
CREATE TRIGGER tillsync_state_delete BEFORE DELETE ON state WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: state: is the engine''s alone');
END;
CREATE TRIGGER tillsync_held_up_insert BEFORE INSERT ON tillsync_held_up WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_held_up: is the engine''s alone');
END;
CREATE TRIGGER tillsync_held_up_update BEFORE UPDATE ON tillsync_held_up WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_held_up: is the engine''s alone');
END;
CREATE TRIGGER tillsync_held_up_delete BEFORE DELETE ON tillsync_held_up WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_held_up: is the engine''s alone');
END;
CREATE TRIGGER tillsync_syncs_insert BEFORE INSERT ON tillsync_syncs WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_syncs: is the engine''s alone');
END;
CREATE TRIGGER tillsync_syncs_update BEFORE UPDATE ON tillsync_syncs WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_syncs: is the engine''s alone');
END;
CREATE TRIGGER tillsync_syncs_delete BEFORE DELETE ON tillsync_syncs WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_syncs: is the engine''s alone');
END;
CREATE TRIGGER tillsync_pull_seen_insert BEFORE INSERT ON tillsync_pull_seen WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_pull_seen: is the engine''s alone');
END;
CREATE TRIGGER tillsync_pull_seen_update BEFORE UPDATE ON tillsync_pull_seen WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_pull_seen: is the engine''s alone');
END;
CREATE TRIGGER tillsync_pull_seen_delete BEFORE DELETE ON tillsync_pull_seen WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_pull_seen: is the engine''s alone');
END;
-- What has been done to the file's schema stays done. An upgrade adds a line.
CREATE TRIGGER tillsync_schema_history_update BEFORE UPDATE ON tillsync_schema_history WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_schema_history: is the engine''s alone');
END;
CREATE TRIGGER tillsync_schema_history_delete BEFORE DELETE ON tillsync_schema_history WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_schema_history: is the engine''s alone');
END;
CREATE TRIGGER tillsync_attempt_insert BEFORE INSERT ON tillsync_attempt WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_attempt: is the engine''s alone');
END;
CREATE TRIGGER tillsync_attempt_update BEFORE UPDATE ON tillsync_attempt WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_attempt: is the engine''s alone');
END;
CREATE TRIGGER tillsync_attempt_delete BEFORE DELETE ON tillsync_attempt WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_attempt: is the engine''s alone');
END;
-- Beside the edit that the view journaled just now, and once: of no other edit, and in no other's place.
CREATE TRIGGER tillsync_pending_password_insert BEFORE INSERT ON pending_password
WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
     AND (EXISTS (SELECT 1 FROM pending_password WHERE seq = NEW.seq)
          OR NOT EXISTS (SELECT 1 FROM journal
                         WHERE seq = NEW.seq AND customer_id = NEW.customer_id
                           AND field = '{secret}' AND outcome IS NULL AND settled_at IS NULL))
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: pending_password: is the engine''s alone: use password_change, or discard');
END;
CREATE TRIGGER tillsync_pending_password_update BEFORE UPDATE ON pending_password WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: pending_password: is the engine''s alone: use password_change, or discard');
END;
CREATE TRIGGER tillsync_pending_password_delete BEFORE DELETE ON pending_password WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: pending_password: is the engine''s alone: use password_change, or discard');
END;
