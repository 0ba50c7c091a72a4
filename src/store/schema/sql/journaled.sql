CREATE TRIGGER tillsync_{table}_{field}_is_journaled BEFORE UPDATE OF {field} ON {table}
WHEN NEW.{field} IS NOT OLD.{field} AND {by_app} AND NOT {is_journaled}
BEGIN
    {refuse_unjournaled}
END;
