-- Takes all charges or none, in one call. See redis.rs for the keys and window.rs for the counting.
-- KEYS: generation, epochs.., counters of charges.., counters of refunds..
-- ARGV: how many epochs, charges, refunds; a charge: amount, limit, width; a refund: amount, at, width
-- A counter is "part:count" pairs, newest first. Returns: now, index refused or 0, milliseconds to
-- wait, then remaining and reset of each charge, then the epochs.
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)
local epochs, charges, refunds = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local got = redis.call('MGET', unpack(KEYS))

local base = got[1] and tonumber(got[1])
if not base then
  base = micros
  redis.call('SET', KEYS[1], string.format('%.0f', micros))
end

local windows = {}
local function window(at, width)
  local found = windows[KEYS[at]]
  if found then return found end
  local w = {sum = 0, taken = 0, width = width, n = 0, part = {}, count = {}, head = math.floor(now / width)}
  if got[at] then
    for part, count in string.gmatch(got[at], '(%d+):(%d+)') do
      part, count = tonumber(part), tonumber(count)
      if part > w.head then w.head = part end
      if part >= w.head - 20 then
        w.n = w.n + 1
        w.part[w.n], w.count[w.n] = part, count
        w.sum = w.sum + count
      end
    end
  end
  windows[KEYS[at]] = w
  return w
end
local function leaves(w, part)
  return math.max((part + 21) * w.width - now, 1)
end

local arg = 4 + charges * 3
for i = 1, refunds do
  local amount, at, width = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  arg = arg + 3
  local w = window(1 + epochs + charges + i, width)
  local part = math.floor(at / width)
  for j = 1, w.n do
    if w.part[j] == part then
      local give = math.min(amount, w.count[j])
      w.count[j] = w.count[j] - give
      w.sum = w.sum - give
      w.changed = true
    end
  end
end

local refused, wait = 0, 0
arg = 4
for i = 1, charges do
  local amount, limit, width = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  arg = arg + 3
  local w = window(1 + epochs + i, width)
  w.taken = w.taken + amount
  local need = w.sum + w.taken - limit
  if need > 0 then
    local freed, retry = 0, leaves(w, w.head)
    for j = w.n, 1, -1 do
      freed = freed + w.count[j]
      if w.count[j] > 0 and freed >= need then
        retry = leaves(w, w.part[j])
        break
      end
    end
    if retry > wait then refused, wait = i, retry end
  end
end

for key, w in pairs(windows) do
  if refused == 0 and w.taken > 0 then
    if w.part[1] == w.head then
      w.count[1] = w.count[1] + w.taken
    else
      table.insert(w.part, 1, w.head)
      table.insert(w.count, 1, w.taken)
      w.n = w.n + 1
    end
    w.sum = w.sum + w.taken
    w.changed = true
  end
  if w.changed then
    local parts = {}
    for j = 1, w.n do parts[j] = string.format('%.0f:%.0f', w.part[j], w.count[j]) end
    redis.call('SET', key, table.concat(parts, ','), 'PX', string.format('%.0f', leaves(w, w.head)))
  end
end

local out = {now, refused, wait}
for i = 1, charges do
  local w, limit = windows[KEYS[1 + epochs + i]], tonumber(ARGV[2 + i * 3])
  local reset = 0
  for j = 1, w.n do
    if w.count[j] > 0 then
      reset = leaves(w, w.part[j])
      break
    end
  end
  out[#out + 1] = math.max(limit - w.sum, 0)
  out[#out + 1] = reset
end
for i = 1, epochs do out[#out + 1] = got[1 + i] and tonumber(got[1 + i]) or base end
return out
