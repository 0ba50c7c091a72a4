-- Read-only attributes and subresources. Setting one to what it is, however it is spelled, changes nothing and is let through.
CREATE TRIGGER customer_read_only
BEFORE UPDATE OF {columns}
ON customer WHEN {by_app}
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || OLD.id, CASE
        {cases}
    END;
END;
