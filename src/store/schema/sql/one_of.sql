INSERT INTO tillsync_refusal SELECT {called} || ': {field}', '{words}' WHERE typeof(NEW.{field}) = 'text' AND NOT {is_one};
