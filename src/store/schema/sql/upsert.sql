-- What is not there yet is set by an INSERT: the store makes of an update of what it has not a new one. Of what is there, it ends as the
-- statement says, as with customers; REPLACE would take out what it does not name.
CREATE TRIGGER tillsync_{table}_insert BEFORE INSERT ON {table}
WHEN NOT {engine_inserts} AND NOT EXISTS (SELECT 1 FROM {table} WHERE {is_new})
BEGIN
    INSERT INTO tillsync_refusal
    SELECT {called}, CASE
        WHEN typeof({of_customer}) <> 'integer' OR NOT EXISTS (SELECT 1 FROM customer WHERE id IS {of_customer})
            THEN 'customer_id: no such customer in this file'
        WHEN {of_customer} < 0 THEN 'customer_id: is not in the store yet: set this after the sync that creates the customer'
        WHEN typeof(NEW.{row}) <> 'integer' THEN '{row}: must be a whole number'{defined}
        {fixed}
    END;
    {checks}
END;
CREATE TRIGGER tillsync_{table}_replace AFTER INSERT ON {table}
WHEN NOT {engine_inserts} AND NOT ({is_new_here})
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: {table}: REPLACE would lose what it does not name: UPDATE, or INSERT … ON CONFLICT ({key}) DO UPDATE');
END;
