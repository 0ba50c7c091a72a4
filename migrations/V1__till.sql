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
-- The guard is read as `IS NOT 1`, so that a file that lost its row refuses and journals too much, never too little.
-- See docs/sql.md for what an app may do, and docs/decisions/0003-refusals-in-triggers.md for how a refusal works.

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
-- Refusals. A message must name the customer, the field and the limit, but `RAISE` takes only a literal before
-- SQLite 3.47. So a refusal is the error of `json_extract` for a path that is no path: it quotes the whole text.
-- The `RAISE` behind it refuses too, in fewer words, should a version not fail at that.
--     INSERT INTO refusal SELECT 'customer 42: phone', 'is …';      -- NULL for the problem: no refusal

CREATE VIEW refusal (who, problem) AS SELECT NULL, NULL WHERE 0;
CREATE TRIGGER refusal_insert INSTEAD OF INSERT ON refusal WHEN NEW.problem IS NOT NULL
BEGIN
    SELECT coalesce(json_extract('{}', 'tillsync refused: ' || NEW.who || ': ' || NEW.problem),
                    RAISE(ABORT, 'tillsync refused: the edit'));
END;

-- Text: least and most characters, not bytes; NULL for most: no limit. Without a customer: NULL is allowed.
-- SQLite takes any bytes for text, so each character that is not printable ASCII is decoded and encoded again: bytes
-- that are not UTF-8 come out different (in older versions U+FFFE and U+FFFF too, which are). In pieces of 64, for `substr` counts.
CREATE VIEW check_text (customer_id, field, least, most, value) AS SELECT NULL, NULL, NULL, NULL, NULL WHERE 0;
CREATE TRIGGER check_text_insert INSTEAD OF INSERT ON check_text
BEGIN
    INSERT INTO refusal
    SELECT coalesce('customer ' || NEW.customer_id || ': ', '') || NEW.field, CASE
        WHEN NEW.value IS NULL
            THEN (SELECT 'NULL is not allowed' FROM snapshot
                  WHERE id = NEW.customer_id AND coalesce(json_type(body, '$.' || NEW.field), 'null') <> 'null')
        WHEN typeof(NEW.value) <> 'text' THEN 'must be text, not ' || typeof(NEW.value)
        WHEN instr(NEW.value, char(0)) THEN 'holds a NUL character'
        WHEN NEW.value GLOB '*[^ -~]*' AND EXISTS (
            SELECT 1
            FROM (SELECT substr(NEW.value, 64 * key + 1, 64) AS piece
                  FROM json_each('[' || replace(hex(zeroblob(length(NEW.value) / 64)), '00', '0,') || '0]')
                  LIMIT -1) AS pieces,
                 json_each('[' || replace(hex(zeroblob(63)), '00', '0,') || '0]') AS place
            WHERE piece GLOB '*[^ -~]*'
              AND place.key < length(piece)
              AND char(unicode(substr(piece, place.key + 1, 1))) <> substr(piece, place.key + 1, 1)
              AND hex(substr(piece, place.key + 1, 1)) NOT IN ('EFBFBE', 'EFBFBF'))
            THEN 'is not valid UTF-8'
        WHEN length(NEW.value) < NEW.least
            THEN 'has ' || length(NEW.value) || ' characters, at least ' || NEW.least
                 || iif(NEW.least = 1, ' is', ' are') || ' needed'
        WHEN length(NEW.value) > NEW.most
            THEN 'has ' || length(NEW.value) || ' characters, at most ' || NEW.most || ' are allowed'
    END;
END;

-- ---------------------------------------------------------------------------------------------------------------
-- What an app may not do.

CREATE TRIGGER customer_insert BEFORE INSERT ON customer WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: customer: INSERT is not supported yet: create customers in the store, then pull');
END;
CREATE TRIGGER customer_delete BEFORE DELETE ON customer WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: customer: DELETE is not supported yet: delete customers in the store, then pull --full');
END;
-- Not `UPDATE OF id`: `SET rowid = …` changes the id too, under another name.
CREATE TRIGGER customer_id BEFORE UPDATE ON customer WHEN NEW.id IS NOT OLD.id
BEGIN
    INSERT INTO refusal VALUES ('customer ' || OLD.id || ': id', 'is read-only, it names the customer');
