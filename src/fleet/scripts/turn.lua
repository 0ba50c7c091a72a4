-- A till asks for calls of the store's quota, or gives back what it has left.
--
-- KEYS  1 quota    hash: left (calls left of this window, the least that was told), ends (of the window, ms), quota, window (ms),
--                  out (calls that are granted and not answered yet), assumed (1: nobody has told of this window yet)
--       2 granted  hash: till -> calls that are granted to it and not answered yet
--       3 until    sorted set: till -> when its grant is void (ms)
--       4 waiting  sorted set: till -> since when it waits (µs); news as if it had come later
--       5 asked    sorted set: till -> when it is expected to ask again, at the latest (ms)
--       6 seen     sorted set: till -> when it last asked for anything (ms); for whoever looks, ten minutes long
-- ARGV  1 till  2 calls (0: gives back)  3 so much later counts who asks (ms)  4 reserve, in percent
--       5 how long a grant holds (ms)  6 tills at once
-- Gives {calls, ms}: so many calls for so long; or {0, ms}: asks again then.
--
-- What is free is what is left of the window, less what is granted and the reserve. Whoever waits longest goes first. A grant that
-- was not used is free again when it is void, so a till that died holds nothing up.
local till, calls, later = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local reserve, holds, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local since = time[1] * 1000000 + time[2]

local function number(key, field, default)
  return tonumber(redis.call('HGET', key, field)) or default
end

local function end_grant(of)
  local left = number(KEYS[2], of, 0)
  redis.call('HDEL', KEYS[2], of)
  redis.call('ZREM', KEYS[3], of)
  if left > 0 then redis.call('HINCRBY', KEYS[1], 'out', -left) end
end

for _, void in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 100)) do end_grant(void) end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[4], gone)
  redis.call('ZREM', KEYS[5], gone)
end
end_grant(till)
redis.call('ZADD', KEYS[6], now, till)
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now - 600000)

local quota = number(KEYS[1], 'quota', 10)
local window = number(KEYS[1], 'window', 30000)
local left, ends = number(KEYS[1], 'left', quota), number(KEYS[1], 'ends', 0)
if now >= ends then
  left, ends = quota, now + window
  redis.call('HSET', KEYS[1], 'left', left, 'ends', ends, 'assumed', 1)
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 600000) end
if calls <= 0 then
  redis.call('ZREM', KEYS[4], till)
  redis.call('ZREM', KEYS[5], till)
  return {0, 0}
end

redis.call('ZADD', KEYS[4], 'NX', since + 1000 * later, till)
local ahead = redis.call('ZRANK', KEYS[4], till)
local kept = math.ceil(quota * reserve / 100)
local free = left - number(KEYS[1], 'out', 0) - kept
local at_work = redis.call('ZCARD', KEYS[3])
-- Each of those ahead is taken to want a look and an update.
if free - 2 * ahead >= math.min(calls, 2) and at_work + ahead < most then
  local granted = math.min(calls, free - 2 * ahead)
  redis.call('ZREM', KEYS[4], till)
  redis.call('ZREM', KEYS[5], till)
  redis.call('HSET', KEYS[2], till, granted)
  redis.call('ZADD', KEYS[3], now + holds, till)
  redis.call('HINCRBY', KEYS[1], 'out', granted)
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 600000) end
  return {granted, holds}
end

local wait = 100 + 50 * ahead
local short = 2 * (ahead + 1) - free
if short > 0 then
  local budget = math.max(quota - kept, 2)
  local windows = math.floor((short - 1) / budget)
  wait = ends - now + windows * window + 20 + 50 * math.floor((short - windows * budget) / 2)
elseif ahead < most then
  wait = 50 + 20 * ahead
end
-- Before anybody has told what the store allows, the first answer is all that is waited for.
if redis.call('HEXISTS', KEYS[1], 'quota') == 0 then wait = 200 + 20 * ahead end
wait = math.min(wait, 60000)
redis.call('ZADD', KEYS[5], now + wait + 5000, till)
redis.call('PEXPIRE', KEYS[5], 600000)
return {0, wait}
