-- The store's side of two-phase commit. The twin of commands.py, command by command; see there for tables and answers.
-- Records are packed: {home, branch, coordinator, age, since, changes} and {subject, owner, since, branches}.

local HOME, BRANCH, COORDINATOR, AGE, SINCE, CHANGES = 1, 2, 3, 4, 5, 6
local COMMITTED, ABORTED = 'committed', 'conflict:aborted'

-- coordinator ---------------------------------------------------------------------------------------------------------

local function fence(txn)
  local record = get('open', txn)
  if not record then return end
  call('HDEL', 'open', txn)
  if order_holder(record[1]) == txn then hold(record[1], '') end
end

command('open', function(now, txn, subject, owner)
  local state, branches = plan(subject)
  if state == 'paid' then return {'paid'} end
  if state == 'missing' then return {'no', 'missing:order:' .. subject} end
  if state ~= 'open' and state ~= 'busy:' .. txn and keeps('order-lock') then return {'busy', string.sub(state, 6)} end
  if begun(subject, txn) and call('HEXISTS', 'open', txn) == 0 and keeps('open-once') then return {'busy', txn} end
  hold(subject, txn)
  put('open', txn, {subject, owner, now, branches})
  return {'open', branches}
end)

command('commit', function(now, txn)
  if call('HEXISTS', 'committed', txn) == 1 then return {'committed'} end
  local packed = call('HGET', 'open', txn)
  if not packed then return {'fenced'} end
  local subject = cmsgpack.unpack(packed)[1]
  if order_holder(subject) ~= txn and keeps('order-lock') then return {'fenced'} end
  call('HDEL', 'open', txn)
  settle(subject)
  call('HSET', 'committed', txn, packed)
  return {'committed'}
end)

command('close', function(now, txn)
  fence(txn)
  return {'closed'}
end)

command('resolve', function(now, txn, patience, sender, branch)
  local record = get('committed', txn)
  if record then return {'commit', record[4]} end
  record = get('open', txn)
  if not record then return {'abort', {}} end
  if patience > 0 and now - record[3] < patience then return {'pending', {}} end
  if keeps('fence-inquiry') then fence(txn) end
  return {'abort', record[4]}
end)

command('end', function(now, ...)
  call('HDEL', 'committed', ...)
  return {'ended'}
end)

