-- Which file this is: a number drawn when it is made, and anew for each backup, so that a log of another file beside it is
-- recognised (src/store/stray.rs). It stands on two pages of which every commit of the engine, or of an edit, writes one: here,
-- and among the counters of SQLite. `turn` counts the engine's transactions.
ALTER TABLE engine_guard ADD COLUMN identity INTEGER;
ALTER TABLE engine_guard ADD COLUMN turn     INTEGER NOT NULL DEFAULT 0;
UPDATE engine_guard SET identity = random();
INSERT INTO sqlite_sequence (name, seq) SELECT 'tillsync', identity FROM engine_guard;
