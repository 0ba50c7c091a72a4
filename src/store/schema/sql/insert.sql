-- Of a customer who is there, an INSERT ends as the statement says: in UNIQUE's refusal, in nothing (OR IGNORE), or in an UPDATE
-- (ON CONFLICT … DO UPDATE), which is an edit like any other. What is in the file afterwards was put there by REPLACE, which takes out the
-- one who was there and fires no trigger for that.
CREATE TRIGGER tillsync_{table}_insert BEFORE INSERT ON {table}
WHEN NOT {engine_inserts} AND NOT EXISTS (SELECT 1 FROM {table} WHERE {is_new})
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: {table}: INSERT is not supported yet: create {plural} in the store, then pull');
END;
CREATE TRIGGER tillsync_{table}_replace AFTER INSERT ON {table} WHEN NOT {engine_inserts}
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: {table}: REPLACE would lose what it does not name: UPDATE, or INSERT … ON CONFLICT ({key}) DO UPDATE');
END;
