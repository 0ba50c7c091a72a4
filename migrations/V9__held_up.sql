-- Customers of whom something of the app's (a trigger, a unique index) refuses what came from the store. Each waits alone, is not
-- sent, and is read again by id at each sync.
CREATE TABLE held_up (
    customer_id INTEGER PRIMARY KEY,
    since       TEXT NOT NULL,
    error       TEXT NOT NULL,              -- SQLite's words, or the trigger's
    cause       TEXT                        -- the trigger or index, where it can be told; NULL: it cannot
) STRICT;
