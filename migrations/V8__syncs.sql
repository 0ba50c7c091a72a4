-- How the last hundred syncs went, for `status`, and for whoever helps. It holds codes and counts, no word of the store and no
-- value of a customer.
CREATE TABLE tillsync_syncs (
    id         INTEGER PRIMARY KEY,
    kind       TEXT NOT NULL,               -- sync, push or pull
    began_at   TEXT NOT NULL,               -- by the till's clock; of the first, where a row stands for several
    ended_at   TEXT NOT NULL,               -- of the last
    elapsed_ms INTEGER NOT NULL,            -- of the last
    outcome    TEXT NOT NULL,               -- done, incomplete (the store's list was not whole), or the code of the error
    times      INTEGER NOT NULL DEFAULT 1,  -- failures of one kind that follow each other share a row
    counts     TEXT NOT NULL                -- JSON, by the names of a sync's report; of the last
) STRICT;
