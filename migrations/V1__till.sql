-- The tables of a till's file, and the triggers that make plain SQL a safe way to edit.
--
-- Every table has one writer:
--   snapshot               pull and reconcile        the customer as the server last described it
--   customer               the app, and the engine   the working copy: what the app reads and edits
--   journal                the triggers below        one row per changed attribute; the engine fills in the outcome
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
-- The triggers use nothing that a plain SQLite 3.38 lacks, so that every language's binding can fire them.
--
-- A refusal must name the customer, the field and the limit. `RAISE` takes only a literal before SQLite 3.47,
-- so a refusal is the error of `json_extract` for a path that is no path: its message quotes the whole text.
-- See docs/decisions/0003-refusals-in-triggers.md.

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

-- ---------------------------------------------------------------------------------------------------------------
-- What an app may not do.

CREATE TRIGGER customer_insert BEFORE INSERT ON customer WHEN (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: customer: INSERT is not supported yet: create customers in the store, then pull');
END;
CREATE TRIGGER customer_delete BEFORE DELETE ON customer WHEN (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: customer: DELETE is not supported yet: delete customers in the store, then pull --full');
END;
CREATE TRIGGER customer_id BEFORE UPDATE ON customer WHEN NEW.id IS NOT OLD.id
BEGIN
    SELECT json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': id: is read-only, it names the customer');
END;
CREATE TRIGGER journal_update BEFORE UPDATE ON journal WHEN (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: journal: is append-only: use discard or retry');
END;
CREATE TRIGGER journal_delete BEFORE DELETE ON journal WHEN (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: journal: is append-only: use discard or retry');
END;
CREATE TRIGGER snapshot_update BEFORE UPDATE ON snapshot WHEN (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: snapshot: is the engine''s alone: edit customer');
END;
CREATE TRIGGER snapshot_delete BEFORE DELETE ON snapshot WHEN (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: snapshot: is the engine''s alone: edit customer');
END;
CREATE TRIGGER edit_context_delete BEFORE DELETE ON edit_context
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: edit_context: keeps its one row: set author and label to NULL');
END;

-- ---------------------------------------------------------------------------------------------------------------
-- Read-only attributes and subresources.

CREATE TRIGGER customer_registration_ip_address AFTER UPDATE OF registration_ip_address ON customer
WHEN NEW.registration_ip_address IS NOT OLD.registration_ip_address AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': registration_ip_address: is read-only, the store sets it');
END;

CREATE TRIGGER customer_origin_channel_id AFTER UPDATE OF origin_channel_id ON customer
WHEN NEW.origin_channel_id IS NOT OLD.origin_channel_id AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': origin_channel_id: is read-only, the store sets it');
END;

CREATE TRIGGER customer_date_created AFTER UPDATE OF date_created ON customer
WHEN NEW.date_created IS NOT OLD.date_created AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': date_created: is read-only, the store sets it');
END;

CREATE TRIGGER customer_date_modified AFTER UPDATE OF date_modified ON customer
WHEN NEW.date_modified IS NOT OLD.date_modified AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': date_modified: is read-only, the store sets it');
END;

CREATE TRIGGER customer_address_count AFTER UPDATE OF address_count ON customer
WHEN NEW.address_count IS NOT OLD.address_count AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': address_count: is counted by the store');
END;

CREATE TRIGGER customer_attribute_count AFTER UPDATE OF attribute_count ON customer
WHEN NEW.attribute_count IS NOT OLD.attribute_count AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': attribute_count: is counted by the store');
END;

CREATE TRIGGER customer_addresses AFTER UPDATE OF addresses ON customer
WHEN NEW.addresses IS NOT OLD.addresses AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': addresses: is a subresource and cannot be edited here');
END;

CREATE TRIGGER customer_attributes AFTER UPDATE OF attributes ON customer
WHEN NEW.attributes IS NOT OLD.attributes AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': attributes: is a subresource and cannot be edited here');
END;

