-- Refusals. A message must name the customer, the field and the limit, but `RAISE` takes only a literal before
-- SQLite 3.47. So a refusal is the error of `json_extract` for a path that is no path: it quotes the whole text.
-- The `RAISE` behind it refuses too, in fewer words, should a version not fail at that.
--     INSERT INTO tillsync_refusal SELECT 'customer 42: phone', 'is …';      -- NULL for the problem: no refusal

CREATE VIEW tillsync_refusal (who, problem) AS SELECT NULL, NULL WHERE 0;
CREATE TRIGGER tillsync_refusal_insert INSTEAD OF INSERT ON tillsync_refusal WHEN NEW.problem IS NOT NULL
BEGIN
    SELECT coalesce(json_extract('{}', 'tillsync refused: ' || NEW.who || ': ' || NEW.problem),
                    RAISE(ABORT, 'tillsync refused: the edit'));
END;

-- Text: least and most characters, not bytes; NULL for most: no limit. Without a customer: NULL is allowed.
-- SQLite takes any bytes for text, so each character that is not ASCII is decoded and encoded again: bytes
-- that are not UTF-8 come out different (in older versions U+FFFE and U+FFFF too, which are). In pieces of 64 bytes, for in a text
-- `substr` counts from the start, and in a blob it does not; nor is NEW copied for it, as a column of a subquery would be. Each
-- goes on to the end of its last character, three bytes at most.
CREATE VIEW tillsync_check_text (customer_id, field, least, most, value) AS SELECT NULL, NULL, NULL, NULL, NULL WHERE 0;
CREATE TRIGGER tillsync_check_text_insert INSTEAD OF INSERT ON tillsync_check_text
BEGIN
    INSERT INTO tillsync_refusal
    SELECT coalesce('customer ' || NEW.customer_id || ': ', '') || NEW.field, CASE
        WHEN NEW.value IS NULL
            THEN (SELECT 'NULL is not allowed' FROM snapshot
                  WHERE id = NEW.customer_id AND coalesce(json_type(body, '$.' || NEW.field), 'null') <> 'null')
        WHEN typeof(NEW.value) <> 'text' THEN 'must be text, not ' || typeof(NEW.value)
        WHEN instr(NEW.value, char(0)) THEN 'holds a NUL character'
        WHEN NEW.value GLOB '*[^ -~]*' AND EXISTS (
            SELECT 1
            FROM (SELECT CAST(substr({bytes}, 64 * key + 1 + {after start}, 64 - {after start} + {after end}) AS TEXT) AS piece
                  FROM json_each('[' || replace(hex(zeroblob(length({bytes}) / 64)), '00', '0,') || '0]')
                  WHERE CAST(substr({bytes}, 64 * key + 1, 67) AS TEXT) GLOB '*[^' || char(1) || '-' || char(127) || ']*'
                  LIMIT -1) AS pieces,
                 json_each('[' || replace(hex(zeroblob(66)), '00', '0,') || '0]') AS place
            WHERE place.key < length(piece)
              AND unicode(substr(piece, place.key + 1, 1)) > 127
              AND char(unicode(substr(piece, place.key + 1, 1))) <> substr(piece, place.key + 1, 1)
              AND hex(substr(piece, place.key + 1, 1)) NOT IN ('EFBFBE', 'EFBFBF'))
            THEN 'is not valid UTF-8'
        WHEN length(NEW.value) < NEW.least
            THEN 'has ' || length(NEW.value) || iif(length(NEW.value) = 1, ' character', ' characters') || ', at least ' || NEW.least
                 || iif(NEW.least = 1, ' is', ' are') || ' needed'
        WHEN length(NEW.value) > NEW.most
            THEN 'has ' || length(NEW.value) || ' characters, at most ' || NEW.most || ' are allowed'
    END;
END;
