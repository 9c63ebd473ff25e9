--[[
Take up to `wanted` tokens from n buckets of one workspace, the same number from each: as many as the emptiest holds.
The rules are those of bucket.py, to the tick; that file explains them. This one only keeps the levels. In the same call
it counts what was admitted and refused, minute by minute, for whoever asked.

KEYS    1 .. n       one per bucket, no key twice
        n + 1 ..     one per counter of usage; all keys of a call have the same hash tag
ARGV    1            wanted, >= 0; 0 takes nothing and still writes, which shows that the server can be written to
        2            now in epoch ms, or '' for this server's own clock. Only tests give one: the processes that share a
                     bucket must not each bring a clock of their own
        3            n
        3i+1 .. 3i+3 capacity, window_ms, align_ms of bucket i, validated by the caller: capacity * window_ms < 2^53
        then, where usage is counted: the minute of the day (by the caller's clock: it decides nothing), and pairs of
                     (which counter, how many requests) in the order in which the requests are to be admitted
Returns { now_ms, granted, ticks_1, at_ms_1, ticks_2, at_ms_2, ... }   the levels after the take
        Integers. granted = 0 with wanted > 0 is a refusal, which takes nothing from any bucket.

Key inventory. <tag> is the workspace's number, or c<number> of its company, whose workspaces share a slot.
  <prefix>q:{<tag>}:<bucket name>                 where the tag is the workspace, and for the buckets of a company
  <prefix>q:{<tag>}:<workspace id>:<bucket name>  a workspace's own bucket where the tag is a company
                                                  string "<ticks> <at_ms> <window_ms>", decimal
        ticks      what is left, window_ms ticks to a token
        at_ms      the time up to which the refill has been counted
        window_ms  of the bucket when this was written: a changed window keeps the whole tokens
        missing or unreadable = full.
        Expires when the bucket is full again, plus SLACK: a clock that steps back by up to SLACK then cannot reach a time at
        which the forgotten bucket was not full.
  <prefix>u:{<tag>}:<workspace id>:<key id>:<group>:<day>
                                                  string of u32: admitted and refused of each minute of the day, at most
                                                  11,520 bytes; expires USAGE_SECONDS after its last minute with a request

Numbers are doubles: every value is an integer below 2^53 (asked of the caller for capacity * window_ms, given for epoch ms).
Two things keep it so. Elapsed * capacity is only formed when elapsed < window_ms. Division is only done on exact multiples
(math.fmod is exact; a rounded quotient is not).
]]
local SLACK = 60000 -- CLOCK_SLACK_MS of bucket.py
local USAGE_SECONDS = 172800

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

-- Counters are no reason to refuse anybody: what cannot be counted (a foreign type under the key) is not.
local function count(key, minute, admitted, refused)
  local call = { 'BITFIELD', key, 'OVERFLOW', 'SAT' }
  local function add(offset, number)
    if number > 0 then
      call[#call + 1] = 'INCRBY'
      call[#call + 1] = 'u32'
      call[#call + 1] = '#' .. decimal(2 * minute + offset)
      call[#call + 1] = decimal(number)
    end
  end
  add(0, admitted)
  add(1, refused)
  local counts = redis.pcall(unpack(call))
  if not counts.err and counts[1] == (admitted > 0 and admitted or refused) then -- the first of its minute
    redis.call('EXPIRE', key, USAGE_SECONDS)
  end
end

local n = tonumber(ARGV[3])
assert(n and n > 0 and #KEYS >= n and #ARGV >= 3 + 3 * n, 'take.lua: wanted, now, n and three numbers per bucket')
local wanted = tonumber(ARGV[1])
assert(wanted >= 0, 'take.lua: a negative count would mint')
local now = tonumber(ARGV[2])
if not now then
  local clock = redis.call('TIME')
  now = tonumber(clock[1]) * 1000 + whole(tonumber(clock[2]), 1000)
end

local granted = wanted
local states = redis.call('MGET', unpack(KEYS, 1, n))
local buckets = {}
for i = 1, n do
  local capacity, window, align = tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2]), tonumber(ARGV[3 * i + 3])
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

if #KEYS > n then
  local left, admitted, refused = granted, {}, {}
  local first = 4 + 3 * n
  for j = first + 1, #ARGV, 2 do
    local who, asked = tonumber(ARGV[j]), tonumber(ARGV[j + 1])
    local taken = math.min(left, asked)
    left = left - taken
    admitted[who] = (admitted[who] or 0) + taken
    refused[who] = (refused[who] or 0) + asked - taken
  end
  for who = 1, #KEYS - n do
    count(KEYS[n + who], tonumber(ARGV[first]), admitted[who] or 0, refused[who] or 0)
  end
end
return reply
