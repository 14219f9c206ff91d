-- The store commands of a saga: the twin of commands.py, command by command; tables and results are described there.
-- Records are packed: {subject, owner, since, state, branches, key, adopter}; a fence is {branch, verdict, why, changes}.

local SUBJECT, OWNER, SINCE, STATE, BRANCHES, KEY, ADOPTER = 1, 2, 3, 4, 5, 6, 7
local LINES, FIRST_LINES, ENDED, LISTED = 48, 8, 1000, 100

-- notes ---------------------------------------------------------------------------------------------------------------
-- A log is packed as an array whose length has two bytes of its own (msgpack's array 16), so that a command appends lines
-- without unpacking the earlier ones.

local function sized(count, lines) return string.char(220, math.floor(count / 256), count % 256) .. lines end

local function extended_log(log, now, entries)
  local high, low = string.byte(log or sized(0, ''), 2, 3)
  local count, parts = high * 256 + low + #entries, {log and string.sub(log, 4) or ''}
  for index, entry in ipairs(entries) do parts[index + 1] = pack({now, entry[1], entry[2], entry[3]}) end
  log = sized(count, table.concat(parts))
  if count <= LINES then return log end
  local lines = cmsgpack.unpack(log)
  while #lines > LINES do table.remove(lines, FIRST_LINES + 1) end
  return sized(LINES, cmsgpack.pack(unpack(lines)))
end

local function append(now, txn, entries)
  call('HSET', 'note:log', txn, extended_log(call('HGET', 'note:log', txn), now, entries))
end

-- Delete the record of a saga, and keep its log as the last field of four (byte 148 begins a packed array of four).
local function delete(now, txn, record, state, entries)
  local slot = call('HINCRBY', 'note:next', state, 1) - 1
  local log = extended_log(call('HGET', 'note:log', txn), now, entries)
  call('HSET', 'note:' .. state, text(slot % ENDED), '\148' .. cmsgpack.pack(txn, record[SUBJECT], record[SINCE]) .. log)
  call('HDEL', 'note:log', txn)
  call('HDEL', 'saga', txn)
end

-- orchestrator --------------------------------------------------------------------------------------------------------

local function without_record(subject, wanted)
  local state = plan(subject)
  if enabled('start-record') or never(state) then return {state == 'paid' and 'paid' or 'gone'} end
  if wanted == 'paid' then settle(subject) end
  return {wanted}
end

local function log_abort(now, txn, record, entries)
  if record[STATE] ~= 'compensating' then
    record[STATE] = 'compensating'
    put('saga', txn, record)
    entries[#entries + 1] = {'compensating', '', ''}
    append(now, txn, entries)
  end
  return {'compensating'}
end

command('begin', function(now, txn, subject, owner, key, adopts)
  local known = call('HEXISTS', 'saga', txn) == 1
  local branches, rejection = admit(subject, txn, key, known)
  if rejection then
    adopt('saga', order_holder(subject), adopts or {}, owner, KEY)
    return rejection
  end
  if not known and enabled('start-record') then
    hold(subject, txn)
    put('saga', txn, {subject, owner, now, 'executing', branches, key or '', owner})
    local entries = {{'begun', '', owner}}
    if #branches > 0 then entries[2] = {'perform', branches[1][1] .. '/' .. text(branches[1][2]), ''} end
    call('HSET', 'note:log', txn, extended_log(nil, now, entries))
  end
  return {'begun', branches}
end)

command('confirm', function(now, txn, subject, entries)
  local record = get('saga', txn)
  if not record then return without_record(subject, 'paid') end
  local state = record[STATE]
  subject = record[SUBJECT]
  if state == 'executing' and order_holder(subject) ~= txn and enabled('order-lock') then state = 'compensating' end
  if state == 'compensating' and enabled('one-decision') then return log_abort(now, txn, record, entries) end
  settle(subject)
  entries[#entries + 1] = {'paid', '', ''}
  delete(now, txn, record, 'paid', entries)
  return {'paid'}
end)

command('abort_saga', function(now, txn, subject, entries)
  local record = get('saga', txn)
  if not record then return without_record(subject, 'compensating') end
  return log_abort(now, txn, record, entries)
end)

command('end', function(now, txn, entries)
  local record = get('saga', txn)
  if not record then return {'ended'} end
  if order_holder(record[SUBJECT]) == txn then hold(record[SUBJECT], '') end
  delete(now, txn, record, 'compensated', entries)
  return {'ended'}
end)

command('note', function(now, txn, entries)
  if call('HEXISTS', 'saga', txn) == 1 then append(now, txn, entries) end
  return {'noted'}
end)

command('unfinished', function(now, owner, older_than)
  local list = {}
  for _, row in ipairs(rows('saga')) do
    local txn, record = row[1], row[2]
    local ours = record[OWNER] == owner or record[ADOPTER] == owner
    if ours or waited(now, 'saga', txn, record, SINCE) > older_than then
      list[#list + 1] = {txn, {txn, record[SUBJECT], record[STATE], record[BRANCHES]}}
    end
  end
  return list
end)

-- branch --------------------------------------------------------------------------------------------------------------

local function fences(txn)
  local packed = recall(txn)
  return packed and cmsgpack.unpack(packed) or {}
end

local function fence_of(all, branch)
  for _, fence in ipairs(all) do
    if fence[1] == branch then return fence[2], fence[3], fence[4] end
  end
  return '', '', {}
end

local function put_fence(txn, before, branch, verdict, why, changes)
  local all = {}
  for _, fence in ipairs(before) do
    if fence[1] ~= branch then all[#all + 1] = fence end
  end
  all[#all + 1] = {branch, verdict, why, changes}
  remember(txn, pack(all))
end

-- Return the changes, each with the life of its account: {key, delta, life}.
local function with_lives(changes)
  local living = {}
  for index, change in ipairs(changes) do living[index] = {change[1], change[2], life_of(change[1])} end
  return living
end

-- Return the changes to accounts that were not created anew since the step.
local function of_this_life(changes)
  if not enabled('same-life') then return changes end
  local same = {}
  for _, change in ipairs(changes) do
    if life_of(change[1]) == change[3] then same[#same + 1] = change end
  end
  return same
end

command('perform', function(now, txn, branch, horizon, changes)
  announce(txn, horizon)
  collect(txn, horizon)
  if stale(txn) and enabled('refuse-stale') then return {'conflict:stale'} end
  local all = fences(txn)
  local verdict, why = fence_of(all, branch)
  if verdict == 'compensated' or verdict == 'fenced' then return {'conflict:compensated'} end
  if verdict ~= '' and enabled('replay-verdict') then return {why} end
  why = check(changes, 1)
  put_fence(txn, all, branch, why == '' and 'performed' or 'rejected', why, with_lives(changes))
  if why == '' then apply(changes, 1) end
  return {why}
end)

command('compensate', function(now, txn, branch)
  if stale(txn) and enabled('refuse-stale') then return {'compensated'} end
  local all = fences(txn)
  local verdict, _, changes = fence_of(all, branch)
  if verdict == 'performed' or (verdict ~= '' and not enabled('compensate-recorded')) then
    local back = of_this_life(changes)
    local full = check(back, -1)
    if full ~= '' then return {'later', full} end
    apply(back, -1)
    put_fence(txn, all, branch, 'compensated', '', changes)
  elseif verdict == '' and enabled('fence-compensation') then
    put_fence(txn, all, branch, 'fenced', '', {})
  end
  return {'compensated'}
end)

-- lists and logs for operators ----------------------------------------------------------------------------------------

command('list_txns', function(now)
  local list = {}
  for _, row in ipairs(rows('saga')) do list[#list + 1] = {row[1], row[2][STATE], row[2][SUBJECT], row[2][SINCE]} end
  uncollected(now, list)
  table.sort(list, function(a, b) return a[1] == b[1] and a[2] < b[2] or a[1] < b[1] end)
  return list
end)

command('list_ended', function(now)
  local list = {}
  for _, state in ipairs({'paid', 'compensated'}) do
    for _, row in ipairs(rows('note:' .. state)) do list[#list + 1] = {row[2][1], state, row[2][2], row[2][3]} end
  end
  table.sort(list, function(a, b) return a[4] == b[4] and a[1] > b[1] or a[4] > b[4] end)
  for index = #list, LISTED + 1, -1 do list[index] = nil end
  return list
end)

-- Return how a saga ended, and its log, if the log is kept.
local function kept_log(txn)
  for _, state in ipairs({'paid', 'compensated'}) do
    for _, row in ipairs(rows('note:' .. state)) do
      if row[2][1] == txn then return state, row[2][4] end
    end
  end
end

command('txn_verdict', function(now, txn)
  local state = kept_log(txn)
  if state then return {state} end
  local verdicts = {}
  for _, fence in ipairs(fences(txn)) do verdicts[#verdicts + 1] = fence[2] end
  return {table.concat(verdicts, ', ')}
end)

command('txn_log', function(now, txn)
  local _, log = kept_log(txn)
  return log or get('note:log', txn) or {}
end)
