-- Tables of records, and the fences of what may still be spoken of. The twin of records.py; see there.
-- A record is packed in one field of a hash.

local COLLECTED_AT_ONCE = 1000

local function get(name, field)
  local packed = call('HGET', name, field)
  return packed and cmsgpack.unpack(packed)
end

local function put(name, field, record) call('HSET', name, field, pack(record)) end

-- All {field, record} of a table, sorted by field.
local function rows(name)
  local flat, found = call('HGETALL', name), {}
  for at = 1, #flat, 2 do found[#found + 1] = {flat[at], cmsgpack.unpack(flat[at + 1])} end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  return found
end

-- Milliseconds since the time at index `at` of the record; one in the future is set to now (see records.py).
local function waited(now, name, txn, record, at)
  if record[at] <= now then return now - record[at] end
  record[at] = now
  put(name, txn, record)
  return 0
end

-- fences --------------------------------------------------------------------------------------------------------------

-- The parts of an id, PREFIX.SEQUENCE. A command asks for those of the same id several times.
local split, prefix_of_it, sequence_of_it
local function parts(txn)
  if txn ~= split then split, prefix_of_it, sequence_of_it = txn, string.match(txn, '^(.*)%.(.*)$') end
  return prefix_of_it, sequence_of_it
end

local function horizon_of(prefix) return number(call('HGET', 'horizon', prefix)) or 0 end

local function stale(txn)
  local prefix, sequence = parts(txn)
  return tonumber(sequence) < horizon_of(prefix)
end

local function recall(txn)
  local prefix, sequence = parts(txn)
  return prefix and call('HGET', 'fence:' .. prefix, sequence) or nil
end

local function remember(txn, what)
  local prefix, sequence = parts(txn)
  if not stale(txn) then call('HSET', 'fence:' .. prefix, sequence, what) end
end

local function collect(txn, horizon)
  local prefix = parts(txn)
  local first = horizon_of(prefix)
  local last = math.min(horizon, first + COLLECTED_AT_ONCE)
  if last <= first then return end
  local ended = {}
  for sequence = first, last - 1 do ended[#ended + 1] = text(sequence) end
  call('HDEL', 'fence:' .. prefix, unpack(ended))
  call('HSET', 'horizon', prefix, text(last))
end

-- {txn, 'fenced', '', now} for each fence below its horizon, as a list of transactions has it: there should be none.
local function uncollected(now, found)
  local horizons = call('HGETALL', 'horizon')
  for at = 1, #horizons, 2 do
    for _, sequence in ipairs(call('HKEYS', 'fence:' .. horizons[at])) do
      if tonumber(sequence) < tonumber(horizons[at + 1]) then
        found[#found + 1] = {horizons[at] .. '.' .. sequence, 'fenced', '', now}
      end
    end
  end
end
