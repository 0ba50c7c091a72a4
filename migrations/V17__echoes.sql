-- A yes that only repeated what was asked stays on record too, as 2: both kinds are found by when they were applied at the latest.
DROP INDEX tillsync_attempt_accepted;
CREATE INDEX tillsync_attempt_accepted ON tillsync_attempt (applied_by) WHERE is_accepted > 0;
