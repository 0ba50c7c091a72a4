CREATE TRIGGER customer_{field} BEFORE UPDATE OF {field} ON customer
WHEN NEW.{field} IS NOT OLD.{field} AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    VALUES (OLD.id, '{field}', 'set', json_quote(NEW.{field}), json_quote(OLD.{field}),
            strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context));
END;
CREATE TRIGGER customer_{field}_is_valid BEFORE UPDATE OF {field} ON customer
WHEN NEW.{field} IS NOT OLD.{field}
 AND (typeof(NEW.{field}) <> 'text' {length}
      OR length(CAST(NEW.{field} AS BLOB)) <> length(NEW.{field}) OR NEW.{field} GLOB '*[^ -~]*')
 AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, '{field}', {least}, {most}, NEW.{field});
END;