CREATE TRIGGER customer_shopper_profile_id AFTER UPDATE OF shopper_profile_id ON customer
WHEN NEW.shopper_profile_id IS NOT OLD.shopper_profile_id AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': shopper_profile_id: is a subresource and cannot be edited here');
END;

CREATE TRIGGER customer_segment_ids AFTER UPDATE OF segment_ids ON customer
WHEN NEW.segment_ids IS NOT OLD.segment_ids AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': segment_ids: is a subresource and cannot be edited here');
END;

-- ---------------------------------------------------------------------------------------------------------------
-- Edits: each is checked, then journaled. NULL is only taken back to: it is allowed where the snapshot has none either.

CREATE TRIGGER customer_email AFTER UPDATE OF email ON customer
WHEN NEW.email IS NOT OLD.email AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.email IS NULL AND coalesce((SELECT json_type(body, '$.email') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': email: NULL is not allowed')
        WHEN NEW.email IS NULL THEN NULL
        WHEN typeof(NEW.email) <> 'text' THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': email: ' || 'must be text, not ' || typeof(NEW.email))
        WHEN instr(NEW.email, char(0)) THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': email: holds a NUL character')
        WHEN length(NEW.email) < 3 THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': email: ' || 'has ' || length(NEW.email) || ' characters, at least 3 are needed')
        WHEN length(NEW.email) > 255 THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': email: ' || 'has ' || length(NEW.email) || ' characters, at most 255 are allowed')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'email', 'set', json_quote(NEW.email), json_quote(OLD.email), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_first_name AFTER UPDATE OF first_name ON customer
WHEN NEW.first_name IS NOT OLD.first_name AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.first_name IS NULL AND coalesce((SELECT json_type(body, '$.first_name') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': first_name: NULL is not allowed')
        WHEN NEW.first_name IS NULL THEN NULL
        WHEN typeof(NEW.first_name) <> 'text' THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': first_name: ' || 'must be text, not ' || typeof(NEW.first_name))
        WHEN instr(NEW.first_name, char(0)) THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': first_name: holds a NUL character')
        WHEN length(NEW.first_name) < 1 THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': first_name: ' || 'has ' || length(NEW.first_name) || ' characters, at least 1 is needed')
        WHEN length(NEW.first_name) > 100 THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': first_name: ' || 'has ' || length(NEW.first_name) || ' characters, at most 100 are allowed')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'first_name', 'set', json_quote(NEW.first_name), json_quote(OLD.first_name), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_last_name AFTER UPDATE OF last_name ON customer
WHEN NEW.last_name IS NOT OLD.last_name AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.last_name IS NULL AND coalesce((SELECT json_type(body, '$.last_name') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': last_name: NULL is not allowed')
        WHEN NEW.last_name IS NULL THEN NULL
        WHEN typeof(NEW.last_name) <> 'text' THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': last_name: ' || 'must be text, not ' || typeof(NEW.last_name))
        WHEN instr(NEW.last_name, char(0)) THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': last_name: holds a NUL character')
        WHEN length(NEW.last_name) < 1 THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': last_name: ' || 'has ' || length(NEW.last_name) || ' characters, at least 1 is needed')
        WHEN length(NEW.last_name) > 100 THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': last_name: ' || 'has ' || length(NEW.last_name) || ' characters, at most 100 are allowed')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'last_name', 'set', json_quote(NEW.last_name), json_quote(OLD.last_name), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_company AFTER UPDATE OF company ON customer
WHEN NEW.company IS NOT OLD.company AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.company IS NULL AND coalesce((SELECT json_type(body, '$.company') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': company: NULL is not allowed')
        WHEN NEW.company IS NULL THEN NULL
        WHEN typeof(NEW.company) <> 'text' THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': company: ' || 'must be text, not ' || typeof(NEW.company))
        WHEN instr(NEW.company, char(0)) THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': company: holds a NUL character')
        WHEN length(NEW.company) > 255 THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': company: ' || 'has ' || length(NEW.company) || ' characters, at most 255 are allowed')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'company', 'set', json_quote(NEW.company), json_quote(OLD.company), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_phone AFTER UPDATE OF phone ON customer
