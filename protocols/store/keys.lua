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
