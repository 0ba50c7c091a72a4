-- What is nobody's but the engine's bears a prefix, so that an app may call its own tables as it likes; of tables and views only those
-- that docs/sql.md describes for apps bear plain names. The views and triggers that bore others are taken out by whoever upgrades
-- (src/store/schema/upgrade.rs), before this.
ALTER TABLE engine_guard RENAME TO tillsync_guard;
ALTER TABLE attempt      RENAME TO tillsync_attempt;
ALTER TABLE pull_seen    RENAME TO tillsync_pull_seen;
ALTER TABLE held_up      RENAME TO tillsync_held_up;
ALTER TABLE search_due   RENAME TO tillsync_search_due;

-- An index is not renamed, but made anew.
DROP INDEX IF EXISTS customer_email;
DROP INDEX IF EXISTS customer_phone;
DROP INDEX IF EXISTS customer_first_name;
DROP INDEX IF EXISTS customer_last_name;
DROP INDEX IF EXISTS customer_company;
DROP INDEX IF EXISTS journal_unsettled;
DROP INDEX IF EXISTS journal_settled;
DROP INDEX IF EXISTS journal_settled_at;
DROP INDEX IF EXISTS conflict_open;
DROP INDEX IF EXISTS conflict_decided;
DROP INDEX IF EXISTS conflict_seq;
DROP INDEX IF EXISTS conflict_resolved_at;
DROP INDEX IF EXISTS decision_waiting;
DROP INDEX IF EXISTS decision_decided_at;
DROP INDEX IF EXISTS attempt_customer;
DROP INDEX IF EXISTS attempt_accepted;
CREATE INDEX tillsync_customer_email      ON customer (email      COLLATE NOCASE);
CREATE INDEX tillsync_customer_phone      ON customer (phone      COLLATE NOCASE);
CREATE INDEX tillsync_customer_first_name ON customer (first_name COLLATE NOCASE);
CREATE INDEX tillsync_customer_last_name  ON customer (last_name  COLLATE NOCASE);
CREATE INDEX tillsync_customer_company    ON customer (company    COLLATE NOCASE);
CREATE INDEX tillsync_journal_unsettled   ON journal (customer_id, seq) WHERE settled_at IS NULL;
CREATE INDEX tillsync_journal_settled     ON journal (customer_id, seq) WHERE settled_at IS NOT NULL;
CREATE INDEX tillsync_journal_settled_at  ON journal (settled_at) WHERE settled_at IS NOT NULL;
CREATE UNIQUE INDEX tillsync_conflict_open ON conflict (customer_id, field) WHERE resolution IS NULL;
CREATE INDEX tillsync_conflict_decided    ON conflict (customer_id) WHERE resolution IS NOT NULL;
CREATE INDEX tillsync_conflict_seq        ON conflict (seq) WHERE seq IS NOT NULL;
CREATE INDEX tillsync_conflict_resolved_at ON conflict (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE UNIQUE INDEX tillsync_decision_waiting ON decision (seen) WHERE outcome IS NULL;
CREATE INDEX tillsync_decision_decided_at ON decision (decided_at) WHERE decided_at IS NOT NULL;
CREATE INDEX tillsync_attempt_customer    ON tillsync_attempt (customer_id);
CREATE INDEX tillsync_attempt_accepted    ON tillsync_attempt (applied_by) WHERE is_accepted = 1;
