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
        WHEN json_array_length(NEW.{field}) = 0 THEN 'an empty array is not allowed'
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.{field}) WHERE type <> 'integer' OR value NOT BETWEEN {least} AND {most})
            THEN shape
    END
    FROM (SELECT 'must be a JSON array of channel ids, such as [1,2]' AS shape);
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, '{field}', 'set', coalesce(NEW.{field}, 'null'),
           coalesce(OLD.{field}, 'null'),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context)
    WHERE NEW.{field} IS NULL OR OLD.{field} IS NULL
       OR (SELECT json_group_array(value) FROM (SELECT DISTINCT value FROM json_each(NEW.{field}) ORDER BY value))
          IS NOT (SELECT json_group_array(value) FROM (SELECT DISTINCT value FROM json_each(OLD.{field}) ORDER BY value));
END;