END;
-- A row that a trigger writes bears the instant of the statement that is running, to the millisecond and in this
-- spelling; one that an app writes does not. The one change that a trigger makes is to call a set an adjustment.
CREATE TRIGGER journal_insert BEFORE INSERT ON journal
WHEN (SELECT writing FROM engine_guard) IS NOT 1
 AND (NEW.at IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') OR NEW.outcome IS NOT NULL OR NEW.settled_at IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: journal: is written by the triggers: edit customer');
END;
CREATE TRIGGER journal_update BEFORE UPDATE ON journal
WHEN (SELECT writing FROM engine_guard) IS NOT 1
 AND NOT (OLD.op = 'set' AND NEW.op = 'adjust' AND OLD.at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: journal: is append-only: use discard or retry');
END;
CREATE TRIGGER journal_delete BEFORE DELETE ON journal WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: journal: is append-only: use discard or retry');
END;
CREATE TRIGGER snapshot_insert BEFORE INSERT ON snapshot WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: snapshot: is the engine''s alone: edit customer');
END;
CREATE TRIGGER snapshot_update BEFORE UPDATE ON snapshot WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: snapshot: is the engine''s alone: edit customer');
END;
CREATE TRIGGER snapshot_delete BEFORE DELETE ON snapshot WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: snapshot: is the engine''s alone: edit customer');
END;
CREATE TRIGGER engine_guard_delete BEFORE DELETE ON engine_guard
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: engine_guard: is the engine''s alone');
END;
CREATE TRIGGER edit_context_delete BEFORE DELETE ON edit_context
BEGIN
    SELECT RAISE(ABORT, 'tillsync refused: edit_context: keeps its one row: set author and label to NULL');
END;
CREATE TRIGGER edit_context_insert BEFORE INSERT ON edit_context
BEGIN
    INSERT INTO check_text VALUES (NULL, 'edit_context: author', 0, NULL, NEW.author);
    INSERT INTO check_text VALUES (NULL, 'edit_context: label', 0, NULL, NEW.label);
END;
CREATE TRIGGER edit_context_update BEFORE UPDATE ON edit_context
BEGIN
    INSERT INTO check_text VALUES (NULL, 'edit_context: author', 0, NULL, NEW.author);
    INSERT INTO check_text VALUES (NULL, 'edit_context: label', 0, NULL, NEW.label);
END;

-- Read-only attributes and subresources. Setting one to what it is changes nothing and is let through.
CREATE TRIGGER customer_read_only
BEFORE UPDATE OF registration_ip_address, origin_channel_id, date_created, date_modified,
                 address_count, attribute_count, addresses, attributes, shopper_profile_id, segment_ids
ON customer WHEN (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || OLD.id, CASE
        WHEN NEW.registration_ip_address IS NOT OLD.registration_ip_address THEN 'registration_ip_address: is read-only, the store sets it'
        WHEN NEW.origin_channel_id IS NOT OLD.origin_channel_id THEN 'origin_channel_id: is read-only, the store sets it'
        WHEN NEW.date_created IS NOT OLD.date_created THEN 'date_created: is read-only, the store sets it'
        WHEN NEW.date_modified IS NOT OLD.date_modified THEN 'date_modified: is read-only, the store sets it'
        WHEN NEW.address_count IS NOT OLD.address_count THEN 'address_count: is a subresource and cannot be edited here'
        WHEN NEW.attribute_count IS NOT OLD.attribute_count THEN 'attribute_count: is a subresource and cannot be edited here'
        WHEN NEW.addresses IS NOT OLD.addresses THEN 'addresses: is a subresource and cannot be edited here'
        WHEN NEW.attributes IS NOT OLD.attributes THEN 'attributes: is a subresource and cannot be edited here'
        WHEN NEW.shopper_profile_id IS NOT OLD.shopper_profile_id THEN 'shopper_profile_id: is a subresource and cannot be edited here'
        WHEN NEW.segment_ids IS NOT OLD.segment_ids THEN 'segment_ids: is a subresource and cannot be edited here'
    END;
END;

-- ---------------------------------------------------------------------------------------------------------------
-- Edits: each is checked, then journaled. NULL is only taken back to: it is allowed where the snapshot has none either.
-- BEFORE the row is written: a trigger of the app's own that gives up halfway (`RAISE(FAIL)`, `RAISE(IGNORE)`) may
-- leave a journal row without a change, which settles as unchanged, but never a change without its journal row.

CREATE TRIGGER customer_email BEFORE UPDATE OF email ON customer
WHEN NEW.email IS NOT OLD.email AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'email', 3, 255, NEW.email);
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'email', 'set', json_quote(NEW.email), json_quote(OLD.email),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_first_name BEFORE UPDATE OF first_name ON customer
WHEN NEW.first_name IS NOT OLD.first_name AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'first_name', 1, 100, NEW.first_name);
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'first_name', 'set', json_quote(NEW.first_name), json_quote(OLD.first_name),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_last_name BEFORE UPDATE OF last_name ON customer
WHEN NEW.last_name IS NOT OLD.last_name AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'last_name', 1, 100, NEW.last_name);
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'last_name', 'set', json_quote(NEW.last_name), json_quote(OLD.last_name),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_company BEFORE UPDATE OF company ON customer
WHEN NEW.company IS NOT OLD.company AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'company', 0, 255, NEW.company);
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'company', 'set', json_quote(NEW.company), json_quote(OLD.company),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_phone BEFORE UPDATE OF phone ON customer
WHEN NEW.phone IS NOT OLD.phone AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'phone', 0, 50, NEW.phone);
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'phone', 'set', json_quote(NEW.phone), json_quote(OLD.phone),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_notes BEFORE UPDATE OF notes ON customer
WHEN NEW.notes IS NOT OLD.notes AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'notes', 0, NULL, NEW.notes);
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'notes', 'set', json_quote(NEW.notes), json_quote(OLD.notes),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_tax_exempt_category BEFORE UPDATE OF tax_exempt_category ON customer
WHEN NEW.tax_exempt_category IS NOT OLD.tax_exempt_category AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'tax_exempt_category', 0, 255, NEW.tax_exempt_category);
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'tax_exempt_category', 'set', json_quote(NEW.tax_exempt_category),
           json_quote(OLD.tax_exempt_category),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_customer_group_id BEFORE UPDATE OF customer_group_id ON customer
