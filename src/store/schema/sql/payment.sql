CREATE VIEW {view} ({columns}) AS SELECT {nulls} WHERE 0;
-- Behind the other, which ends with IGNORE where it ran: reached only where SQLite skipped that.
CREATE TRIGGER tillsync_{view}_is_journaled INSTEAD OF INSERT ON {view}
BEGIN
    INSERT INTO tillsync_refusal
    VALUES ('customer ' || {customer} || ': {money}', {not_journaled});
END;
CREATE TRIGGER tillsync_{view}_insert INSTEAD OF INSERT ON {view}
BEGIN{who_is_text}
    INSERT INTO tillsync_refusal
    SELECT 'customer ' || {customer} || ': {money}', CASE
        WHEN NOT EXISTS (SELECT 1 FROM customer WHERE id IS {today}) THEN 'no such customer in this file'{and_who}
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
    INSERT INTO tillsync_credit_change (customer_id, amount, balance, is_known, allowed_by)
    SELECT credit.customer_id,
           CASE WHEN substr(NEW.amount, 1, 1) = '-' THEN -1 ELSE 1 END
           * CAST(substr(digits, 1, instr(digits || '.', '.') - 1)
                  || substr(substr(digits, instr(digits || '.', '.') + 1) || '0000', 1, 4) AS INTEGER),
           credit.balance,
           credit.is_known,
           {allowed_by}
    FROM (SELECT substr(amount, 1 + (amount GLOB '[-+]*')) AS digits
          FROM (SELECT iif(typeof(NEW.amount) = 'real', printf('%.15g', NEW.amount), NEW.amount) AS amount)),
         tillsync_credit_scaled AS credit
    WHERE credit.customer_id IS {today};
    SELECT RAISE(IGNORE);
END;
