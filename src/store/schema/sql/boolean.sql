-- A boolean, 0 or 1. A mapper may write the word for what it is.
{journaled}
CREATE TRIGGER tillsync_{table}_{field} BEFORE UPDATE OF {field} ON {table}
WHEN NEW.{field} IS NOT OLD.{field} AND {by_app} AND NOT {same}
BEGIN
    INSERT INTO tillsync_refusal
    SELECT {called} || ': {field}', CASE
        WHEN NEW.{field} IS NULL THEN {null}
        WHEN typeof(NEW.{field}) <> 'integer' OR NEW.{field} NOT IN (0, 1) THEN 'must be 0 or 1'
    END;
    {journal_it}
END;

-- What means the same is no edit, and stands there as the number all the same.
CREATE TRIGGER tillsync_{table}_{field}_number AFTER UPDATE OF {field} ON {table}
WHEN typeof(NEW.{field}) = 'text' AND lower(NEW.{field}) IN ('true', 'false')
BEGIN
    UPDATE {table} SET {field} = lower(NEW.{field}) = 'true' WHERE {is_new};
END;