WHEN NEW.customer_group_id IS NOT OLD.customer_group_id AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || OLD.id || ': customer_group_id', CASE
        WHEN NEW.customer_group_id IS NULL
            THEN (SELECT 'NULL is not allowed' FROM snapshot
                  WHERE id = OLD.id AND coalesce(json_type(body, '$.customer_group_id'), 'null') <> 'null')
        WHEN typeof(NEW.customer_group_id) <> 'integer' THEN 'must be a whole number, not ' || typeof(NEW.customer_group_id)
        WHEN NEW.customer_group_id NOT BETWEEN 0 AND 2147483647 THEN 'must be from 0 (no group) to 2147483647'
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'customer_group_id', 'set', json_quote(NEW.customer_group_id),
           json_quote(OLD.customer_group_id),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_accepts_product_review_abandoned_cart_emails
BEFORE UPDATE OF accepts_product_review_abandoned_cart_emails ON customer
WHEN NEW.accepts_product_review_abandoned_cart_emails IS NOT OLD.accepts_product_review_abandoned_cart_emails
 AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || OLD.id || ': accepts_product_review_abandoned_cart_emails', CASE
        WHEN NEW.accepts_product_review_abandoned_cart_emails IS NULL
            THEN (SELECT 'NULL is not allowed' FROM snapshot
                  WHERE id = OLD.id AND coalesce(json_type(body, '$.accepts_product_review_abandoned_cart_emails'), 'null') <> 'null')
        WHEN typeof(NEW.accepts_product_review_abandoned_cart_emails) <> 'integer' OR NEW.accepts_product_review_abandoned_cart_emails NOT IN (0, 1)
            THEN 'must be 0 or 1'
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'accepts_product_review_abandoned_cart_emails', 'set',
           CASE NEW.accepts_product_review_abandoned_cart_emails WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END,
           CASE OLD.accepts_product_review_abandoned_cart_emails WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END,
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

