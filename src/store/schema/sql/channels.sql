-- Channels, a set: written in another order it is the same.
{journaled}
CREATE TRIGGER tillsync_{table}_{field} BEFORE UPDATE OF {field} ON {table}
WHEN NEW.{field} IS NOT OLD.{field} AND {by_app} AND NOT {same}
BEGIN
    INSERT INTO tillsync_refusal
    SELECT {called} || ': {field}', CASE
        WHEN NEW.{field} IS NULL THEN {null}
        WHEN typeof(NEW.{field}) <> 'text' OR instr(NEW.{field}, char(0)) THEN shape
        WHEN NOT json_valid(NEW.{field}) THEN shape
        WHEN json_type(NEW.{field}) <> 'array' THEN shape
        WHEN json_array_length(NEW.{field}) = 0 THEN 'an empty array is not allowed'
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.{field}) WHERE type <> 'integer' OR value NOT BETWEEN {least} AND {most})
            THEN shape
    END
    FROM (SELECT 'must be a JSON array of channel ids, such as [1,2]' AS shape);
    {journal_it}
END;
