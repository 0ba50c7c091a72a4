CREATE TRIGGER tillsync_{snapshot}_insert BEFORE INSERT ON {snapshot} WHEN NEW.engine_mark IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: {snapshot}: is the engine''s alone: edit {table}');
END;
CREATE TRIGGER tillsync_{snapshot}_update BEFORE UPDATE ON {snapshot} WHEN NEW.engine_mark IS OLD.engine_mark
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: {snapshot}: is the engine''s alone: edit {table}');
END;
CREATE TRIGGER tillsync_{snapshot}_delete BEFORE DELETE ON {snapshot} WHEN OLD.engine_mark IS NOT 2
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: {snapshot}: is the engine''s alone: edit {table}');
END;
