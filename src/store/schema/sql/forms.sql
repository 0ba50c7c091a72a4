-- Form fields: entries by name. Written in another order, or with other escapes, it is the same. An entry that is as it was
-- is never refused, whatever the store has in it: only those that are other than before are looked at (`fresh`).
{journaled}
CREATE TRIGGER tillsync_{table}_{field} BEFORE UPDATE OF {field} ON {table}
WHEN NEW.{field} IS NOT OLD.{field} AND {by_app} AND NOT {same}
BEGIN
    INSERT INTO tillsync_refusal
    SELECT {called} || ': {field}', CASE
        WHEN NEW.{field} IS NULL THEN {null}
        WHEN fresh IS NULL THEN shape
        WHEN instr(replace(fresh, '\\', ''), '\u0000') THEN 'holds a NUL character'
        WHEN EXISTS (SELECT 1 FROM json_each(fresh) WHERE type <> 'object') THEN shape
        WHEN EXISTS (SELECT 1 FROM json_each(fresh) AS entry, json_each(entry.value) AS member
                     WHERE member.key NOT IN ('name', 'value', 'customer_id')
                        OR (member.key = 'customer_id' AND member.type <> 'integer'))
            THEN 'an entry has only name and value'
        WHEN EXISTS (SELECT 1 FROM json_each(fresh) AS entry
                     WHERE (SELECT count(*) <> count(DISTINCT key) FROM json_each(entry.value))
                        OR coalesce(json_type(entry.value, '$.name'), '') <> 'text'
                        OR json_extract(entry.value, '$.name') = ''
                        OR coalesce(json_type(entry.value, '$.value'), '') NOT IN ('text', 'integer', 'real', 'array'))
            THEN shape
        WHEN EXISTS (SELECT 1 FROM json_each(fresh) AS entry, json_each(entry.value, '$.value') AS item
                     WHERE json_type(entry.value, '$.value') = 'array' AND item.type <> 'text')
            THEN shape
        WHEN EXISTS (SELECT 1
                     FROM (SELECT json_extract(value, '$.name') AS name, 1 AS is_fresh FROM json_each(fresh)
                           UNION ALL
                           SELECT CASE type WHEN 'object' THEN json_extract(value, '$.name') END, 0
                           FROM json_each(NEW.{field}))
                     GROUP BY name
                     HAVING max(is_fresh) AND count(*) - sum(is_fresh) <> 1)
            THEN 'names an entry twice'
    END
    FROM (SELECT CASE
              WHEN typeof(NEW.{field}) <> 'text' OR instr(NEW.{field}, char(0)) THEN NULL
              WHEN NOT json_valid(NEW.{field}) THEN NULL
              WHEN json_type(NEW.{field}) <> 'array' THEN NULL
              ELSE (SELECT json_group_array(CASE WHEN type IN ('object', 'array') THEN json(value) ELSE value END)
                    FROM json_each(NEW.{field}) AS entry
                    WHERE {entry}
                          NOT IN (SELECT {entry}
                                  FROM json_each(CASE WHEN json_valid(OLD.{field}) THEN OLD.{field} ELSE '[]' END) AS entry))
          END AS fresh,
          'must be a JSON array of {"name": text, "value": text, number or array of texts}' AS shape);
    INSERT INTO tillsync_check_text
    SELECT {text_of}, 0, NULL, coalesce(group_concat(atom, ' '), '')
    FROM json_tree(NEW.{field})
    WHERE type = 'text';
    {journal_it}
END;
