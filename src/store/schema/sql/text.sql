-- Text. It is seen at a glance that a text is plain (printable ASCII of a fitting length) and in the journal; only another is
-- looked at closely. The journal could not hold a blob, which is refused right behind it.
CREATE TRIGGER tillsync_customer_{field}_is_valid BEFORE UPDATE OF {field} ON customer
WHEN NEW.{field} IS NOT OLD.{field} AND {by_app}
 AND (typeof(NEW.{field}) <> 'text'{length}
      OR length(CAST(NEW.{field} AS BLOB)) <> length(NEW.{field}) OR NEW.{field} GLOB '*[^ -~]*'
      OR NOT {is_journaled})
BEGIN
    INSERT INTO tillsync_check_text VALUES (OLD.id, '{field}', {least}, {most}, NEW.{field});
    {refuse_unjournaled}
END;
CREATE TRIGGER tillsync_customer_{field} BEFORE UPDATE OF {field} ON customer
WHEN NEW.{field} IS NOT OLD.{field} AND {by_app}
BEGIN
    {journal}
    VALUES (OLD.id, '{field}', 'set', {value}, {was}, {now_and_who});
END;
