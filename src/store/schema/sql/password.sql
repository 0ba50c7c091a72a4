-- A new password goes in here and is never read back:
--     INSERT INTO password_change (customer_id, new_password) VALUES (42, '…');

CREATE VIEW password_change (customer_id, {field}) AS SELECT NULL, NULL WHERE 0;
-- Behind the other, which ends with IGNORE where it ran: reached only where SQLite skipped that.
CREATE TRIGGER tillsync_password_change_is_journaled INSTEAD OF INSERT ON password_change
BEGIN
    INSERT INTO tillsync_refusal VALUES ('customer ' || {customer} || ': {field}', {not_journaled});
END;
CREATE TRIGGER tillsync_password_change_insert INSTEAD OF INSERT ON password_change
BEGIN
    INSERT INTO tillsync_refusal
    SELECT 'customer ' || {customer} || ': {field}', CASE
        WHEN NOT EXISTS (SELECT 1 FROM customer WHERE id IS {today}) THEN 'no such customer in this file'
        WHEN NEW.{field} IS NULL THEN 'NULL is not allowed'
    END;
    INSERT INTO tillsync_check_text VALUES (CAST(NEW.customer_id AS INTEGER), '{field}', {least}, {most}, NEW.{field});
    {journal}
    VALUES ({today}, '{field}', 'set', '"***"', '"***"', {now_and_who});
    INSERT INTO tillsync_refusal SELECT 'customer ' || {customer} || ': {field}', {not_journaled} WHERE changes() = 0;
    INSERT INTO pending_password (seq, customer_id, new_password)
    VALUES (last_insert_rowid(), {today}, NEW.{field});
    INSERT INTO tillsync_refusal SELECT 'customer ' || {customer} || ': {field}', {not_journaled} WHERE changes() = 0;
    SELECT RAISE(IGNORE);
END;
