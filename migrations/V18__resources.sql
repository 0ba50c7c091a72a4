-- A row of another resource than customers has edits, conflicts and uploads of its own, beside those of the customer whose it is: what it
-- is of and which one stand in two columns that are NULL of a customer, so that nothing that is there is written again. `resource` and
-- `row_id`, for whoever reads, are computed from them.
ALTER TABLE journal          ADD COLUMN of_resource TEXT;      -- NULL: the customer itself
ALTER TABLE journal          ADD COLUMN of_row      INTEGER;   -- NULL: the customer itself
ALTER TABLE journal          ADD COLUMN resource    TEXT    AS (coalesce(of_resource, 'customer'));
ALTER TABLE journal          ADD COLUMN row_id      INTEGER AS (coalesce(of_row, customer_id));
ALTER TABLE conflict         ADD COLUMN of_resource TEXT;
ALTER TABLE conflict         ADD COLUMN of_row      INTEGER;
ALTER TABLE conflict         ADD COLUMN resource    TEXT    AS (coalesce(of_resource, 'customer'));
ALTER TABLE conflict         ADD COLUMN row_id      INTEGER AS (coalesce(of_row, customer_id));
ALTER TABLE batch_item       ADD COLUMN of_resource TEXT;
ALTER TABLE batch_item       ADD COLUMN of_row      INTEGER;
ALTER TABLE batch_item       ADD COLUMN resource    TEXT    AS (coalesce(of_resource, 'customer'));
ALTER TABLE batch_item       ADD COLUMN row_id      INTEGER AS (coalesce(of_row, customer_id));
ALTER TABLE tillsync_attempt ADD COLUMN of_resource TEXT;
ALTER TABLE tillsync_attempt ADD COLUMN of_row      INTEGER;
ALTER TABLE tillsync_attempt ADD COLUMN resource    TEXT    AS (coalesce(of_resource, 'customer'));
ALTER TABLE tillsync_attempt ADD COLUMN row_id      INTEGER AS (coalesce(of_row, customer_id));

-- A batch is one call, to one endpoint.
ALTER TABLE batch ADD COLUMN resource TEXT NOT NULL DEFAULT 'customer';
ALTER TABLE batch ADD COLUMN verb     TEXT NOT NULL DEFAULT 'update';     -- update
