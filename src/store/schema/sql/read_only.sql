-- Read-only attributes and subresources. Setting one to what it is, however it is spelled, changes nothing and is let through.
CREATE TRIGGER tillsync_customer_read_only
BEFORE UPDATE OF {columns}
ON customer WHEN {by_app}
BEGIN
    INSERT INTO tillsync_refusal
    SELECT 'customer ' || OLD.id, CASE
        {cases}
    END;
END;
