-- The next id for a row that the store does not have yet: below every one that was given.
--     INSERT INTO customer (id, …) SELECT id, … FROM new_id RETURNING id;
CREATE VIEW new_id (id) AS SELECT {newest} - 1;

-- What was given stays given, and what somebody was called.
CREATE TRIGGER tillsync_new_id_update BEFORE UPDATE ON tillsync_new_id
WHEN NEW.newest > OLD.newest AND (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_new_id: is the engine''s alone');
END;
CREATE TRIGGER tillsync_new_id_delete BEFORE DELETE ON tillsync_new_id WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: tillsync_new_id: is the engine''s alone');
END;
CREATE TRIGGER tillsync_alias_insert BEFORE INSERT ON alias WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: alias: is the engine''s alone');
END;
CREATE TRIGGER tillsync_alias_update BEFORE UPDATE ON alias WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: alias: is the engine''s alone');
END;
CREATE TRIGGER tillsync_alias_delete BEFORE DELETE ON alias WHEN (SELECT writing FROM tillsync_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: alias: is the engine''s alone');
END;

-- Each customer under every id that it has had: `any_id` is one of them, `id` that of today.
--     UPDATE customer_by_any_id SET phone = '…' WHERE any_id = -1;
CREATE VIEW customer_by_any_id (any_id, id, {columns}) AS
    SELECT id, id, {columns} FROM customer
    UNION ALL
    SELECT alias.old_id, customer.id, {columns}
    FROM alias JOIN customer ON customer.id = alias.id
    WHERE alias.resource = 'customer';
CREATE TRIGGER tillsync_customer_by_any_id_update INSTEAD OF UPDATE ON customer_by_any_id
BEGIN
    UPDATE customer SET {sets} WHERE id = OLD.id;
END;
