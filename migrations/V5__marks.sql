-- What the engine writes bears its mark, in the very statement: see src/store/schema/sql/guards.sql. Until now a flag said that
-- the engine is busy, and what an app's trigger did meanwhile went for the engine's.
ALTER TABLE customer ADD COLUMN engine_mark INTEGER NOT NULL DEFAULT 0;
ALTER TABLE snapshot ADD COLUMN engine_mark INTEGER NOT NULL DEFAULT 0;
ALTER TABLE journal  ADD COLUMN engine_mark INTEGER NOT NULL DEFAULT 0;
