-- A whole number.
{journaled}
CREATE TRIGGER tillsync_{table}_{field} BEFORE UPDATE OF {field} ON {table}
WHEN NEW.{field} IS NOT OLD.{field} AND {by_app}
BEGIN
    INSERT INTO tillsync_refusal
    SELECT {called} || ': {field}', CASE
        WHEN NEW.{field} IS NULL THEN {null}
        WHEN typeof(NEW.{field}) <> 'integer' THEN 'must be a whole number, not ' || typeof(NEW.{field})
        WHEN NEW.{field} NOT BETWEEN {least} AND {most} THEN 'must be from {least} (no group) to {most}'
    END;
    {journal_it}
END;
