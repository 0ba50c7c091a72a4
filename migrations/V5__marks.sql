-- What the engine writes bears its mark, in the very statement: see src/store/schema/sql/guards.sql. Until now a flag said that
-- the engine is busy, and what an app's trigger did meanwhile went for the engine's.
ALTER TABLE customer ADD COLUMN engine_mark INTEGER NOT NULL DEFAULT 0;
ALTER TABLE snapshot ADD COLUMN engine_mark INTEGER NOT NULL DEFAULT 0;
ALTER TABLE journal  ADD COLUMN engine_mark INTEGER NOT NULL DEFAULT 0;

-- A customer that could not be written, because a trigger, an index or a foreign key of the app's own refused: the store's news
-- of it, or the outcome of its edits. It is read by id again with each sync; until then nothing of it is sent.
CREATE TABLE held_up (
    customer_id INTEGER PRIMARY KEY,
    reason      TEXT NOT NULL,              -- SQLite's words, and the app's triggers that there are
    since       TEXT NOT NULL               -- by the till's clock
) STRICT;
