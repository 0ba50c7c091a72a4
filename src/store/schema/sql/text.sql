-- Text. It is seen at a glance that a text is plain (printable ASCII of a fitting length) and in the journal; only another is
-- looked at closely. The journal could not hold a blob, which is refused right behind it.
CREATE TRIGGER tillsync_{table}_{field}_is_valid BEFORE UPDATE OF {field} ON {table}
WHEN NEW.{field} IS NOT OLD.{field} AND {by_app}
 AND (typeof(NEW.{field}) <> 'text'{length}
      OR length(CAST(NEW.{field} AS BLOB)) <> length(NEW.{field}) OR NEW.{field} GLOB '*[^ -~]*'
      OR NOT {is_journaled})
BEGIN
    INSERT INTO tillsync_check_text VALUES ({text_of}, {least}, {most}, NEW.{field});{refuse_null}
    {refuse_unjournaled}
END;
CREATE TRIGGER tillsync_{table}_{field} BEFORE UPDATE OF {field} ON {table}
WHEN NEW.{field} IS NOT OLD.{field} AND {by_app}
BEGIN
    {typed}{journal_it}
END;