command('unfinished', function(now, owner, older_than)
  local found = {}
  for _, state in ipairs({'open', 'committed'}) do
    for _, row in ipairs(rows(state)) do
      local txn, record = row[1], row[2]
      if record[2] == owner or now - record[3] > older_than then
        found[#found + 1] = {txn, {txn, state, record[4]}}
      end
    end
  end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  return found
end)

-- fences --------------------------------------------------------------------------------------------------------------

local function verdict_of(txn)
  if stale(txn) then return keeps('refuse-stale') and 'conflict:stale' or '' end
  local verdict = recall(txn) or ''
  return verdict == COMMITTED and not keeps('replay-verdict') and '' or verdict
end

-- locks ---------------------------------------------------------------------------------------------------------------

local function enqueue(txn, record)
  put('queued', txn, record)
  for _, change in ipairs(record[CHANGES]) do call('ZADD', 'wait:' .. change[1], text(record[AGE]), txn) end
end

local function dequeue(txn)
  local record = get('queued', txn)
  if not record then return end
  call('HDEL', 'queued', txn)
  for _, change in ipairs(record[CHANGES]) do call('ZREM', 'wait:' .. change[1], txn) end
end

local function refuse(txn, why)
  dequeue(txn)
  remember(txn, why)
  return why, {}
end

-- The first missing key, who else holds one (each once, with the record, in the order of the keys), and the balances.
local function look(txn, changes)
  local holders, seen, balances = {}, {}, {}
  for index, change in ipairs(changes) do
    local balance, lock = unpack(call('HMGET', change[1], 'balance', 'lock'))
    if not balance then return change[1] end
    balances[index] = tonumber(balance)
    if lock ~= '' and lock ~= txn and not seen[lock] and keeps('locks') then
      seen[lock] = true
      holders[#holders + 1] = {txn = lock, key = change[1], record = get('prepared', lock)}
    end
  end
  return nil, holders, balances
end

local function wait_or_die(txn, record, holders)
  local policy = keeps('deadlock-policy') and OPTIONS.locks or 'wait'
  local oldest, wounds = nil, {}
  for _, holder in ipairs(holders) do
    local age = holder.record[AGE]
    if age < record[AGE] or (age == record[AGE] and holder.txn < txn) then
      oldest = oldest or holder
    elseif policy == 'wound-wait' then
      wounds[#wounds + 1] = {holder.record[COORDINATOR], holder.txn}
    end
  end
  if policy == 'no-wait' or (policy == 'wait-die' and oldest) then
    local holder = oldest or holders[1]
    return refuse(txn, 'locked:' .. holder.key .. ':' .. holder.txn)
  end
  enqueue(txn, record)
  return 'wait', wounds
end

local function acquire(txn, record)
  local changes = record[CHANGES]
  local missing, holders, balances = look(txn, changes)
  if missing then return refuse(txn, 'missing:' .. missing) end
  if #holders > 0 then return wait_or_die(txn, record, holders) end
  for index, change in ipairs(changes) do
    local why = keeps('guard') and refusal(balances[index], change[2]) or ''
    if why ~= '' then return refuse(txn, why .. ':' .. change[1]) end
  end
  for _, change in ipairs(changes) do call('HSET', change[1], 'lock', txn) end
  dequeue(txn)
  put('prepared', txn, record)
  return '', {}
end

-- Who waits for these keys: youngest first under wait-die, else oldest first.
local function waiting(freed)
  local found, seen, descending = {}, {}, OPTIONS.locks == 'wait-die'
  for _, key in ipairs(freed) do
    local flat = call('ZRANGE', 'wait:' .. key, 0, -1, 'WITHSCORES')
    for at = 1, #flat, 2 do
      if not seen[flat[at]] then
        seen[flat[at]] = true
        found[#found + 1] = {flat[at], tonumber(flat[at + 1])}
      end
    end
  end
  table.sort(found, function(a, b)
    if a[2] == b[2] then return (a[1] < b[1]) ~= descending and a[1] ~= b[1] end
    return (a[2] < b[2]) ~= descending
  end)
  return found
end

local function all_locked(keys)
  for _, key in ipairs(keys) do
    if lock_of(key) == '' then return false end
  end
  return true
end

local function offer(now, txn, votes, wounds)
  local record = get('queued', txn)
  record[SINCE] = now
  local why, wounded = acquire(txn, record)
  for _, wound in ipairs(wounded) do wounds[#wounds + 1] = wound end
  if why == 'wait' then return false end
  votes[#votes + 1] = {record[COORDINATOR], txn, record[BRANCH], why}
  return true
end

local function grant(now, freed)
  local votes, wounds, passed = {}, {}, {}
  if call('EXISTS', 'queued') == 0 then return votes, wounds end
  for _, entry in ipairs(waiting(freed)) do
    if all_locked(freed) then break end
    if not offer(now, entry[1], votes, wounds) then passed[#passed + 1] = entry[1] end
  end
  for _, txn in ipairs(passed) do offer(now, txn, votes, wounds) end
  return votes, wounds
end

local function finish(now, txn, verdict, changes)
  remember(txn, verdict)
  call('HDEL', 'prepared', txn)
  local freed = {}
  for _, change in ipairs(changes) do
    local key, delta = change[1], verdict == COMMITTED and change[2] or 0
    local balance, lock = unpack(call('HMGET', key, 'balance', 'lock'))
    if lock == txn then
      freed[#freed + 1] = key
      lock = ''
    end
    call('HSET', key, 'balance', text(tonumber(balance) + delta), 'lock', lock)
  end
  return grant(now, freed)
end

-- participant ---------------------------------------------------------------------------------------------------------

command('prepare', function(now, txn, home, branch, age, horizon, changes, coordinator)
  collect(txn, horizon)
  local verdict = verdict_of(txn)
  if verdict ~= '' then return {{{coordinator, txn, branch, verdict == COMMITTED and '' or verdict}}, {}} end
  if call('HEXISTS', 'prepared', txn) == 1 then return {{{coordinator, txn, branch, ''}}, {}} end
  local why, wounds = acquire(txn, {home, branch, coordinator, age, now, changes})
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
    refuse(txn, ABORTED)
  elseif verdict_of(txn) == '' then
    remember(txn, ABORTED)
  end
  return {{}, {}}
end)

command('doubts', function(now, owner, older_than)
  local late, found = {}, {}
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
    found[index] = {txn, {txn, record[HOME], record[BRANCH]}}
  end
  return found
end)

-- what an operator sees -----------------------------------------------------------------------------------------------

command('list_txns', function(now)
  local found = {}
  for state, at in pairs({open = {1, 3}, committed = {1, 3}, prepared = {BRANCH, SINCE}, queued = {BRANCH, SINCE}}) do
    for _, row in ipairs(rows(state)) do found[#found + 1] = {row[1], state, row[2][at[1]], row[2][at[2]]} end
  end
  table.sort(found, function(a, b) return a[1] == b[1] and a[2] < b[2] or a[1] < b[1] end)
  return found
end)

command('txn_verdict', function(now, txn) return {recall(txn) or ''} end)
