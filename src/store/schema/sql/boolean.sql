CREATE TRIGGER customer_{field} BEFORE UPDATE OF {field} ON customer
WHEN NEW.{field} IS NOT OLD.{field} AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || OLD.id || ': {field}', CASE
        WHEN NEW.{field} IS NULL
            THEN (SELECT 'NULL is not allowed' FROM snapshot
                  WHERE id = OLD.id AND coalesce(json_type(body, '{path}'), 'null') <> 'null')
        WHEN typeof(NEW.{field}) <> 'integer' OR NEW.{field} NOT IN (0, 1)
            THEN 'must be 0 or 1'
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, '{field}', 'set',
           CASE NEW.{field} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END,
           CASE OLD.{field} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END,
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;
