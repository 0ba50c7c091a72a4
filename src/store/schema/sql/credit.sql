-- Money: 43.1 and 43.10 are the same. The text of each amount is looked at, never a float.
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
        WHEN json_array_length(NEW.{field}) = 0
            THEN (SELECT 'an empty array is not allowed: give [{"amount":0}]'
                  WHERE NOT EXISTS (SELECT 1 FROM {snapshot}
                                    WHERE {is_old} AND json_array_length(body, '{path}') = 0))
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.{field}) WHERE type <> 'object') THEN shape
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.{field}) AS entry
                     WHERE (SELECT count(*) <> 1 OR max(key) <> 'amount' FROM json_each(entry.value))
                        OR (SELECT type FROM json_each(entry.value)) NOT IN ('integer', 'real'))
            THEN shape
        ELSE (SELECT 'an amount has at most {whole} digits before the point and {fraction} after it, and no exponent, not '
                     || substr(amount, 1, 40)
              FROM (SELECT amount, ltrim(amount, '-') || '.' AS digits
                    FROM (SELECT {amount} AS amount FROM json_each(NEW.{field}) AS entry))
              WHERE digits GLOB '*[^0-9.]*' OR instr(digits, '.') - 1 > {whole}
                 OR length(rtrim(substr(digits, instr(digits, '.') + 1), '0.')) > {fraction}
              LIMIT 1)
    END
    FROM (SELECT 'must be a JSON array such as [{"amount":43.15}]' AS shape);
    {journal_it}
END;
