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
        WHEN instr(replace(NEW.{field}, '\\', ''), '\u0000') THEN 'holds a NUL character'
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.{field}) WHERE type <> 'object') THEN shape
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.{field}) AS entry, json_each(entry.value) AS member
                     WHERE member.key NOT IN ('name', 'value', 'customer_id')
                        OR (member.key = 'customer_id' AND member.type <> 'integer'))
            THEN 'an entry has only name and value'
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.{field}) AS entry
                     WHERE (SELECT count(*) <> count(DISTINCT key) FROM json_each(entry.value))
                        OR coalesce(json_type(entry.value, '$.name'), '') <> 'text'
                        OR entry.value ->> '$.name' = ''
                        OR coalesce(json_type(entry.value, '$.value'), '') NOT IN ('text', 'integer', 'real', 'array'))
            THEN shape
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.{field}) AS entry, json_each(entry.value, '$.value') AS item
                     WHERE json_type(entry.value, '$.value') = 'array' AND item.type <> 'text')
            THEN shape
        WHEN (SELECT count(*) <> count(DISTINCT value ->> '$.name') FROM json_each(NEW.{field}))
            THEN 'names an entry twice'
    END
    FROM (SELECT 'must be a JSON array of {"name": text, "value": text, number or array of texts}' AS shape);
    INSERT INTO check_text
    SELECT OLD.id, '{field}', 0, NULL, coalesce(group_concat(atom, ' '), '')
    FROM json_tree(NEW.{field})
    WHERE type = 'text';
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, '{field}', 'set', coalesce(NEW.{field}, 'null'),
           coalesce(OLD.{field}, 'null'),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context)
    WHERE NEW.{field} IS NULL OR OLD.{field} IS NULL OR instr(OLD.{field}, '\u0000')
       OR (SELECT json_group_array(json_array(name, type, value))
           FROM (SELECT json_extract(NEW.{field}, fullkey || '.name') AS name,
                        json_type(NEW.{field}, fullkey || '.value') AS type,
                        CASE json_type(NEW.{field}, fullkey || '.value')
                            WHEN 'text' THEN NEW.{field} ->> (fullkey || '.value')
                            ELSE NEW.{field} -> (fullkey || '.value')
                        END AS value
                 FROM json_each(NEW.{field})
                 ORDER BY 1))
          IS NOT
          (SELECT json_group_array(json_array(name, type, value))
           FROM (SELECT json_extract(OLD.{field}, fullkey || '.name') AS name,
                        json_type(OLD.{field}, fullkey || '.value') AS type,
                        CASE json_type(OLD.{field}, fullkey || '.value')
                            WHEN 'text' THEN OLD.{field} ->> (fullkey || '.value')
                            ELSE OLD.{field} -> (fullkey || '.value')
                        END AS value
                 FROM json_each(OLD.{field})
                 ORDER BY 1));
END;
