-- Where customers live. A file that keeps addresses (`pull --with addresses`) has rows here; in any other they stay empty.
CREATE TABLE address (
    id                INTEGER PRIMARY KEY,
    customer_id       INTEGER NOT NULL,
    first_name        TEXT,
    last_name         TEXT,
    company           TEXT,
    address1          TEXT,
    address2          TEXT,
    city              TEXT,
    state_or_province TEXT,                     -- spelled out
    postal_code       TEXT,
    country_code      TEXT,                     -- two letters
    phone             TEXT,
    address_type      TEXT,                     -- residential or commercial
    form_fields       TEXT,                     -- JSON array of {"name", "value"}
    country           TEXT,                     -- from here on: the server's alone
    engine_mark       INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE address_snapshot (
    id            INTEGER PRIMARY KEY,
    customer_id   INTEGER NOT NULL,
    body          TEXT NOT NULL,
    date_modified TEXT,                         -- the store tells none of addresses
    lately        TEXT,
    engine_mark   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX tillsync_address_customer_id ON address (customer_id);
CREATE INDEX tillsync_address_snapshot_customer_id ON address_snapshot (customer_id);

-- `merged` joins the outcomes: the store has another row that says the same. The text of the check is written anew, as with `op` before: no row
-- is touched.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, '''discarded'', ''remote'')', '''discarded'', ''remote'', ''merged'')')
WHERE type = 'table' AND name = 'journal';
PRAGMA writable_schema = RESET;
