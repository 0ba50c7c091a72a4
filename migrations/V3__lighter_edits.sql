-- An edit of a text costs less; what is refused, and in which words, is as before.
--
-- What a text may be was looked at by a trigger on a view, for every edit. Now a trigger of its own sees at a glance that
-- a text is plain (printable ASCII of a fitting length), and only what is not plain is looked at closely. It is apart from
-- the one that journals, because SQLite runs `WHEN` before anything of a body. A refusal takes back the whole statement,
-- so their order decides about nothing but the words for a blob, which the journal cannot hold; SQLite runs the newest first.
--
-- The journal's row is inserted by VALUES, which SQLite runs without a subroutine for the SELECT.

DROP TRIGGER customer_email;
CREATE TRIGGER customer_email BEFORE UPDATE OF email ON customer
WHEN NEW.email IS NOT OLD.email AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    VALUES (OLD.id, 'email', 'set', json_quote(NEW.email), json_quote(OLD.email),
            strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context));
END;
CREATE TRIGGER customer_email_is_valid BEFORE UPDATE OF email ON customer
WHEN NEW.email IS NOT OLD.email
 AND (typeof(NEW.email) <> 'text' OR length(NEW.email) < 3 OR length(NEW.email) > 255
      OR length(CAST(NEW.email AS BLOB)) <> length(NEW.email) OR NEW.email GLOB '*[^ -~]*')
 AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'email', 3, 255, NEW.email);
END;

DROP TRIGGER customer_first_name;
CREATE TRIGGER customer_first_name BEFORE UPDATE OF first_name ON customer
WHEN NEW.first_name IS NOT OLD.first_name AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    VALUES (OLD.id, 'first_name', 'set', json_quote(NEW.first_name), json_quote(OLD.first_name),
            strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context));
END;
CREATE TRIGGER customer_first_name_is_valid BEFORE UPDATE OF first_name ON customer
WHEN NEW.first_name IS NOT OLD.first_name
 AND (typeof(NEW.first_name) <> 'text' OR length(NEW.first_name) < 1 OR length(NEW.first_name) > 100
      OR length(CAST(NEW.first_name AS BLOB)) <> length(NEW.first_name) OR NEW.first_name GLOB '*[^ -~]*')
 AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'first_name', 1, 100, NEW.first_name);
END;

DROP TRIGGER customer_last_name;
CREATE TRIGGER customer_last_name BEFORE UPDATE OF last_name ON customer
WHEN NEW.last_name IS NOT OLD.last_name AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    VALUES (OLD.id, 'last_name', 'set', json_quote(NEW.last_name), json_quote(OLD.last_name),
            strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context));
END;
CREATE TRIGGER customer_last_name_is_valid BEFORE UPDATE OF last_name ON customer
WHEN NEW.last_name IS NOT OLD.last_name
 AND (typeof(NEW.last_name) <> 'text' OR length(NEW.last_name) < 1 OR length(NEW.last_name) > 100
      OR length(CAST(NEW.last_name AS BLOB)) <> length(NEW.last_name) OR NEW.last_name GLOB '*[^ -~]*')
 AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'last_name', 1, 100, NEW.last_name);
END;

DROP TRIGGER customer_company;
CREATE TRIGGER customer_company BEFORE UPDATE OF company ON customer
WHEN NEW.company IS NOT OLD.company AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    VALUES (OLD.id, 'company', 'set', json_quote(NEW.company), json_quote(OLD.company),
            strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context));
END;
CREATE TRIGGER customer_company_is_valid BEFORE UPDATE OF company ON customer
WHEN NEW.company IS NOT OLD.company
 AND (typeof(NEW.company) <> 'text' OR length(NEW.company) > 255
      OR length(CAST(NEW.company AS BLOB)) <> length(NEW.company) OR NEW.company GLOB '*[^ -~]*')
 AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'company', 0, 255, NEW.company);
END;

DROP TRIGGER customer_phone;
CREATE TRIGGER customer_phone BEFORE UPDATE OF phone ON customer
WHEN NEW.phone IS NOT OLD.phone AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    VALUES (OLD.id, 'phone', 'set', json_quote(NEW.phone), json_quote(OLD.phone),
            strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context));
END;
CREATE TRIGGER customer_phone_is_valid BEFORE UPDATE OF phone ON customer
WHEN NEW.phone IS NOT OLD.phone
 AND (typeof(NEW.phone) <> 'text' OR length(NEW.phone) > 50
      OR length(CAST(NEW.phone AS BLOB)) <> length(NEW.phone) OR NEW.phone GLOB '*[^ -~]*')
 AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'phone', 0, 50, NEW.phone);
END;

DROP TRIGGER customer_notes;
CREATE TRIGGER customer_notes BEFORE UPDATE OF notes ON customer
WHEN NEW.notes IS NOT OLD.notes AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    VALUES (OLD.id, 'notes', 'set', json_quote(NEW.notes), json_quote(OLD.notes),
            strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context));
END;
CREATE TRIGGER customer_notes_is_valid BEFORE UPDATE OF notes ON customer
WHEN NEW.notes IS NOT OLD.notes
 AND (typeof(NEW.notes) <> 'text'
      OR length(CAST(NEW.notes AS BLOB)) <> length(NEW.notes) OR NEW.notes GLOB '*[^ -~]*')
 AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'notes', 0, NULL, NEW.notes);
END;

DROP TRIGGER customer_tax_exempt_category;
CREATE TRIGGER customer_tax_exempt_category BEFORE UPDATE OF tax_exempt_category ON customer
WHEN NEW.tax_exempt_category IS NOT OLD.tax_exempt_category AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
    VALUES (OLD.id, 'tax_exempt_category', 'set', json_quote(NEW.tax_exempt_category), json_quote(OLD.tax_exempt_category),
            strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), (SELECT author FROM edit_context), (SELECT label FROM edit_context));
END;
CREATE TRIGGER customer_tax_exempt_category_is_valid BEFORE UPDATE OF tax_exempt_category ON customer
WHEN NEW.tax_exempt_category IS NOT OLD.tax_exempt_category
 AND (typeof(NEW.tax_exempt_category) <> 'text' OR length(NEW.tax_exempt_category) > 255
      OR length(CAST(NEW.tax_exempt_category AS BLOB)) <> length(NEW.tax_exempt_category) OR NEW.tax_exempt_category GLOB '*[^ -~]*')
 AND (SELECT writing FROM engine_guard) IS NOT 1
BEGIN
    INSERT INTO check_text VALUES (OLD.id, 'tax_exempt_category', 0, 255, NEW.tax_exempt_category);
END;