CREATE TRIGGER customer_force_password_reset BEFORE UPDATE OF force_password_reset ON customer
WHEN NEW.force_password_reset IS NOT OLD.force_password_reset AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || OLD.id || ': force_password_reset', CASE
        WHEN NEW.force_password_reset IS NULL
            THEN (SELECT 'NULL is not allowed' FROM snapshot
                  WHERE id = OLD.id AND coalesce(json_type(body, '$.authentication.force_password_reset'), 'null') <> 'null')
        WHEN typeof(NEW.force_password_reset) <> 'integer' OR NEW.force_password_reset NOT IN (0, 1)
            THEN 'must be 0 or 1'
    END;
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'force_password_reset', 'set',
           CASE NEW.force_password_reset WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END,
           CASE OLD.force_password_reset WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END,
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context);
END;

-- A set: written in another order it is the same.
CREATE TRIGGER customer_channel_ids BEFORE UPDATE OF channel_ids ON customer
WHEN NEW.channel_ids IS NOT OLD.channel_ids AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || OLD.id || ': channel_ids', CASE
        WHEN NEW.channel_ids IS NULL
            THEN (SELECT 'NULL is not allowed' FROM snapshot
                  WHERE id = OLD.id AND coalesce(json_type(body, '$.channel_ids'), 'null') <> 'null')
        WHEN typeof(NEW.channel_ids) <> 'text' OR instr(NEW.channel_ids, char(0)) THEN shape
        WHEN NOT json_valid(NEW.channel_ids) THEN shape
        WHEN json_type(NEW.channel_ids) <> 'array' THEN shape
        WHEN json_array_length(NEW.channel_ids) = 0 THEN 'an empty array is not allowed'
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.channel_ids) WHERE type <> 'integer' OR value NOT BETWEEN 1 AND 2147483647)
            THEN shape
    END
    FROM (SELECT 'must be a JSON array of channel ids, such as [1,2]' AS shape);
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'channel_ids', 'set', coalesce(NEW.channel_ids, 'null'),
           coalesce(OLD.channel_ids, 'null'),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context)
    WHERE NEW.channel_ids IS NULL OR OLD.channel_ids IS NULL
       OR (SELECT json_group_array(value) FROM (SELECT DISTINCT value FROM json_each(NEW.channel_ids) ORDER BY value))
          IS NOT (SELECT json_group_array(value) FROM (SELECT DISTINCT value FROM json_each(OLD.channel_ids) ORDER BY value));
END;

