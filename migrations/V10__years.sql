-- A file may be ten years old: what settled is found by its customer, and by its age, so that no question walks through all of it.
-- Indexes of settled rows alone: an edit writes into none of them.
CREATE INDEX journal_settled ON journal (customer_id, seq) WHERE settled_at IS NOT NULL;
CREATE INDEX journal_settled_at ON journal (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX conflict_decided ON conflict (customer_id) WHERE resolution IS NOT NULL;
CREATE INDEX conflict_seq ON conflict (seq) WHERE seq IS NOT NULL;
CREATE INDEX conflict_resolved_at ON conflict (resolved_at) WHERE resolved_at IS NOT NULL;
