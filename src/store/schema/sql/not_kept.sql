-- A file keeps what it was told to.
CREATE TRIGGER tillsync_{table}_not_kept BEFORE INSERT ON {table}
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: {table}: this file does not keep {plural}: tillsync pull --with {with}');
END;
