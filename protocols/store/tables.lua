-- Tables of records: a record is packed in one field of a hash. The twin of tables.py; see there.

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

-- Milliseconds since the time at index `at` of the record; one in the future is set to now (see tables.py).
local function waited(now, name, txn, record, at)
  if record[at] <= now then return now - record[at] end
  record[at] = now
  put(name, txn, record)
  return 0
end
