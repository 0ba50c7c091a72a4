-- What the store said yes to and did not show has settled, and stays on record until a reading tells it.
ALTER TABLE attempt ADD COLUMN is_accepted INTEGER NOT NULL DEFAULT 0;   -- 1: the store said yes, and its answer did not tell the attribute
CREATE INDEX attempt_accepted ON attempt (applied_by) WHERE is_accepted = 1;
