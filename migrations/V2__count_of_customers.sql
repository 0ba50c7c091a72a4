-- How many customers the snapshot holds is kept, and no longer counted one by one: a large store's file would be read whole.
INSERT INTO state (key, value)
SELECT 'snapshot_customers', CAST(count(*) AS TEXT)
FROM snapshot;