WHEN NEW.phone IS NOT OLD.phone AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.phone IS NULL AND coalesce((SELECT json_type(body, '$.phone') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': phone: NULL is not allowed')
        WHEN NEW.phone IS NULL THEN NULL
        WHEN typeof(NEW.phone) <> 'text' THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': phone: ' || 'must be text, not ' || typeof(NEW.phone))
        WHEN instr(NEW.phone, char(0)) THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': phone: holds a NUL character')
        WHEN length(NEW.phone) > 50 THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': phone: ' || 'has ' || length(NEW.phone) || ' characters, at most 50 are allowed')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'phone', 'set', json_quote(NEW.phone), json_quote(OLD.phone), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_notes AFTER UPDATE OF notes ON customer
WHEN NEW.notes IS NOT OLD.notes AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.notes IS NULL AND coalesce((SELECT json_type(body, '$.notes') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': notes: NULL is not allowed')
        WHEN NEW.notes IS NULL THEN NULL
        WHEN typeof(NEW.notes) <> 'text' THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': notes: ' || 'must be text, not ' || typeof(NEW.notes))
        WHEN instr(NEW.notes, char(0)) THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': notes: holds a NUL character')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'notes', 'set', json_quote(NEW.notes), json_quote(OLD.notes), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_tax_exempt_category AFTER UPDATE OF tax_exempt_category ON customer
WHEN NEW.tax_exempt_category IS NOT OLD.tax_exempt_category AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.tax_exempt_category IS NULL AND coalesce((SELECT json_type(body, '$.tax_exempt_category') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': tax_exempt_category: NULL is not allowed')
        WHEN NEW.tax_exempt_category IS NULL THEN NULL
        WHEN typeof(NEW.tax_exempt_category) <> 'text' THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': tax_exempt_category: ' || 'must be text, not ' || typeof(NEW.tax_exempt_category))
        WHEN instr(NEW.tax_exempt_category, char(0)) THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': tax_exempt_category: holds a NUL character')
        WHEN length(NEW.tax_exempt_category) > 255 THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': tax_exempt_category: ' || 'has ' || length(NEW.tax_exempt_category) || ' characters, at most 255 are allowed')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'tax_exempt_category', 'set', json_quote(NEW.tax_exempt_category), json_quote(OLD.tax_exempt_category), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_customer_group_id AFTER UPDATE OF customer_group_id ON customer
WHEN NEW.customer_group_id IS NOT OLD.customer_group_id AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.customer_group_id IS NULL AND coalesce((SELECT json_type(body, '$.customer_group_id') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': customer_group_id: NULL is not allowed')
        WHEN NEW.customer_group_id IS NULL THEN NULL
        WHEN typeof(NEW.customer_group_id) <> 'integer' THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': customer_group_id: ' || 'must be a whole number, not ' || typeof(NEW.customer_group_id))
        WHEN NEW.customer_group_id NOT BETWEEN 0 AND 2147483647 THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': customer_group_id: must be from 0 (no group) to 2147483647')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'customer_group_id', 'set', json_quote(NEW.customer_group_id), json_quote(OLD.customer_group_id), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_accepts_product_review_abandoned_cart_emails AFTER UPDATE OF accepts_product_review_abandoned_cart_emails ON customer
WHEN NEW.accepts_product_review_abandoned_cart_emails IS NOT OLD.accepts_product_review_abandoned_cart_emails AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.accepts_product_review_abandoned_cart_emails IS NULL AND coalesce((SELECT json_type(body, '$.accepts_product_review_abandoned_cart_emails') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': accepts_product_review_abandoned_cart_emails: NULL is not allowed')
        WHEN NEW.accepts_product_review_abandoned_cart_emails IS NULL THEN NULL
        WHEN typeof(NEW.accepts_product_review_abandoned_cart_emails) <> 'integer' OR NEW.accepts_product_review_abandoned_cart_emails NOT IN (0, 1) THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': accepts_product_review_abandoned_cart_emails: must be 0 or 1')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'accepts_product_review_abandoned_cart_emails', 'set', CASE NEW.accepts_product_review_abandoned_cart_emails WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END, CASE OLD.accepts_product_review_abandoned_cart_emails WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_force_password_reset AFTER UPDATE OF force_password_reset ON customer
