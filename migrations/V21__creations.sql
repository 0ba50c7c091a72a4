-- Who is entered here has an id below zero until the store has given one; what it was called is known for ever.
CREATE TABLE alias (
    resource TEXT    NOT NULL,              -- what it is a row of: customer
    old_id   INTEGER NOT NULL,              -- what it was called here: below zero
    id       INTEGER NOT NULL,              -- what the store calls it
    PRIMARY KEY (resource, old_id)
) STRICT, WITHOUT ROWID;

-- The newest id below zero that was given: none is given twice.
CREATE TABLE tillsync_new_id (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    newest INTEGER NOT NULL
) STRICT;

-- `create` and `delete` join the operations of the journal. SQLite alters no check, so the text of the table is written anew, as its manual
-- does it: no row is touched.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, 'CHECK (op IN (''set'', ''adjust''))', 'CHECK (op IN (''set'', ''adjust'', ''create'', ''delete''))')
WHERE type = 'table' AND name = 'journal';
PRAGMA writable_schema = RESET;
