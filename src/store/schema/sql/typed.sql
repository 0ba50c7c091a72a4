INSERT INTO tillsync_refusal
    SELECT {called} || ': {field}', CASE type
        WHEN 'number' THEN iif(digits GLOB '*[^0-9.]*' OR digits GLOB '*.*.*' OR digits NOT GLOB '*[0-9]*',
                               'must be a number, such as 12.5: ' || name || ' is one', NULL)
        WHEN 'date' THEN iif(NEW.{field} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND date(day, '+0 days') IS day,
                             NULL, 'must be a date, such as 2026-03-31: ' || name || ' is one')
    END
    FROM (SELECT type, coalesce(name, 'it') AS name, substr(NEW.{field}, 1 + (NEW.{field} GLOB '[-+]*')) AS digits, substr(NEW.{field}, 1, 10) AS day
          FROM {defined_by} WHERE id = OLD.{row} AND NEW.{field} <> '');
