-- What an app may not do.

CREATE TRIGGER customer_insert BEFORE INSERT ON customer WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: customer: INSERT is not supported yet: create customers in the store, then pull');
END;
CREATE TRIGGER customer_delete BEFORE DELETE ON customer WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: customer: DELETE is not supported yet: delete customers in the store, then pull --full');
END;
-- Not `UPDATE OF id`: `SET rowid = …` changes the id too, under another name.
CREATE TRIGGER customer_id BEFORE UPDATE ON customer WHEN NEW.id IS NOT OLD.id
BEGIN
    INSERT INTO refusal VALUES ('customer ' || OLD.id || ': id', 'is read-only, it names the customer');
END;
-- A row that a trigger writes bears the instant of the statement that is running, to the millisecond and in this
-- spelling; one that an app writes does not. The one change that a trigger makes is to call a set an adjustment.
CREATE TRIGGER journal_insert BEFORE INSERT ON journal
WHEN (SELECT writing FROM engine_guard) IS NOT 1
 AND (NEW.at IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') OR NEW.outcome IS NOT NULL OR NEW.settled_at IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: journal: is written by the triggers: edit customer');
END;
CREATE TRIGGER journal_update BEFORE UPDATE ON journal
WHEN (SELECT writing FROM engine_guard) IS NOT 1
 AND NOT (OLD.op = 'set' AND NEW.op = 'adjust' AND OLD.at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: journal: is append-only: use discard or retry');
END;
CREATE TRIGGER journal_delete BEFORE DELETE ON journal WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: journal: is append-only: use discard or retry');
END;
CREATE TRIGGER snapshot_insert BEFORE INSERT ON snapshot WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: snapshot: is the engine''s alone: edit customer');
END;
CREATE TRIGGER snapshot_update BEFORE UPDATE ON snapshot WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: snapshot: is the engine''s alone: edit customer');
END;
CREATE TRIGGER snapshot_delete BEFORE DELETE ON snapshot WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: snapshot: is the engine''s alone: edit customer');
END;
CREATE TRIGGER engine_guard_delete BEFORE DELETE ON engine_guard
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: engine_guard: is the engine''s alone');
END;
CREATE TRIGGER edit_context_delete BEFORE DELETE ON edit_context
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: edit_context: keeps its one row: set author and label to NULL');
END;
CREATE TRIGGER edit_context_insert BEFORE INSERT ON edit_context
BEGIN
    INSERT INTO check_text VALUES (NULL, 'edit_context: author', 0, NULL, NEW.author);
    INSERT INTO check_text VALUES (NULL, 'edit_context: label', 0, NULL, NEW.label);
END;
CREATE TRIGGER edit_context_update BEFORE UPDATE ON edit_context
BEGIN
    INSERT INTO check_text VALUES (NULL, 'edit_context: author', 0, NULL, NEW.author);
    INSERT INTO check_text VALUES (NULL, 'edit_context: label', 0, NULL, NEW.label);
END;
