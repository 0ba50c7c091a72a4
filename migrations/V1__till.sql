-- The tables of a till's file. The triggers that make plain SQL a safe way to edit, and the views, are made from the table
-- of fields (src/store/schema) and put beside them in the same transaction.
--
-- Every table has one writer:
--   snapshot               pull and reconcile        the customer as the server last described it
--   customer               the app, and the engine   the working copy: what the app reads and edits
--   journal                the triggers              one row per changed attribute; the engine fills in the outcome
--   batch, batch_item      the uploader              an upload on its way
--   conflict               merge, and a person       a field that both sides changed
--   pending_password       a trigger                 a new password, until it has been uploaded
--   edit_context           the app                   who edits, and for what
--   engine_guard           the engine                1 only inside the engine's own transactions
--   state                  the engine                cursors, sizes learned, the store this file belongs to
--   pull_seen              a full pull               ids seen so far, to find deletions
--
-- Times are UTC, RFC 3339 text with `Z`. Money is decimal text or a JSON number, never a float column.
-- JSON values (`journal.value`, `conflict.base` and the like) are JSON text of the attribute's own type.
-- See docs/sql.md for what an app may do.

-- The customer as the server last described it.
CREATE TABLE snapshot (
    id            INTEGER PRIMARY KEY,
    body          TEXT NOT NULL,            -- the record's JSON, verbatim: attributes we do not know survive here
    date_modified TEXT                      -- the server's; NULL when the server did not tell
) STRICT;

-- The working copy: one column per attribute, named as in the API. NULL: the server has null, or did not say.
CREATE TABLE customer (
    id                                           INTEGER PRIMARY KEY,
    email                                        TEXT,
    first_name                                   TEXT,
    last_name                                    TEXT,
    company                                      TEXT,
    phone                                        TEXT,
    notes                                        TEXT,
    tax_exempt_category                          TEXT,
    customer_group_id                            INTEGER,   -- 0: no group
    accepts_product_review_abandoned_cart_emails INTEGER,   -- 0 or 1
    force_password_reset                         INTEGER,   -- 0 or 1; authentication.force_password_reset
    store_credit_amounts                         TEXT,      -- JSON: [{"amount":43.15}]
    channel_ids                                  TEXT,      -- JSON: [1,2]; NULL: every channel
    form_fields                                  TEXT,      -- JSON: [{"name":"…","value":"…"}]
    registration_ip_address                      TEXT,      -- from here on: the server's alone
    origin_channel_id                            INTEGER,
    date_created                                 TEXT,
    date_modified                                TEXT,
    address_count                                INTEGER,
    attribute_count                              INTEGER,
    addresses                                    TEXT,      -- JSON
    attributes                                   TEXT,      -- JSON
    shopper_profile_id                           TEXT,
    segment_ids                                  TEXT       -- JSON
);
CREATE INDEX customer_email      ON customer (email      COLLATE NOCASE);
CREATE INDEX customer_phone      ON customer (phone      COLLATE NOCASE);
CREATE INDEX customer_first_name ON customer (first_name COLLATE NOCASE);
CREATE INDEX customer_last_name  ON customer (last_name  COLLATE NOCASE);
CREATE INDEX customer_company    ON customer (company    COLLATE NOCASE);

-- What was edited, attribute by attribute, in order. Append-only.
CREATE TABLE journal (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id  INTEGER NOT NULL,
    field        TEXT NOT NULL,
    op           TEXT NOT NULL CHECK (op IN ('set', 'adjust')),
    value        TEXT NOT NULL,             -- set: JSON; adjust: the signed amount, a JSON string; a password: "***"
    was          TEXT NOT NULL,             -- JSON: the working copy before
    at           TEXT NOT NULL,             -- when, by the till's clock
    author       TEXT,                      -- who; NULL: not told
    label        TEXT,                      -- for what ("sale 1042"); edits made together share it
    outcome      TEXT CHECK (outcome IN     -- NULL: pending
                 ('in_flight', 'uploaded', 'unchanged', 'superseded', 'rejected', 'held', 'discarded', 'remote')),
    reason       TEXT,                      -- rejected: the server's words
    reject_group INTEGER,                   -- rejected together, because no field was named; NULL: alone
    settled_at   TEXT                       -- NULL: unsettled (pending, in_flight, rejected, held)
) STRICT;
CREATE INDEX journal_unsettled ON journal (customer_id, seq) WHERE settled_at IS NULL;

-- The one row that an app may set, and set back, inside its own transaction.
CREATE TABLE edit_context (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    author TEXT,
    label  TEXT
) STRICT;
INSERT INTO edit_context (id) VALUES (1);

-- 1 while the engine writes; other connections never see it, since it is set back before the commit.
CREATE TABLE engine_guard (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    writing INTEGER NOT NULL
) STRICT;
INSERT INTO engine_guard (id, writing) VALUES (1, 0);

-- A password waits here and nowhere else, and is wiped once it is settled.
CREATE TABLE pending_password (
    seq          INTEGER PRIMARY KEY,       -- its row in the journal
    customer_id  INTEGER NOT NULL,
    new_password TEXT NOT NULL
) STRICT;

-- An upload that is prepared or on its way. Found at the start of a sync, it is in doubt.
CREATE TABLE batch (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    sent_at TEXT NOT NULL                   -- committed just before the request left, by the till's clock
) STRICT;
CREATE TABLE batch_item (
    batch_id      INTEGER NOT NULL REFERENCES batch (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL,
    customer_id   INTEGER NOT NULL,
    up_to_seq     INTEGER NOT NULL,         -- the journal rows that the payload covers
    payload       TEXT NOT NULL,            -- JSON as sent, a password shown as ***
    credit_before TEXT,                     -- adjust: the server's amount that the sum was added to; decimal text
    credit_sent   TEXT,                     -- adjust: the absolute amount sent; decimal text
    PRIMARY KEY (batch_id, position)
) STRICT, WITHOUT ROWID;

-- A field that both sides changed, whatever was decided. `form_fields.NAME`: one form field; `*`: deleted remotely.
CREATE TABLE conflict (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id INTEGER NOT NULL,
    field       TEXT NOT NULL,
    base        TEXT NOT NULL,              -- JSON: what both started from
    local       TEXT NOT NULL,              -- JSON: the till's
    remote      TEXT NOT NULL,              -- JSON: the store's
    policy      TEXT NOT NULL,              -- hold, local, remote, latest, resolver, merge
    resolution  TEXT,                       -- local, remote, value, merged, discarded, deleted, reappeared; NULL: waits
    author      TEXT,                       -- who made the local edit
    seq         INTEGER,                    -- the newest local edit, in the journal
    detected_at TEXT NOT NULL,
    resolved_at TEXT,
    resolved_by TEXT                        -- who decided; NULL: the policy
) STRICT;
CREATE UNIQUE INDEX conflict_open ON conflict (customer_id, field) WHERE resolution IS NULL;

CREATE TABLE state (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pull_seen (
    id INTEGER PRIMARY KEY
) STRICT;
