-- Idempotency keys: the twin of keys.py, which describes the tables.

local REQUEST, SUBJECT_OF_KEY, RESULT = 1, 2, 3

local function recall_key(key)
  if (key or '') == '' then return nil end
  return get('keys:0', key) or get('keys:1', key)
end

local function remember_key(key, kept, request, subject, result)
  local newest = tonumber(call('HGET', 'keys', 'newest') or 0)
  if call('HLEN', 'keys:' .. newest) >= kept then
    newest = 1 - newest
    call('UNLINK', 'keys:' .. newest)
    call('HSET', 'keys', 'newest', newest)
  end
  put('keys:' .. newest, key, {request, subject, result})
end

-- The key of the request and the adopter are at the indexes `key_at` and `key_at` + 1 of the record.
local function adopt(name, txn, keys, adopter, key_at)
  local record = #keys > 0 and get(name, txn)
  for _, key in ipairs(record and keys or {}) do
    if record[key_at] == key then
      record[key_at + 1] = adopter
      return put(name, txn, record)
    end
  end
end