WHEN NEW.force_password_reset IS NOT OLD.force_password_reset AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.force_password_reset IS NULL AND coalesce((SELECT json_type(body, '$.authentication.force_password_reset') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': force_password_reset: NULL is not allowed')
        WHEN NEW.force_password_reset IS NULL THEN NULL
        WHEN typeof(NEW.force_password_reset) <> 'integer' OR NEW.force_password_reset NOT IN (0, 1) THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': force_password_reset: must be 0 or 1')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'force_password_reset', 'set', CASE NEW.force_password_reset WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END, CASE OLD.force_password_reset WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_channel_ids AFTER UPDATE OF channel_ids ON customer
WHEN NEW.channel_ids IS NOT OLD.channel_ids AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.channel_ids IS NULL AND coalesce((SELECT json_type(body, '$.channel_ids') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': channel_ids: NULL is not allowed')
        WHEN NEW.channel_ids IS NULL THEN NULL
        WHEN typeof(NEW.channel_ids) <> 'text' OR NOT json_valid(NEW.channel_ids) THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': channel_ids: must be a JSON array of channel ids, such as [1,2]')
        WHEN json_type(NEW.channel_ids) <> 'array' THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': channel_ids: must be a JSON array of channel ids, such as [1,2]')
        WHEN json_array_length(NEW.channel_ids) = 0 THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': channel_ids: an empty array is not allowed')
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.channel_ids) WHERE type <> 'integer' OR value NOT BETWEEN 1 AND 2147483647)
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': channel_ids: must be a JSON array of channel ids, such as [1,2]')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'channel_ids', 'set', coalesce(NEW.channel_ids, 'null'), coalesce(OLD.channel_ids, 'null'), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context)
    WHERE (SELECT json_group_array(value) FROM (SELECT DISTINCT value FROM json_each(NEW.channel_ids) ORDER BY value))
          IS NOT (SELECT json_group_array(value) FROM (SELECT DISTINCT value FROM json_each(OLD.channel_ids) ORDER BY value)) OR NEW.channel_ids IS NULL OR OLD.channel_ids IS NULL;
END;

CREATE TRIGGER customer_form_fields AFTER UPDATE OF form_fields ON customer
WHEN NEW.form_fields IS NOT OLD.form_fields AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.form_fields IS NULL AND coalesce((SELECT json_type(body, '$.form_fields') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': form_fields: NULL is not allowed')
        WHEN NEW.form_fields IS NULL THEN NULL
        WHEN typeof(NEW.form_fields) <> 'text' OR NOT json_valid(NEW.form_fields) THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': form_fields: must be a JSON array of {"name": text, "value": text, number or array of texts}')
        WHEN json_type(NEW.form_fields) <> 'array' THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': form_fields: must be a JSON array of {"name": text, "value": text, number or array of texts}')
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.form_fields) WHERE type <> 'object') THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': form_fields: must be a JSON array of {"name": text, "value": text, number or array of texts}')
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.form_fields)
                     WHERE coalesce(json_type(value, '$.name'), '') <> 'text' OR value ->> '$.name' = ''
                        OR coalesce(json_type(value, '$.value'), '') NOT IN ('text', 'integer', 'real', 'array'))
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': form_fields: must be a JSON array of {"name": text, "value": text, number or array of texts}')
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.form_fields) AS entry, json_each(entry.value) AS member
                     WHERE member.key NOT IN ('name', 'value', 'customer_id'))
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': form_fields: an entry has only name and value')
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.form_fields) AS entry, json_each(entry.value, '$.value') AS item
                     WHERE json_type(entry.value, '$.value') = 'array' AND item.type <> 'text')
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': form_fields: must be a JSON array of {"name": text, "value": text, number or array of texts}')
        WHEN (SELECT count(*) <> count(DISTINCT value ->> '$.name') FROM json_each(NEW.form_fields))
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': form_fields: names an entry twice')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'form_fields', 'set', coalesce(NEW.form_fields, 'null'), coalesce(OLD.form_fields, 'null'), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context)
    WHERE (SELECT json_group_array(json(value)) FROM (SELECT json_object('name', value ->> '$.name', 'value', value -> '$.value') AS value FROM json_each(coalesce(NEW.form_fields, '[]')) ORDER BY value ->> '$.name'))
          IS NOT (SELECT json_group_array(json(value)) FROM (SELECT json_object('name', value ->> '$.name', 'value', value -> '$.value') AS value FROM json_each(coalesce(OLD.form_fields, '[]')) ORDER BY value ->> '$.name'));
