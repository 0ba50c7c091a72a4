-- Attributes that a shop has defined for its customers, and what each customer has of them. A file that keeps them (`pull --with
-- attributes`) has rows here; in any other they stay empty.
CREATE TABLE attribute (
    id          INTEGER PRIMARY KEY,
    name        TEXT,
    type        TEXT,                         -- string, number or date
    engine_mark INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE attribute_snapshot (
    id            INTEGER PRIMARY KEY,
    body          TEXT NOT NULL,
    date_modified TEXT,
    lately        TEXT,
    engine_mark   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE attribute_value (
    customer_id   INTEGER NOT NULL,
    attribute_id  INTEGER NOT NULL,
    value         TEXT,                       -- text, whatever the type; in what the store tells it is attribute_value
    id            INTEGER,                    -- from here on: the server's alone
    date_created  TEXT,
    date_modified TEXT,
    engine_mark   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (customer_id, attribute_id)
) WITHOUT ROWID;
CREATE TABLE attribute_value_snapshot (
    customer_id   INTEGER NOT NULL,
    attribute_id  INTEGER NOT NULL,
    body          TEXT NOT NULL,
    date_modified TEXT,
    lately        TEXT,
    engine_mark   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (customer_id, attribute_id)
) STRICT, WITHOUT ROWID;