-- Entries by name: written in another order, or with other escapes, it is the same.
CREATE TRIGGER customer_form_fields BEFORE UPDATE OF form_fields ON customer
WHEN NEW.form_fields IS NOT OLD.form_fields AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || OLD.id || ': form_fields', CASE
        WHEN NEW.form_fields IS NULL
            THEN (SELECT 'NULL is not allowed' FROM snapshot
                  WHERE id = OLD.id AND coalesce(json_type(body, '$.form_fields'), 'null') <> 'null')
        WHEN typeof(NEW.form_fields) <> 'text' OR instr(NEW.form_fields, char(0)) THEN shape
        WHEN NOT json_valid(NEW.form_fields) THEN shape
        WHEN json_type(NEW.form_fields) <> 'array' THEN shape
        WHEN instr(replace(NEW.form_fields, '\\', ''), '\u0000') THEN 'holds a NUL character'
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.form_fields) WHERE type <> 'object') THEN shape
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.form_fields) AS entry, json_each(entry.value) AS member
                     WHERE member.key NOT IN ('name', 'value', 'customer_id')
                        OR (member.key = 'customer_id' AND member.type <> 'integer'))
            THEN 'an entry has only name and value'
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.form_fields) AS entry
                     WHERE (SELECT count(*) <> count(DISTINCT key) FROM json_each(entry.value))
                        OR coalesce(json_type(entry.value, '$.name'), '') <> 'text'
                        OR entry.value ->> '$.name' = ''
                        OR coalesce(json_type(entry.value, '$.value'), '') NOT IN ('text', 'integer', 'real', 'array'))
            THEN shape
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.form_fields) AS entry, json_each(entry.value, '$.value') AS item
                     WHERE json_type(entry.value, '$.value') = 'array' AND item.type <> 'text')
            THEN shape
        WHEN (SELECT count(*) <> count(DISTINCT value ->> '$.name') FROM json_each(NEW.form_fields))
            THEN 'names an entry twice'
    END
    FROM (SELECT 'must be a JSON array of {"name": text, "value": text, number or array of texts}' AS shape);
    INSERT INTO check_text
    SELECT OLD.id, 'form_fields', 0, NULL, coalesce(group_concat(atom, ' '), '')
    FROM json_tree(NEW.form_fields)
    WHERE type = 'text';
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'form_fields', 'set', coalesce(NEW.form_fields, 'null'),
           coalesce(OLD.form_fields, 'null'),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context)
    WHERE NEW.form_fields IS NULL OR OLD.form_fields IS NULL OR instr(OLD.form_fields, '\u0000')
       OR (SELECT json_group_array(json_array(name, type, value))
           FROM (SELECT json_extract(NEW.form_fields, fullkey || '.name') AS name,
                        json_type(NEW.form_fields, fullkey || '.value') AS type,
                        CASE json_type(NEW.form_fields, fullkey || '.value')
                            WHEN 'text' THEN NEW.form_fields ->> (fullkey || '.value')
                            ELSE NEW.form_fields -> (fullkey || '.value')
                        END AS value
                 FROM json_each(NEW.form_fields)
                 ORDER BY 1))
          IS NOT
          (SELECT json_group_array(json_array(name, type, value))
           FROM (SELECT json_extract(OLD.form_fields, fullkey || '.name') AS name,
                        json_type(OLD.form_fields, fullkey || '.value') AS type,
                        CASE json_type(OLD.form_fields, fullkey || '.value')
                            WHEN 'text' THEN OLD.form_fields ->> (fullkey || '.value')
                            ELSE OLD.form_fields -> (fullkey || '.value')
                        END AS value
                 FROM json_each(OLD.form_fields)
                 ORDER BY 1));
END;

-- Money: 43.1 and 43.10 are the same. The text of each amount is looked at, never a float.
CREATE TRIGGER customer_store_credit_amounts BEFORE UPDATE OF store_credit_amounts ON customer
WHEN NEW.store_credit_amounts IS NOT OLD.store_credit_amounts AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || OLD.id || ': store_credit_amounts', CASE
        WHEN NEW.store_credit_amounts IS NULL
            THEN (SELECT 'NULL is not allowed' FROM snapshot
                  WHERE id = OLD.id AND coalesce(json_type(body, '$.store_credit_amounts'), 'null') <> 'null')
        WHEN typeof(NEW.store_credit_amounts) <> 'text' OR instr(NEW.store_credit_amounts, char(0)) THEN shape
        WHEN NOT json_valid(NEW.store_credit_amounts) THEN shape
        WHEN json_type(NEW.store_credit_amounts) <> 'array' THEN shape
        WHEN json_array_length(NEW.store_credit_amounts) = 0
            THEN (SELECT 'an empty array is not allowed: give [{"amount":0}]'
                  WHERE NOT EXISTS (SELECT 1 FROM snapshot
                                    WHERE id = OLD.id AND json_array_length(body, '$.store_credit_amounts') = 0))
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.store_credit_amounts) WHERE type <> 'object') THEN shape
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.store_credit_amounts) AS entry
                     WHERE (SELECT count(*) <> 1 OR max(key) <> 'amount' FROM json_each(entry.value))
                        OR json_type(entry.value, '$.amount') NOT IN ('integer', 'real'))
            THEN shape
        WHEN EXISTS (SELECT 1
                     FROM (SELECT ltrim(NEW.store_credit_amounts -> (fullkey || '.amount'), '-') || '.' AS digits
                           FROM json_each(NEW.store_credit_amounts))
                     WHERE digits GLOB '*[^0-9.]*' OR instr(digits, '.') > 15 OR length(digits) - instr(digits, '.') > 5)
            THEN 'an amount has at most 14 digits before the point and 4 after it, and no exponent'
    END
    FROM (SELECT 'must be a JSON array such as [{"amount":43.15}]' AS shape);
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    SELECT OLD.id, 'store_credit_amounts', 'set', coalesce(NEW.store_credit_amounts, 'null'),
           coalesce(OLD.store_credit_amounts, 'null'),
           strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context)
    WHERE NEW.store_credit_amounts IS NULL OR OLD.store_credit_amounts IS NULL
       OR (SELECT group_concat(CASE WHEN instr(amount, '.') THEN rtrim(rtrim(amount, '0'), '.') ELSE coalesce(amount, '') END)
           FROM (SELECT NEW.store_credit_amounts -> (fullkey || '.amount') AS amount FROM json_each(NEW.store_credit_amounts)))
          IS NOT
          (SELECT group_concat(CASE WHEN instr(amount, '.') THEN rtrim(rtrim(amount, '0'), '.') ELSE coalesce(amount, '') END)
           FROM (SELECT OLD.store_credit_amounts -> (fullkey || '.amount') AS amount FROM json_each(OLD.store_credit_amounts)));
