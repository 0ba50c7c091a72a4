-- A new password goes in here and is never read back:
--     INSERT INTO password_change (customer_id, new_password) VALUES (42, '…');

CREATE VIEW password_change (customer_id, new_password) AS SELECT NULL, NULL WHERE 0;
CREATE TRIGGER password_change_insert INSTEAD OF INSERT ON password_change
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || coalesce(NEW.customer_id, 'NULL') || ': new_password', CASE
        WHEN NOT EXISTS (SELECT 1 FROM customer WHERE id IS NEW.customer_id) THEN 'no such customer in this file'
        WHEN NEW.new_password IS NULL THEN 'NULL is not allowed'
    END;
    INSERT INTO check_text VALUES (NEW.customer_id, '{field}', {least}, {most}, NEW.{field});
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    VALUES (NEW.customer_id, 'new_password', 'set', '"***"', '"***"',
            strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context));
    INSERT INTO pending_password (seq, customer_id, new_password)
    VALUES (last_insert_rowid(), NEW.customer_id, NEW.new_password);
END;
