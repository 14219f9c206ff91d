-- Tables of records: a hash with one packed record in each field. The twin of tables.py.

local function get(name, field)
  local packed = call('HGET', name, field)
  return packed and cmsgpack.unpack(packed)
end

local function put(name, field, record) call('HSET', name, field, pack(record)) end

-- Return all {field, record} of a table, sorted by field.
local function rows(name)
  local flat, list = call('HGETALL', name), {}
  for index = 1, #flat, 2 do list[#list + 1] = {flat[index], cmsgpack.unpack(flat[index + 1])} end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

-- Return the milliseconds since the time at index `at` of the record; a time in the future becomes `now` (see tables.py).
local function waited(now, name, txn, record, at)
  if record[at] <= now then return now - record[at] end
  record[at] = now
  put(name, txn, record)
  return 0
end
