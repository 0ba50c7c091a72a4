-- Store credit by a signed amount, which commutes with what others do to it:
--     INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (42, '-12.50');
-- The sum is exact: amounts are taken as text and added as integers, scaled by 10,000. A float counts by its first 15
-- digits, in which 0.1 + 0.2 is 0.3; that is to four decimal places only below 10^11, and a larger one is refused.

CREATE VIEW store_credit_adjustment (customer_id, amount) AS SELECT NULL, NULL WHERE 0;
-- Behind the other, which ends with IGNORE where it ran: reached only where SQLite skipped that.
CREATE TRIGGER store_credit_adjustment_is_journaled INSTEAD OF INSERT ON store_credit_adjustment
BEGIN
    INSERT INTO refusal
    VALUES ('customer ' || coalesce(NEW.customer_id, 'NULL') || ': store_credit_amounts', {not_journaled});
END;
CREATE TRIGGER store_credit_adjustment_insert INSTEAD OF INSERT ON store_credit_adjustment
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || coalesce(NEW.customer_id, 'NULL') || ': store_credit_amounts', CASE
        WHEN NOT EXISTS (SELECT 1 FROM customer WHERE id IS NEW.customer_id) THEN 'no such customer in this file'
        WHEN typeof(NEW.amount) NOT IN ('integer', 'real', 'text') OR instr(NEW.amount, char(0))
             OR digits GLOB '*[^0-9.]*' OR digits GLOB '*.*.*' OR digits NOT GLOB '*[0-9]*'
            THEN 'an adjustment is a signed amount, such as -12.50, not ' || {as_typed}
                 || iif(instr(NEW.amount, ','), ', which has a comma for a decimal point', '')
        WHEN typeof(NEW.amount) = 'real' AND abs(NEW.amount) >= 1e11 THEN 'give an amount of this size as text'
        WHEN length(rtrim(substr(digits, instr(digits || '.', '.') + 1), '0')) > {fraction}
            THEN 'an adjustment has at most four decimal places, not ' || {as_typed}
        WHEN instr(ltrim(digits, '0') || '.', '.') - 1 > {whole}
            THEN 'an adjustment has at most {whole} digits before the point, not ' || {as_typed}
    END
    FROM (SELECT substr(amount, 1 + (amount GLOB '[-+]*')) AS digits
          FROM (SELECT iif(typeof(NEW.amount) = 'real', printf('%.15g', NEW.amount), NEW.amount) AS amount));
    INSERT INTO store_credit_change (customer_id, amount, balance)
    SELECT credit.customer_id,
           CASE WHEN substr(NEW.amount, 1, 1) = '-' THEN -1 ELSE 1 END
           * CAST(substr(digits, 1, instr(digits || '.', '.') - 1)
                  || substr(substr(digits, instr(digits || '.', '.') + 1) || '0000', 1, 4) AS INTEGER),
           credit.balance
    FROM (SELECT substr(amount, 1 + (amount GLOB '[-+]*')) AS digits
          FROM (SELECT iif(typeof(NEW.amount) = 'real', printf('%.15g', NEW.amount), NEW.amount) AS amount)),
         store_credit_scaled AS credit
    WHERE credit.customer_id IS NEW.customer_id;
    SELECT RAISE(IGNORE);
END;

-- The first amount of each customer, times 10,000; NULL when it cannot be held exactly.
CREATE VIEW store_credit_scaled (customer_id, balance) AS
    SELECT id, CASE
        WHEN coalesce(json_type(store_credit_amounts), 'null') = 'null' THEN 0
        WHEN json_type(store_credit_amounts) = 'array' AND json_array_length(store_credit_amounts) = 0 THEN 0
        WHEN digits GLOB '*[^0-9.]*' OR length(fraction) > 4 OR length(whole) > 14 THEN NULL
        ELSE CASE WHEN substr(amount, 1, 1) = '-' THEN -1 ELSE 1 END * CAST(whole || substr(fraction || '0000', 1, 4) AS INTEGER)
    END
    FROM (SELECT id, store_credit_amounts, amount, digits,
                 substr(digits, 1, instr(digits || '.', '.') - 1) AS whole,
                 rtrim(substr(digits, instr(digits || '.', '.') + 1), '0') AS fraction
          FROM (SELECT id, store_credit_amounts, amount, ltrim(amount, '-') AS digits
                FROM (SELECT id, store_credit_amounts, {first_amount} AS amount FROM customer)));

-- The working copy first, which journals a set; then that set is called what it is. Both amounts are times 10,000.
CREATE VIEW store_credit_change (customer_id, amount, balance) AS SELECT NULL, NULL, NULL WHERE 0;
CREATE TRIGGER store_credit_change_insert INSTEAD OF INSERT ON store_credit_change WHEN NEW.amount <> 0
BEGIN
    INSERT INTO refusal
    SELECT 'customer ' || NEW.customer_id || ': store_credit_amounts', CASE
        WHEN NEW.balance IS NULL THEN 'the balance is no amount with at most four decimal places, set it instead'
        WHEN abs(NEW.balance + NEW.amount) >= 1000000000000000000 THEN 'the amount is too large'
    END;
    UPDATE customer
    SET store_credit_amounts = {sum of store_credit_amounts}
    WHERE id = NEW.customer_id;
    -- Not the newest row: a trigger of the app may have edited the balance since. And none, where one ignored the update.
    UPDATE journal
    SET op = 'adjust',
        value = json_quote(CASE WHEN NEW.amount < 0 THEN '-' ELSE '' END
                || rtrim(rtrim(printf('%d.%04d', abs(NEW.amount) / 10000, abs(NEW.amount) % 10000), '0'), '.')),
        engine_mark = NOT engine_mark
    WHERE changes() > 0
      AND seq = (SELECT max(seq) FROM journal
                 WHERE customer_id = NEW.customer_id AND field = 'store_credit_amounts' AND settled_at IS NULL
                   AND op = 'set' AND at = {now} AND value = {sum of was});
    INSERT INTO refusal
    SELECT 'customer ' || NEW.customer_id || ': store_credit_amounts', {not_journaled} WHERE changes() = 0;
END;
