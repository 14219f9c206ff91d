-- Requests with an idempotency key: the twin of keyed.py, command by command.

-- Return the stored result of a key, or `other`; nil if the key is new.
local function recalled(key, request)
  local known = recall_key(key)
  if not known then return nil end
  if known[REQUEST] ~= request then return {'other'} end
  return {'done', known[SUBJECT_OF_KEY], known[RESULT]}
end

local function conclude(key, kept, request, subject, result)
  local known = recalled(key, request)
  if known then return known end
  remember_key(key, kept, request, subject, result)
  return {'done', subject, result}
end

local function keyed(now, key, kept, request, name, subject, ...)
  local known = enabled('remember-key') and recalled(key, request)
  if known then return known end
  local result = BODIES[name](now, subject, ...)
  local id = type(subject) == 'number' and text(subject) or subject
  if result[1] ~= 'locked' then remember_key(key, kept, request, id, result) end
  return {'done', id, result}
end

command('keyed', keyed)
creating_command('keyed_creation', keyed)

command('conclude', function(now, key, kept, request, subject, ...)
  return conclude(key, kept, request, subject, {...})
end)

command('reject_checkout', function(now, key, kept, request, order, txn, why)
  local state, _, fields = plan(order)
  if state == 'paid' then return {'paid'} end
  local holder = fields and fields.txn or ''
  if holder ~= '' and holder ~= txn and enabled('reject-decided') then return {'busy', holder} end
  local done = conclude(key, kept, request, order, {'no', why})
  return done[1] == 'other' and done or done[3]
end)
