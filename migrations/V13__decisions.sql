-- What a person has decided, by SQL: the library carries it out when it next looks, and says here what became of it.
CREATE TABLE decision (
    id         INTEGER PRIMARY KEY,
    seen       TEXT NOT NULL,               -- what the person was shown, as `to_decide` names it
    keep       TEXT NOT NULL,               -- 'local', 'remote', 'value', 'retry', 'discard'
    value      TEXT,                        -- for 'value': as on the command line
    author     TEXT,                        -- who decided
    at         TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    outcome    TEXT,                        -- NULL: it waits; 'done', or 'refused'
    reason     TEXT,                        -- why it was refused
    decided_at TEXT                         -- when it was carried out, or refused
) STRICT;
CREATE UNIQUE INDEX decision_waiting ON decision (seen) WHERE outcome IS NULL;
CREATE INDEX decision_decided_at ON decision (decided_at) WHERE decided_at IS NOT NULL;
