-- Somebody looks at how the fleet stands. Nothing is changed.
--
-- KEYS  1 quota, 2 granted, 3 until, 4 waiting, 6 seen: as in turn.lua;  5 asked: not read
--       7 slots, 8 waiting for slots: as in slot.lua
-- ARGV  1 of each list at most so many
-- Gives { {quota, left, until the window ends (ms), window (ms), calls that are out}, each -1 where it is not known,
--         tills that were seen lately, updates that wait for a slot,
--         {till, since it was last seen (ms), its calls, until they are void (ms), since when it waits (ms), -1: it does not; …},
--         {update, until when its slot is held (ms); …} }
local most = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function number(key, field)
  return tonumber(redis.call('HGET', key, field)) or -1
end

local ends = number(KEYS[1], 'ends')
local is_over = now >= ends
local quota = number(KEYS[1], 'quota')
local left = number(KEYS[1], 'left')
local window = {
  quota, is_over and quota or left, is_over and -1 or ends - now, number(KEYS[1], 'window'), math.max(number(KEYS[1], 'out'), 0)
}

local tills = {}
local seen = redis.call('ZRANGEBYSCORE', KEYS[6], now - 600000, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
for i = 1, #seen, 2 do
  local till = seen[i]
  local void = (tonumber(redis.call('ZSCORE', KEYS[3], till)) or 0) - now
  local calls = void > 0 and math.max(number(KEYS[2], till), 0) or 0
  local since = tonumber(redis.call('ZSCORE', KEYS[4], till))
  tills[#tills + 1] = till
  tills[#tills + 1] = math.max(now - tonumber(seen[i + 1]), 0)
  tills[#tills + 1] = calls
  tills[#tills + 1] = math.max(void, 0)
  -- News waits as if it had come later: it may not have come yet.
  tills[#tills + 1] = since and math.max(now - math.floor(since / 1000), 0) or -1
end

local slots = {}
local held = redis.call('ZRANGEBYSCORE', KEYS[7], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
for i = 1, #held, 2 do
  slots[#slots + 1] = held[i]
  slots[#slots + 1] = tonumber(held[i + 1]) - now
end
return {window, redis.call('ZCARD', KEYS[6]), redis.call('ZCARD', KEYS[8]), tills, slots}
