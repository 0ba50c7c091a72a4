-- Money is decided row by row, and what waits for a person says all that a decision needs.
--
-- An update on its way keeps what it was computed from, so that a balance which is what it was before can be told from one
-- that was spent again. A decision that was made by itself keeps what it came to, so that it can be taken back while that
-- is still there. A refused edit keeps the update that it was part of.

ALTER TABLE batch_item ADD COLUMN base TEXT;     -- JSON: the attributes that were sent, and date_modified, as the snapshot had them; NULL: not kept
ALTER TABLE conflict   ADD COLUMN result TEXT;   -- JSON: the value that was decided for; NULL: it waits, or a person decided
ALTER TABLE journal    ADD COLUMN sent TEXT;     -- rejected: the update as it was sent, a password shown as ***; NULL: it was not

-- A refused payment used to stay in the working copy's balance, and to go along with the next one. Those that wait in this
-- file are asked once more, each for itself.
UPDATE engine_guard SET writing = 1;
UPDATE journal
SET outcome = NULL, reason = NULL, reject_group = NULL
WHERE settled_at IS NULL AND outcome = 'rejected' AND field = 'store_credit_amounts';
UPDATE engine_guard SET writing = 0;
