-- What a customer's attributes were before they were changed within the last minutes, as hashes: a reading that shows that lags
-- behind (src/flow/lately.rs). NULL: nothing is remembered.
ALTER TABLE snapshot ADD COLUMN lately TEXT;