END;

CREATE TRIGGER customer_store_credit_amounts AFTER UPDATE OF store_credit_amounts ON customer
WHEN NEW.store_credit_amounts IS NOT OLD.store_credit_amounts AND (SELECT writing FROM engine_guard) = 0
BEGIN
    SELECT CASE
        WHEN NEW.store_credit_amounts IS NULL AND coalesce((SELECT json_type(body, '$.store_credit_amounts') FROM snapshot WHERE id = OLD.id), 'null') <> 'null'
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': store_credit_amounts: NULL is not allowed')
        WHEN NEW.store_credit_amounts IS NULL THEN NULL
        WHEN typeof(NEW.store_credit_amounts) <> 'text' OR NOT json_valid(NEW.store_credit_amounts) THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': store_credit_amounts: must be a JSON array such as [{"amount":43.15}]')
        WHEN json_type(NEW.store_credit_amounts) <> 'array' THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': store_credit_amounts: must be a JSON array such as [{"amount":43.15}]')
        WHEN json_array_length(NEW.store_credit_amounts) = 0
             AND coalesce((SELECT json_array_length(body, '$.store_credit_amounts') FROM snapshot WHERE id = OLD.id), -1) <> 0
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': store_credit_amounts: an empty array is not allowed: give [{"amount":0}]')
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.store_credit_amounts) WHERE type <> 'object') THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': store_credit_amounts: must be a JSON array such as [{"amount":43.15}]')
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.store_credit_amounts) AS entry, json_each(entry.value) AS member WHERE member.key <> 'amount')
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': store_credit_amounts: must be a JSON array such as [{"amount":43.15}]')
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.store_credit_amounts)
                     WHERE coalesce(json_type(value, '$.amount'), '') NOT IN ('integer', 'real'))
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': store_credit_amounts: must be a JSON array such as [{"amount":43.15}]')
        WHEN EXISTS (SELECT 1 FROM (SELECT ltrim(NEW.store_credit_amounts -> (fullkey || '.amount'), '-') AS amount FROM json_each(NEW.store_credit_amounts))
                     WHERE amount GLOB '*[^0-9.]*' OR length(amount || '.') - instr(amount || '.', '.') > 5
                        OR instr(amount || '.', '.') > 15)
            THEN json_extract('{}', 'tillsync refused: customer ' || OLD.id || ': store_credit_amounts: an amount has at most 14 digits before the point and 4 after it, and no exponent')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'store_credit_amounts', 'set', coalesce(NEW.store_credit_amounts, 'null'), coalesce(OLD.store_credit_amounts, 'null'), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context)
    WHERE (SELECT group_concat(CASE WHEN instr(amount, '.') THEN rtrim(rtrim(amount, '0'), '.') ELSE amount END) FROM (SELECT NEW.store_credit_amounts -> (fullkey || '.amount') AS amount FROM json_each(NEW.store_credit_amounts)))
          IS NOT (SELECT group_concat(CASE WHEN instr(amount, '.') THEN rtrim(rtrim(amount, '0'), '.') ELSE amount END) FROM (SELECT OLD.store_credit_amounts -> (fullkey || '.amount') AS amount FROM json_each(OLD.store_credit_amounts)));
