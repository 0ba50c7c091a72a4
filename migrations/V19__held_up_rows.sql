-- Which row of a customer holds it up: only that one lets it go. NULL: the customer itself; of another resource: `address.42.7`.
ALTER TABLE tillsync_held_up ADD COLUMN row TEXT;