END;

-- ---------------------------------------------------------------------------------------------------------------
-- Store credit by a signed amount, which commutes with what others do to it:
--     INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (42, '-12.50');
-- The sum is exact: amounts are taken as text and added as integers, scaled by 10,000. A float counts by its first 15
-- digits, in which 0.1 + 0.2 is 0.3; that is to four decimal places only below 10^11, and a larger one is refused.

CREATE VIEW store_credit_adjustment (customer_id, amount) AS SELECT NULL, NULL WHERE 0;
CREATE TRIGGER store_credit_adjustment_insert INSTEAD OF INSERT ON store_credit_adjustment
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || coalesce(NEW.customer_id, 'NULL') || ': store_credit_amounts', CASE
        WHEN NOT EXISTS (SELECT 1 FROM customer WHERE id IS NEW.customer_id) THEN 'no such customer in this file'
        WHEN typeof(NEW.amount) NOT IN ('integer', 'real', 'text') OR instr(NEW.amount, char(0))
             OR digits GLOB '*[^0-9.]*' OR digits GLOB '*.*.*' OR digits NOT GLOB '*[0-9]*'
            THEN 'an adjustment is a signed amount, such as -12.50'
        WHEN typeof(NEW.amount) = 'real' AND abs(NEW.amount) >= 1e11 THEN 'give an amount of this size as text'
        WHEN length(rtrim(substr(digits, instr(digits || '.', '.') + 1), '0')) > 4
            THEN 'an adjustment has at most four decimal places'
        WHEN instr(ltrim(digits, '0') || '.', '.') > 15 THEN 'the amount is too large'
    END
    FROM (SELECT substr(amount, 1 + (amount GLOB '[-+]*')) AS digits
          FROM (SELECT iif(typeof(NEW.amount) = 'real', printf('%.15g', NEW.amount), NEW.amount) AS amount));
    INSERT INTO store_credit_change (customer_id, amount, balance)
    SELECT credit.customer_id,
           CASE WHEN NEW.amount LIKE '-%' THEN -1 ELSE 1 END
           * CAST(substr(digits, 1, instr(digits || '.', '.') - 1)
                  || substr(substr(digits, instr(digits || '.', '.') + 1) || '0000', 1, 4) AS INTEGER),
           credit.balance
    FROM (SELECT substr(amount, 1 + (amount GLOB '[-+]*')) AS digits
          FROM (SELECT iif(typeof(NEW.amount) = 'real', printf('%.15g', NEW.amount), NEW.amount) AS amount)),
         store_credit_scaled AS credit
    WHERE credit.customer_id IS NEW.customer_id;