END;

-- ---------------------------------------------------------------------------------------------------------------
-- Store credit by a signed amount, which commutes with what others do to it:
--     INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (42, '-12.50');
-- The sum is exact: both amounts are taken as text and added as integers, scaled by 10,000.
CREATE VIEW store_credit_adjustment (customer_id, amount) AS SELECT NULL, NULL WHERE 0;
CREATE VIEW store_credit_scaled (customer_id, amount) AS
    -- The first amount of each customer, times 10,000; NULL when it cannot be held exactly.
    SELECT id, CASE WHEN t = '' THEN 0
                    WHEN digits GLOB '*[^0-9.]*' OR length(fraction) > 4 OR length(whole) > 14 THEN NULL
                    ELSE (CASE WHEN t LIKE '-%' THEN -1 ELSE 1 END) * CAST(whole || substr(fraction || '0000', 1, 4) AS INTEGER)
               END
    FROM (SELECT id, t, digits,
                 substr(digits, 1, instr(digits || '.', '.') - 1) AS whole,
                 rtrim(substr(digits, instr(digits || '.', '.') + 1), '0') AS fraction
          FROM (SELECT id, coalesce(store_credit_amounts -> '$[0].amount', '') AS t,
                       ltrim(coalesce(store_credit_amounts -> '$[0].amount', ''), '-') AS digits
                FROM customer));
CREATE TRIGGER store_credit_adjustment_insert INSTEAD OF INSERT ON store_credit_adjustment
BEGIN
    SELECT CASE
        WHEN NOT EXISTS (SELECT 1 FROM customer WHERE id IS NEW.customer_id)
            THEN json_extract('{}', 'tillsync refused: customer ' || coalesce(NEW.customer_id, 'NULL') || ': store_credit_amounts: no such customer in this file')
        WHEN typeof(NEW.amount) NOT IN ('integer', 'real', 'text')
            THEN json_extract('{}', 'tillsync refused: customer ' || coalesce(NEW.customer_id, 'NULL') || ': store_credit_amounts: an adjustment is a signed amount, such as -12.50')
        WHEN ltrim(CAST(NEW.amount AS TEXT), '+-') = '' OR ltrim(CAST(NEW.amount AS TEXT), '+-') = '.'
             OR length(CAST(NEW.amount AS TEXT)) - length(ltrim(CAST(NEW.amount AS TEXT), '+-')) > 1
             OR ltrim(CAST(NEW.amount AS TEXT), '+-') GLOB '*[^0-9.]*'
             OR ltrim(CAST(NEW.amount AS TEXT), '+-') GLOB '*.*.*'
            THEN json_extract('{}', 'tillsync refused: customer ' || coalesce(NEW.customer_id, 'NULL') || ': store_credit_amounts: an adjustment is a signed amount, such as -12.50')
        WHEN length(rtrim(substr(CAST(NEW.amount AS TEXT), instr(CAST(NEW.amount AS TEXT) || '.', '.') + 1), '0')) > 4
            THEN json_extract('{}', 'tillsync refused: customer ' || coalesce(NEW.customer_id, 'NULL') || ': store_credit_amounts: an adjustment has at most four decimal places')
        WHEN instr(ltrim(CAST(NEW.amount AS TEXT), '+-') || '.', '.') > 14
            THEN json_extract('{}', 'tillsync refused: customer ' || coalesce(NEW.customer_id, 'NULL') || ': store_credit_amounts: the amount is too large')
        WHEN (SELECT amount FROM store_credit_scaled WHERE customer_id = NEW.customer_id) IS NULL
            THEN json_extract('{}', 'tillsync refused: customer ' || coalesce(NEW.customer_id, 'NULL') || ': store_credit_amounts: the balance has more than four decimal places, set it instead')
        WHEN abs((SELECT amount FROM store_credit_scaled WHERE customer_id = NEW.customer_id)) > 900000000000000000
            THEN json_extract('{}', 'tillsync refused: customer ' || coalesce(NEW.customer_id, 'NULL') || ': store_credit_amounts: the amount is too large')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT NEW.customer_id, 'store_credit_amounts', 'adjust',
           json_quote(CASE WHEN amount < 0 THEN '-' ELSE '' END || (abs(amount) / 10000)
                      || rtrim(rtrim('.' || substr('0000' || (abs(amount) % 10000), -4), '0'), '.')),
           coalesce((SELECT store_credit_amounts FROM customer WHERE id = NEW.customer_id), 'null'),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           (SELECT author FROM edit_context), (SELECT label FROM edit_context)
    FROM (SELECT (CASE WHEN CAST(NEW.amount AS TEXT) LIKE '-%' THEN -1 ELSE 1 END) * CAST(substr(ltrim(CAST(NEW.amount AS TEXT), '+-'), 1, instr(ltrim(CAST(NEW.amount AS TEXT), '+-') || '.', '.') - 1) || substr(substr(ltrim(CAST(NEW.amount AS TEXT), '+-'), instr(ltrim(CAST(NEW.amount AS TEXT), '+-') || '.', '.') + 1) || '0000', 1, 4) AS INTEGER) AS amount)
    WHERE amount <> 0;
    -- The working copy follows; the guard keeps this from being journaled a second time, as a set.
    UPDATE engine_guard SET writing = writing + 1;
    UPDATE customer
    SET store_credit_amounts = (
        SELECT json_set(CASE WHEN coalesce(json_array_length(store_credit_amounts), 0) = 0
                             THEN '[{"amount":0}]' ELSE store_credit_amounts END,
                        '$[0].amount',
                        json(CASE WHEN total < 0 THEN '-' ELSE '' END || (abs(total) / 10000)
                             || rtrim(rtrim('.' || substr('0000' || (abs(total) % 10000), -4), '0'), '.')))
        FROM (SELECT (SELECT amount FROM store_credit_scaled WHERE customer_id = NEW.customer_id) + (CASE WHEN CAST(NEW.amount AS TEXT) LIKE '-%' THEN -1 ELSE 1 END) * CAST(substr(ltrim(CAST(NEW.amount AS TEXT), '+-'), 1, instr(ltrim(CAST(NEW.amount AS TEXT), '+-') || '.', '.') - 1) || substr(substr(ltrim(CAST(NEW.amount AS TEXT), '+-'), instr(ltrim(CAST(NEW.amount AS TEXT), '+-') || '.', '.') + 1) || '0000', 1, 4) AS INTEGER) AS total))
    WHERE id = NEW.customer_id;
    UPDATE engine_guard SET writing = writing - 1;
