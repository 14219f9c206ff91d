-- The store commands of two-phase commit: the twin of commands.py, command by command, which describes tables and results.

local COMMITTED, ABORTED = 'committed', 'conflict:aborted'

-- The fields of a packed `Opened` (records.py); those of a `Prepared` are in locks.lua.
local SUBJECT, OWNER, OPENED_AT, BRANCHES, KEY, ADOPTER = 1, 2, 3, 4, 5, 6

-- coordinator ---------------------------------------------------------------------------------------------------------

local function fence(txn)
  local record = get('open', txn)
  if not record then return end
  call('HDEL', 'open', txn)
  if order_holder(record[SUBJECT]) == txn then hold(record[SUBJECT], '') end
end

command('open', function(now, txn, subject, owner, key, adopts)
  local branches, rejection = admit(subject, txn, key, call('HEXISTS', 'open', txn) == 1)
  if rejection then
    adopt('open', order_holder(subject), adopts or {}, owner, KEY)
    return rejection
  end
  hold(subject, txn)
  put('open', txn, {subject, owner, now, branches, key or '', owner})
  return {'open', branches}
end)

command('commit', function(now, txn)
  local packed = call('HGET', 'open', txn)
  if not packed then return {call('HEXISTS', 'committed', txn) == 1 and 'committed' or 'fenced'} end
  local subject = cmsgpack.unpack(packed)[SUBJECT]
  if order_holder(subject) ~= txn and enabled('order-lock') then return {'fenced'} end
  call('HDEL', 'open', txn)
  settle(subject)
  call('HSET', 'committed', txn, packed)
  return {'committed'}
end)

command('close', function(now, txn)
  fence(txn)
  return {'closed'}
end)

command('resolve', function(now, txn, patience, sender, branch, short)
  local record = get('committed', txn)
  if record then return {'commit', record[BRANCHES]} end
  record = get('open', txn)
  if short_log(txn) or (short and not record) then return {'unknown', {}} end
  if not record then return {'abort', {}} end
  if patience > 0 and waited(now, 'open', txn, record, OPENED_AT) < patience then return {'pending', {}} end
  if enabled('fence-inquiry') then fence(txn) end
  return {'abort', record[BRANCHES]}
end)

command('end', function(now, ...)
  call('HDEL', 'committed', ...)
  return {'ended'}
end)

command('unfinished', function(now, owner, older_than)
  local list = {}
  for _, state in ipairs({'open', 'committed'}) do
    for _, row in ipairs(rows(state)) do
      local txn, record = row[1], row[2]
      local ours = record[OWNER] == owner or record[ADOPTER] == owner
      if ours or waited(now, state, txn, record, OPENED_AT) > older_than then
        list[#list + 1] = {txn, {txn, state, record[BRANCHES]}}
      end
    end
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end)

-- verdicts ------------------------------------------------------------------------------------------------------------

local function verdict_of(txn)
  if stale(txn) then return enabled('refuse-stale') and 'conflict:stale' or '' end
  local verdict = recall(txn) or ''
  return verdict == COMMITTED and not enabled('replay-verdict') and '' or verdict
end

-- Record the verdict, release the locks, and grant them to waiting branches.
local function finish(now, txn, verdict, changes)
  remember(txn, verdict)
  call('HDEL', 'prepared', txn)
  return grant(now, release(txn, changes, verdict == COMMITTED))
end

-- participant ---------------------------------------------------------------------------------------------------------

command('prepare', function(now, txn, home, branch, priority_us, horizon, changes, coordinator)
  announce(txn, horizon)
  collect(txn, horizon)
  local verdict = verdict_of(txn)
  if verdict ~= '' then return {{{coordinator, txn, branch, verdict == COMMITTED and '' or verdict}}, {}} end
  if call('HEXISTS', 'prepared', txn) == 1 then return {{{coordinator, txn, branch, ''}}, {}} end
  local why, wounds = acquire(txn, {home, branch, coordinator, priority_us, now, changes, generation()})
  if why == 'wait' then return {{}, wounds} end
  return {{{coordinator, txn, branch, why}}, {}}
end)

command('apply', function(now, txn, branch, coordinator)
  local record = get('prepared', txn)
  if not record then return verdict_of(txn) ~= '' and {'applied', {}, {}} or {'lost'} end
  return {'applied', finish(now, txn, COMMITTED, record[CHANGES])}
end)

command('undo', function(now, txn)
  local record = get('prepared', txn)
  if record then return {finish(now, txn, ABORTED, record[CHANGES])} end
  if call('HEXISTS', 'queued', txn) == 1 then
    reject(txn, ABORTED)
  elseif verdict_of(txn) == '' then
    remember(txn, ABORTED)
  end
  return {{}, {}}
end)

command('doubts', function(now, owner, older_than)
  local late, list = {}, {}
  for _, state in ipairs({'prepared', 'queued'}) do
    for _, row in ipairs(rows(state)) do
      if math.abs(now - row[2][SINCE]) > older_than then late[#late + 1] = {row[1], row[2], state} end
    end
  end
  table.sort(late, function(a, b)
    if a[2][SINCE] ~= b[2][SINCE] then return a[2][SINCE] < b[2][SINCE] end
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[3] < b[3]
  end)
  for index = 1, math.min(#late, 100) do
    local txn, record, state = late[index][1], late[index][2], late[index][3]
    record[SINCE] = now
    put(state, txn, record)
    list[index] = {txn, {txn, record[HOME], record[BRANCH], (record[GENERATION] or 0) < generation()}}
  end
  return list
end)

-- lists for operators -------------------------------------------------------------------------------------------------

command('list_txns', function(now)
  local list = {}
  local opened, prepared = {SUBJECT, OPENED_AT}, {BRANCH, SINCE}
  for state, fields in pairs({open = opened, committed = opened, prepared = prepared, queued = prepared}) do
    for _, row in ipairs(rows(state)) do list[#list + 1] = {row[1], state, row[2][fields[1]], row[2][fields[2]]} end
  end
  uncollected(now, list)
  table.sort(list, function(a, b) return a[1] == b[1] and a[2] < b[2] or a[1] < b[1] end)
  return list
end)

command('txn_verdict', function(now, txn) return {recall(txn) or ''} end)
