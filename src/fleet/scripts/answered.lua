-- A till tells what the store told it with an answer, or that no answer came.
--
-- KEYS  1 quota, 2 granted, 3 until: as in turn.lua;  4 slots: as in slot.lua
-- ARGV  1 till  2 update whose slot is free again, or ''
--       3 left  4 reset (ms)  5 quota  6 window (ms); each '' where it was not told
-- Gives nothing.
--
-- Answers overtake each other: of one window the least that was told to be left counts. One of a window that is all but over, told
-- while another one is known to run for long, comes late.
local till, update = ARGV[1], ARGV[2]
local left, reset = tonumber(ARGV[3]), tonumber(ARGV[4])
local quota, window = tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if update ~= '' then redis.call('ZREM', KEYS[4], update) end
local granted = tonumber(redis.call('HGET', KEYS[2], till)) or 0
if granted > 0 then
  redis.call('HINCRBY', KEYS[1], 'out', -1)
  if redis.call('HINCRBY', KEYS[2], till, -1) == 0 then
    redis.call('HDEL', KEYS[2], till)
    redis.call('ZREM', KEYS[3], till)
  end
end
local is_first = redis.call('HEXISTS', KEYS[1], 'quota') == 0
if quota then redis.call('HSET', KEYS[1], 'quota', quota) end
if window then redis.call('HSET', KEYS[1], 'window', window) end
if left and reset then
  local ends = tonumber(redis.call('HGET', KEYS[1], 'ends')) or 0
  local known = tonumber(redis.call('HGET', KEYS[1], 'left'))
  local told = now + reset
  local is_late = now < ends and told < ends - 1000 and reset < 2000
  local is_assumed = redis.call('HGET', KEYS[1], 'assumed') == '1'
  if known and not is_assumed and now < ends and math.abs(told - ends) <= 1000 then
    redis.call('HSET', KEYS[1], 'left', math.min(known, left))
  elseif is_first or not is_late then
    redis.call('HSET', KEYS[1], 'left', left, 'ends', told, 'assumed', 0)
  end
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 600000) end
return 0
