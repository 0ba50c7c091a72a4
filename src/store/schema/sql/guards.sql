-- What an app may not do.
--
-- What the engine writes bears its mark: a statement that turns `engine_mark` over (0, 1), inserts a 1, or deletes a row that
-- was marked with a 2. A statement of an app's own trigger does not, though it may run inside the engine's transaction, beneath
-- the engine's statement: it is an app's. Of customers a mark is believed only while the guard is 1, which it is inside the
-- engine's transactions, so that a mapper that writes an old mark back is no engine; it is read as `IS NOT 1`, so that a file
-- that lost its row refuses and journals too much, never too little. What our triggers write into the journal is marked too.
--
-- The triggers of this part, as all that only check, write nothing: no trigger of an app runs beneath them, so none of them is
-- ever on the stack already when it is needed, which is where SQLite would skip it (`recursive_triggers`, off by default).

{rows}
CREATE TRIGGER tillsync_journal_insert BEFORE INSERT ON journal WHEN NEW.engine_mark IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: journal: is written by the triggers: edit customer');
END;
CREATE TRIGGER tillsync_journal_update BEFORE UPDATE ON journal WHEN NEW.engine_mark IS OLD.engine_mark
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: journal: is append-only: use discard or retry');
END;
CREATE TRIGGER tillsync_journal_delete BEFORE DELETE ON journal WHEN OLD.engine_mark IS NOT 2
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: journal: is append-only: use discard or retry');
END;
{snapshots}
CREATE TRIGGER tillsync_guard_insert BEFORE INSERT ON tillsync_guard
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_guard: is the engine''s alone');
END;
CREATE TRIGGER tillsync_guard_delete BEFORE DELETE ON tillsync_guard
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_guard: is the engine''s alone');
END;
CREATE TRIGGER tillsync_edit_context_delete BEFORE DELETE ON edit_context
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: edit_context: keeps its one row: set author and label to NULL');
END;
CREATE TRIGGER tillsync_edit_context_insert BEFORE INSERT ON edit_context
BEGIN
    INSERT INTO tillsync_check_text VALUES (NULL, 'edit_context: author', 0, NULL, NEW.author);
    INSERT INTO tillsync_check_text VALUES (NULL, 'edit_context: label', 0, NULL, NEW.label);
END;
CREATE TRIGGER tillsync_edit_context_update BEFORE UPDATE ON edit_context
BEGIN
    INSERT INTO tillsync_check_text VALUES (NULL, 'edit_context: author', 0, NULL, NEW.author);
    INSERT INTO tillsync_check_text VALUES (NULL, 'edit_context: label', 0, NULL, NEW.label);
END;
