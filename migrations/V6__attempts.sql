-- Every update that left with an attribute is an attempt, and stays on record until an answer or a reading back proves that it
-- landed, or that it can never land. While its answer is awaited, or it is in doubt, it stands in `batch_item`; when a refusal
-- ended it, its edits are pending again, or wait for a person, and it stands here: a store may refuse what it has applied.

CREATE TABLE attempt (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id INTEGER NOT NULL,
    field       TEXT NOT NULL,
    value       TEXT NOT NULL,              -- JSON, as sent
    base        TEXT NOT NULL,              -- JSON: what it was computed from
    modified    TEXT,                       -- date_modified of that; NULL: not told
    covers      TEXT NOT NULL,              -- JSON array: the journal rows that it was made of
    left_at     TEXT NOT NULL,              -- when its request left, by the till's clock
    applied_by  TEXT NOT NULL,              -- the latest that the store may have applied it, by the till's clock
    is_refuted  INTEGER NOT NULL            -- 1: a reading after that showed that it had not landed by then
) STRICT;
CREATE INDEX attempt_customer ON attempt (customer_id);

ALTER TABLE batch ADD COLUMN applied_by TEXT;   -- the latest that the store may have applied it, by the till's clock; NULL: no answer yet