END;

-- A new password goes in here and is never read back:
--     INSERT INTO password_change (customer_id, new_password) VALUES (42, '…');
CREATE VIEW password_change (customer_id, new_password) AS SELECT NULL, NULL WHERE 0;
CREATE TRIGGER password_change_insert INSTEAD OF INSERT ON password_change
BEGIN
    SELECT CASE
        WHEN NOT EXISTS (SELECT 1 FROM customer WHERE id IS NEW.customer_id)
            THEN json_extract('{}', 'tillsync refused: customer ' || coalesce(NEW.customer_id, 'NULL') || ': new_password: no such customer in this file')
        WHEN typeof(NEW.new_password) <> 'text'
            THEN json_extract('{}', 'tillsync refused: customer ' || coalesce(NEW.customer_id, 'NULL') || ': new_password: must be text')
        WHEN length(NEW.new_password) = 0 OR instr(NEW.new_password, char(0))
            THEN json_extract('{}', 'tillsync refused: customer ' || coalesce(NEW.customer_id, 'NULL') || ': new_password: must not be empty or hold a NUL character')
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    VALUES (NEW.customer_id, 'new_password', 'set', '"***"', '"***"', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
            (SELECT author FROM edit_context), (SELECT label FROM edit_context));
    INSERT INTO pending_password (seq, customer_id, new_password)
    VALUES (last_insert_rowid(), NEW.customer_id, NEW.new_password);
END;
