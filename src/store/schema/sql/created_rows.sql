-- Of a row that is there, an INSERT ends as the statement says: in UNIQUE's refusal, in nothing (OR IGNORE), or in an UPDATE
-- (ON CONFLICT … DO UPDATE), which is an edit like any other. Another one is a creation: of an id below zero that was never used, until the
-- store has given one. It is checked as an edit is, and journaled before it is written. What the journal does not tell of afterwards was
-- put there by REPLACE, which takes out the one who was there and fires no trigger for that, or by a trigger beneath another creation.
CREATE TRIGGER tillsync_{table}_insert BEFORE INSERT ON {table}
WHEN NOT {engine_inserts} AND NOT EXISTS (SELECT 1 FROM {table} WHERE {is_new})
BEGIN
    INSERT INTO tillsync_refusal
    SELECT {named}, CASE
        WHEN NEW.{row} >= 0 THEN '{row}: is given by the store: a new {table} takes the one that the view new_id shows'
        WHEN NEW.{row} < -2147483647
            THEN '{row}: is below -2147483647, the least that there is: a new {table} takes the one that the view new_id shows'
        WHEN NEW.{row} >= {newest} OR EXISTS (SELECT 1 FROM alias WHERE resource = '{table}' AND old_id = NEW.{row})
            THEN '{row}: was given before, or is missing: a new {table} takes the one that the view new_id shows'
        {needs}
    END;
{checks of new}{unique of new}    {journal of row}
    VALUES ({whose it is new}, '*', 'create', {new as json}, 'null', {now_and_who});
    INSERT INTO tillsync_new_id VALUES (1, NEW.{row}) ON CONFLICT (id) DO UPDATE SET newest = min(newest, excluded.newest);
END;
CREATE TRIGGER tillsync_{table}_replace AFTER INSERT ON {table} WHEN NOT {engine_inserts}
BEGIN
    INSERT INTO tillsync_refusal
    SELECT '{table}', CASE
        WHEN NEW.{row} >= 0 AND NOT EXISTS (SELECT 1 FROM {snapshot} WHERE {is_new})
            THEN '{row}: is missing: a new {table} takes the one that the view new_id shows'
        WHEN NOT EXISTS (SELECT 1 FROM journal
                         WHERE {is_its new} AND op = 'create' AND settled_at IS NULL AND value = {new as json})
            THEN 'REPLACE would lose what it does not name: UPDATE, or INSERT … ON CONFLICT ({key}) DO UPDATE'
    END;
END;
-- A DELETE is journaled with the row as it was, once the row is gone, and waits for a sync; what was edited of it before waits with it.
-- Who is not created yet, nor on its way, is taken back: nothing of it is sent, and what else was journaled of it ends with it.
CREATE TRIGGER tillsync_{table}_delete BEFORE DELETE ON {table} WHEN NOT {engine_deletes} AND OLD.{row} < 0
BEGIN
    INSERT INTO tillsync_refusal
    SELECT {called}, CASE
        WHEN EXISTS (SELECT 1 FROM batch_item WHERE {is_its}) THEN NULL
        WHEN EXISTS (SELECT 1 FROM pending_password WHERE customer_id = OLD.{row}) OR EXISTS (SELECT 1 FROM conflict WHERE {is_its} AND resolution IS NULL)
            THEN 'has a password or a conflict that waits: give its creation up with discard'
    END;
END;
CREATE TRIGGER tillsync_{table}_deleted AFTER DELETE ON {table} WHEN NOT {engine_deletes}
BEGIN
    {journal of row}
    VALUES ({whose_it_is}, '*', 'delete', 'null', {old as json}, {now_and_who});
    UPDATE journal
    SET outcome = 'unchanged', settled_at = {now}, engine_mark = NOT engine_mark
    WHERE OLD.{row} < 0 AND {is_its} AND settled_at IS NULL AND NOT EXISTS (SELECT 1 FROM batch_item WHERE {is_its});
END;
-- What a creation needs it keeps, and what no two have is nobody's else.
CREATE TRIGGER tillsync_{table}_uncreated BEFORE UPDATE OF {needed} ON {table} WHEN OLD.{row} < 0 AND {by_app}
BEGIN
    INSERT INTO tillsync_refusal
    SELECT {called}, CASE
        {needs}
    END;
{lengths of edited}{unique of edited}END;
-- Not `UPDATE OF id`: `SET rowid = …` changes the id too, under another name.
CREATE TRIGGER tillsync_{table}_id BEFORE UPDATE ON {table} WHEN ({moves}) AND {by_app}
BEGIN
    INSERT INTO tillsync_refusal VALUES ({called} || ': {row}', 'is read-only, it names the {table}');
END;