END;

-- The first amount of each customer, times 10,000; NULL when it cannot be held exactly.
CREATE VIEW store_credit_scaled (customer_id, balance) AS
    SELECT id, CASE
        WHEN coalesce(json_type(store_credit_amounts), 'null') = 'null' THEN 0
        WHEN json_type(store_credit_amounts) = 'array' AND json_array_length(store_credit_amounts) = 0 THEN 0
        WHEN digits GLOB '*[^0-9.]*' OR length(fraction) > 4 OR length(whole) > 14 THEN NULL
        ELSE CASE WHEN amount LIKE '-%' THEN -1 ELSE 1 END * CAST(whole || substr(fraction || '0000', 1, 4) AS INTEGER)
    END
    FROM (SELECT id, store_credit_amounts, amount, digits,
                 substr(digits, 1, instr(digits || '.', '.') - 1) AS whole,
                 rtrim(substr(digits, instr(digits || '.', '.') + 1), '0') AS fraction
          FROM (SELECT id, store_credit_amounts, store_credit_amounts -> '$[0].amount' AS amount,
                       ltrim(store_credit_amounts -> '$[0].amount', '-') AS digits
                FROM customer));

-- The working copy first, which journals a set; then that set is called what it is. Both amounts are times 10,000.
CREATE VIEW store_credit_change (customer_id, amount, balance) AS SELECT NULL, NULL, NULL WHERE 0;
CREATE TRIGGER store_credit_change_insert INSTEAD OF INSERT ON store_credit_change WHEN NEW.amount <> 0
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || NEW.customer_id || ': store_credit_amounts', CASE
        WHEN NEW.balance IS NULL THEN 'the balance is no amount with at most four decimal places, set it instead'
        WHEN abs(NEW.balance + NEW.amount) >= 1000000000000000000 THEN 'the amount is too large'
    END;
    UPDATE customer
    SET store_credit_amounts = (
        SELECT '[{"amount":' || CASE WHEN total < 0 THEN '-' ELSE '' END
               || rtrim(rtrim(printf('%d.%04d', abs(total) / 10000, abs(total) % 10000), '0'), '.') || '}'
               || coalesce((SELECT group_concat(',' || value, '') FROM json_each(store_credit_amounts) WHERE key > 0), '')
               || ']'
        FROM (SELECT NEW.balance + NEW.amount AS total))
    WHERE id = NEW.customer_id;
    UPDATE journal
    SET op = 'adjust',
        value = json_quote(CASE WHEN NEW.amount < 0 THEN '-' ELSE '' END
                || rtrim(rtrim(printf('%d.%04d', abs(NEW.amount) / 10000, abs(NEW.amount) % 10000), '0'), '.'))
    WHERE seq = (SELECT max(seq) FROM journal
                 WHERE customer_id = NEW.customer_id AND field = 'store_credit_amounts' AND settled_at IS NULL)
      AND op = 'set'
      AND at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now');
END;

-- ---------------------------------------------------------------------------------------------------------------
-- A new password goes in here and is never read back:
--     INSERT INTO password_change (customer_id, new_password) VALUES (42, '…');

CREATE VIEW password_change (customer_id, new_password) AS SELECT NULL, NULL WHERE 0;
CREATE TRIGGER password_change_insert INSTEAD OF INSERT ON password_change
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || coalesce(NEW.customer_id, 'NULL') || ': new_password', CASE
        WHEN NOT EXISTS (SELECT 1 FROM customer WHERE id IS NEW.customer_id) THEN 'no such customer in this file'
        WHEN NEW.new_password IS NULL THEN 'NULL is not allowed'
    END;
    INSERT INTO check_text VALUES (NEW.customer_id, 'new_password', 1, NULL, NEW.new_password);
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    VALUES (NEW.customer_id, 'new_password', 'set', '"***"', '"***"',
            strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context));
    INSERT INTO pending_password (seq, customer_id, new_password)
    VALUES (last_insert_rowid(), NEW.customer_id, NEW.new_password);
END;
