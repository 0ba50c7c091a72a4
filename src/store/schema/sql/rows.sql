CREATE TRIGGER tillsync_{table}_delete BEFORE DELETE ON {table} WHEN NOT {engine_deletes}
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: {table}: DELETE is not supported yet: delete {plural} in the store, then pull --full');
END;
-- Not `UPDATE OF id`: `SET rowid = …` changes the id too, under another name.
CREATE TRIGGER tillsync_{table}_id BEFORE UPDATE ON {table} WHEN {moves}
BEGIN
    INSERT INTO tillsync_refusal VALUES ({called} || ': {row}', 'is read-only, it names the {table}');
END;
