-- A till asks for one of the slots in which updates may be under way at the store, or goes on holding it.
--
-- KEYS  1 slots    sorted set: update -> until when its slot is held (ms)
--       2 waiting  sorted set: update -> since when it waits (µs)
--       3 asked    sorted set: update -> when it is expected to ask again, at the latest (ms)
-- ARGV  1 update  2 slots in all  3 how long a slot is held (ms)
-- Gives 0: it has one; or after how many milliseconds it asks again.
--
-- Whoever waits longest goes first. Who died while it held a slot frees it by time; who died while it waited is passed over.
local update, slots, holds = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end

local has_one = redis.call('ZSCORE', KEYS[1], update)
redis.call('ZADD', KEYS[2], 'NX', time[1] * 1000000 + time[2], update)
local ahead = redis.call('ZRANK', KEYS[2], update)
local free = slots - redis.call('ZCARD', KEYS[1])
local wait = 0
if has_one or ahead < free then
  redis.call('ZADD', KEYS[1], now + holds, update)
  redis.call('ZREM', KEYS[2], update)
  redis.call('ZREM', KEYS[3], update)
else
  wait = math.min(30 + 40 * (ahead - math.max(free, 0)), 1000)
  redis.call('ZADD', KEYS[3], now + wait + 1000, update)
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 600000) end
return wait
