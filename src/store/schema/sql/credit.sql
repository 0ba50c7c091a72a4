CREATE TRIGGER customer_{field} BEFORE UPDATE OF {field} ON customer
WHEN NEW.{field} IS NOT OLD.{field} AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || OLD.id || ': {field}', CASE
        WHEN NEW.{field} IS NULL
            THEN (SELECT 'NULL is not allowed' FROM snapshot
                  WHERE id = OLD.id AND coalesce(json_type(body, '{path}'), 'null') <> 'null')
        WHEN typeof(NEW.{field}) <> 'text' OR instr(NEW.{field}, char(0)) THEN shape
        WHEN NOT json_valid(NEW.{field}) THEN shape
        WHEN json_type(NEW.{field}) <> 'array' THEN shape
        WHEN json_array_length(NEW.{field}) = 0
            THEN (SELECT 'an empty array is not allowed: give [{"amount":0}]'
                  WHERE NOT EXISTS (SELECT 1 FROM snapshot
                                    WHERE id = OLD.id AND json_array_length(body, '{path}') = 0))
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.{field}) WHERE type <> 'object') THEN shape
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.{field}) AS entry
                     WHERE (SELECT count(*) <> 1 OR max(key) <> 'amount' FROM json_each(entry.value))
                        OR json_type(entry.value, '$.amount') NOT IN ('integer', 'real'))
            THEN shape
        WHEN EXISTS (SELECT 1
                     FROM (SELECT ltrim(NEW.{field} -> (fullkey || '.amount'), '-') || '.' AS digits
                           FROM json_each(NEW.{field}))
                     WHERE digits GLOB '*[^0-9.]*' OR instr(digits, '.') > {whole} + 1 OR length(digits) - instr(digits, '.') > {fraction} + 1)
            THEN 'an amount has at most {whole} digits before the point and {fraction} after it, and no exponent'
    END
    FROM (SELECT 'must be a JSON array such as [{"amount":43.15}]' AS shape);
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, '{field}', 'set', coalesce(NEW.{field}, 'null'),
           coalesce(OLD.{field}, 'null'),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context)
    WHERE NEW.{field} IS NULL OR OLD.{field} IS NULL
       OR (SELECT group_concat(CASE WHEN instr(amount, '.') THEN rtrim(rtrim(amount, '0'), '.') ELSE coalesce(amount, '') END)
           FROM (SELECT NEW.{field} -> (fullkey || '.amount') AS amount FROM json_each(NEW.{field})))
          IS NOT
          (SELECT group_concat(CASE WHEN instr(amount, '.') THEN rtrim(rtrim(amount, '0'), '.') ELSE coalesce(amount, '') END)
           FROM (SELECT OLD.{field} -> (fullkey || '.amount') AS amount FROM json_each(OLD.{field})));
END;
