-- Who allowed a payment that takes a balance below the file's floor; NULL: it needed nobody.
ALTER TABLE journal ADD COLUMN allowed_by TEXT;
