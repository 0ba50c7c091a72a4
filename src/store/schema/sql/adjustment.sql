-- Store credit by a signed amount, which commutes with what others do to it:
--     INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (42, '-12.50');
-- The sum is exact: amounts are taken as text and added as integers, scaled by 10,000. A float counts by its first 15
-- digits, in which 0.1 + 0.2 is 0.3; that is to four decimal places only below 10^11, and a larger one is refused.
--
-- A payment that would take a balance below the floor of the file is refused (`credit_floor` in `state`, times 10,000; `none`: there is
-- no floor; not there: 0), unless somebody allows it by name:
--     INSERT INTO store_credit_override (customer_id, amount, allowed_by) VALUES (42, '-12.50', 'ana');
-- A balance that the store does not tell is below nothing.

{payments}

-- The first amount of each customer, times 10,000; NULL when it cannot be held exactly. As it is spelled, too. Who is not created yet has
-- what it was given here, and nothing else.
CREATE VIEW tillsync_credit_scaled (customer_id, balance, is_known, amount) AS
    SELECT id, CASE
        WHEN coalesce(json_type({money}), 'null') = 'null' THEN 0
        WHEN json_type({money}) = 'array' AND json_array_length({money}) = 0 THEN 0
        WHEN digits GLOB '*[^0-9.]*' OR length(fraction) > 4 OR length(whole) > 14 THEN NULL
        ELSE CASE WHEN substr(amount, 1, 1) = '-' THEN -1 ELSE 1 END * CAST(whole || substr(fraction || '0000', 1, 4) AS INTEGER)
    END, coalesce(json_type({money}), 'null') <> 'null' OR id < 0, amount
    FROM (SELECT id, {money}, amount, digits,
                 substr(digits, 1, instr(digits || '.', '.') - 1) AS whole,
                 rtrim(substr(digits, instr(digits || '.', '.') + 1), '0') AS fraction
          FROM (SELECT id, {money}, amount, ltrim(amount, '-') AS digits
                FROM (SELECT id, {money}, {first_amount} AS amount FROM customer)));

-- The working copy first, which journals a set; then that set is called what it is. Both amounts are times 10,000.
CREATE VIEW tillsync_credit_change (customer_id, amount, balance, is_known, allowed_by) AS
    SELECT NULL, NULL, NULL, NULL, NULL WHERE 0;
-- Behind the other, as above: one way to pay may stand on the stack beneath the other.
CREATE TRIGGER tillsync_credit_change_is_journaled INSTEAD OF INSERT ON tillsync_credit_change WHEN NEW.amount <> 0
BEGIN
    INSERT INTO tillsync_refusal VALUES ('customer ' || NEW.customer_id || ': {money}', {not_journaled});
END;
CREATE TRIGGER tillsync_credit_change_insert INSTEAD OF INSERT ON tillsync_credit_change WHEN NEW.amount <> 0
BEGIN
    INSERT INTO tillsync_refusal
    SELECT 'customer ' || NEW.customer_id || ': {money}', CASE
        WHEN NEW.balance IS NULL THEN 'the balance is no amount with at most four decimal places, set it instead'
        WHEN abs(NEW.balance + NEW.amount) >= 1000000000000000000 THEN 'the amount is too large'
        WHEN NEW.amount < 0 AND NEW.is_known AND NEW.allowed_by IS NULL
            THEN (SELECT 'the balance is ' || {money of NEW.balance} || ' and would be ' || {money of after}
                         || ', below the floor of ' || {money of floor}
                         || ': take less, or have it allowed by name (store_credit_override, credit --override)'
                  FROM (SELECT NEW.balance + NEW.amount AS after, CAST(value AS INTEGER) AS floor
                        FROM (SELECT coalesce((SELECT value FROM state WHERE key = 'credit_floor'), '0') AS value)
                        WHERE value <> 'none')
                  WHERE after < floor)
    END;
    UPDATE customer
    SET {money} = {sum of {money}}
    WHERE id = NEW.customer_id;
    -- Not the newest row: a trigger of the app may have edited the balance since. And none, where one ignored the update.
    UPDATE journal
    SET op = 'adjust',
        value = json_quote(CASE WHEN NEW.amount < 0 THEN '-' ELSE '' END
                || rtrim(rtrim(printf('%d.%04d', abs(NEW.amount) / 10000, abs(NEW.amount) % 10000), '0'), '.')),
        allowed_by = NEW.allowed_by,
        engine_mark = NOT engine_mark
    WHERE changes() > 0
      AND seq = (SELECT max(seq) FROM journal
                 WHERE customer_id = NEW.customer_id AND field = '{money}' AND settled_at IS NULL
                   AND op = 'set' AND at = {now} AND value = {sum of was});
    INSERT INTO tillsync_refusal
    SELECT 'customer ' || NEW.customer_id || ': {money}', {not_journaled} WHERE changes() = 0;
    SELECT RAISE(IGNORE);
END;

-- What a customer has to spend, as a person would write it: `12.50`. NULL: the store does not tell.
CREATE VIEW customer_credit (customer_id, balance) AS
    SELECT customer_id, CASE WHEN is_known THEN coalesce({money of balance}, amount) END
    FROM tillsync_credit_scaled;
