--[[
Take up to `wanted` tokens from n buckets of one workspace, the same number from each: as many as the emptiest holds.
The rules are those of bucket.py, to the tick; that file explains them. This one only keeps the levels.

KEYS    one per bucket, all with the same hash tag, no key twice:
          <prefix>q:{<workspace id>}:<bucket name>
ARGV    1            wanted, >= 0; 0 takes nothing and still writes, which shows that the server can be written to
        2            now in epoch ms, or '' for this server's own clock. Only tests give one: the processes that share a
                     bucket must not each bring a clock of their own
        3i .. 3i+2   capacity, window_ms, align_ms of bucket i, validated by the caller: capacity * window_ms < 2^53
Returns { now_ms, granted, ticks_1, at_ms_1, ticks_2, at_ms_2, ... }   the levels after the take
        Integers. granted = 0 with wanted > 0 is a refusal, which takes nothing from any bucket.

Key inventory
  <prefix>q:{<workspace id>}:<bucket name>   string "<ticks> <at_ms> <window_ms>", decimal
        ticks      what is left, window_ms ticks to a token
        at_ms      the time up to which the refill has been counted
        window_ms  of the bucket when this was written: a changed window keeps the whole tokens
        missing or unreadable = full.
        Expires when the bucket is full again, plus SLACK: a clock that steps back by up to SLACK then cannot reach a time at
        which the forgotten bucket was not full.

Numbers are doubles: every value is an integer below 2^53 (asked of the caller for capacity * window_ms, given for epoch ms).
Two things keep it so. Elapsed * capacity is only formed when elapsed < window_ms. Division is only done on exact multiples
(math.fmod is exact; a rounded quotient is not).
]]
local SLACK = 60000 -- CLOCK_SLACK_MS of bucket.py

local function whole(dividend, divisor)
  return (dividend - math.fmod(dividend, divisor)) / divisor
end

local function boundary_after(at, align)
  return at - math.fmod(at, align) + align
end

-- "%d" and tostring() are not exact for large doubles everywhere; "%.0f" is.
local function decimal(number)
  return string.format('%.0f', number)
end

local function refill(state, capacity, window, align, now)
  local full = capacity * window
  local ticks, at, written = string.match(state or '', '^(%d+) (%d+) ([1-9]%d*)$')
  if not ticks then
    return full, now
  end
  ticks, at, written = tonumber(ticks), tonumber(at), tonumber(written)
  if written ~= window then
    ticks = math.min(whole(ticks, written), capacity) * window
  end
  ticks = math.min(ticks, full)
  if now <= at then
    if at - now <= SLACK then
      return ticks, at
    end
    return ticks, now
  end
  if align > 0 then
    if now >= boundary_after(at, align) then
      ticks = full
    end
  elseif now - at >= window or (now - at) * capacity >= full - ticks then
    ticks = full
  else
    ticks = ticks + (now - at) * capacity
  end
  return ticks, now
end

local function full_at(ticks, at, capacity, window, align)
  local missing = capacity * window - ticks
  if missing > 0 and align > 0 then
    return boundary_after(at, align)
  end
  local rest = math.fmod(missing, capacity)
  return at + (missing - rest) / capacity + (rest > 0 and 1 or 0)
end

local n = #KEYS
assert(n > 0 and #ARGV == 2 + 3 * n, 'take.lua: wanted, now and three numbers per key')
local granted = tonumber(ARGV[1])
assert(granted >= 0, 'take.lua: a negative count would mint')
local now = tonumber(ARGV[2])
if not now then
  local clock = redis.call('TIME')
  now = tonumber(clock[1]) * 1000 + whole(tonumber(clock[2]), 1000)
end

local states = redis.call('MGET', unpack(KEYS))
local buckets = {}
for i = 1, n do
  local capacity, window, align = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local ticks, at = refill(states[i], capacity, window, align, now)
  buckets[i] = { capacity = capacity, window = window, align = align, ticks = ticks, at = at }
  granted = math.min(granted, whole(ticks, window))
end

local reply = { now, granted }
for i = 1, n do
  local b = buckets[i]
  local ticks = b.ticks - granted * b.window
  local ttl = full_at(ticks, b.at, b.capacity, b.window, b.align) - now + SLACK
  redis.call('SET', KEYS[i], decimal(ticks) .. ' ' .. decimal(b.at) .. ' ' .. decimal(b.window), 'PX', decimal(ttl))
  reply[2 * i + 1] = ticks
  reply[2 * i + 2] = b.at
end
return reply
