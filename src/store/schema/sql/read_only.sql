-- Read-only attributes and subresources. Setting one to what it is, however it is spelled, changes nothing and is let through.
CREATE TRIGGER tillsync_{table}_read_only
BEFORE UPDATE OF {columns}
ON {table} WHEN {by_app}
BEGIN
    INSERT INTO tillsync_refusal
    SELECT {called}, CASE
        {cases}
    END;
END;
