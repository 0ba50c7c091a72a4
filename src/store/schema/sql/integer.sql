CREATE TRIGGER customer_{field} BEFORE UPDATE OF {field} ON customer
WHEN NEW.{field} IS NOT OLD.{field} AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || OLD.id || ': {field}', CASE
        WHEN NEW.{field} IS NULL
            THEN (SELECT 'NULL is not allowed' FROM snapshot
                  WHERE id = OLD.id AND coalesce(json_type(body, '{path}'), 'null') <> 'null')
        WHEN typeof(NEW.{field}) <> 'integer' THEN 'must be a whole number, not ' || typeof(NEW.{field})
        WHEN NEW.{field} NOT BETWEEN {least} AND {most} THEN 'must be from {least} (no group) to {most}'
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, '{field}', 'set', json_quote(NEW.{field}),
           json_quote(OLD.{field}),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;
