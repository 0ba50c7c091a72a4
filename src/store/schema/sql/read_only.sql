-- Read-only attributes and subresources. Setting one to what it is changes nothing and is let through.
CREATE TRIGGER customer_read_only
BEFORE UPDATE OF {columns}
ON customer WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || OLD.id, CASE
        {cases}
    END;
END;
