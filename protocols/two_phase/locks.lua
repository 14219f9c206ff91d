-- The lock policies of `--locks`: the twin of locks.py.

-- The fields of a packed `Prepared` (records.py).
local HOME, BRANCH, COORDINATOR, PRIORITY, SINCE, CHANGES, GENERATION = 1, 2, 3, 4, 5, 6, 7

local function enqueue(txn, record)
  put('queued', txn, record)
  for _, change in ipairs(record[CHANGES]) do call('ZADD', 'wait:' .. change[1], text(record[PRIORITY]), txn) end
end

local function dequeue(txn)
  local record = get('queued', txn)
  if not record then return end
  call('HDEL', 'queued', txn)
  for _, change in ipairs(record[CHANGES]) do call('ZREM', 'wait:' .. change[1], txn) end
end

local function reject(txn, why)
  dequeue(txn)
  remember(txn, why)
  return why, {}
end

-- Return the first missing key, or nil and all accounts as {balance, lock, held, due}.
local function read_accounts(changes)
  local accounts = {}
  for index, change in ipairs(changes) do
    local account = call('HMGET', change[1], 'balance', 'lock', 'held', 'due')
    if not account[1] then return change[1] end
    account[1] = tonumber(account[1])
    accounts[index] = account
  end
  return nil, accounts
end

-- Return the other holders of these keys: each once, with its record, in the order of the keys.
local function holders_of(txn, changes, accounts)
  local holders, seen = {}, {}
  for index, change in ipairs(changes) do
    local lock = accounts[index][2]
    if lock ~= '' and lock ~= txn and not seen[lock] and enabled('locks') then
      seen[lock] = true
      holders[#holders + 1] = {txn = lock, key = change[1], record = get('prepared', lock)}
    end
  end
  return holders
end

local function wait_or_die(txn, record, holders)
  local policy = enabled('deadlock-policy') and OPTIONS.locks or 'wait'
  local oldest, wounds = nil, {}
  for _, holder in ipairs(holders) do
    local priority_us = holder.record[PRIORITY]
    if priority_us < record[PRIORITY] or (priority_us == record[PRIORITY] and holder.txn < txn) then
      oldest = oldest or holder
    elseif policy == 'wound-wait' then
      wounds[#wounds + 1] = {holder.record[COORDINATOR], holder.txn}
    end
  end
  if policy == 'no-wait' or (policy == 'wait-die' and oldest) then
    local holder = oldest or holders[1]
    return reject(txn, 'locked:' .. holder.key .. ':' .. holder.txn)
  end
  enqueue(txn, record)
  return 'wait', wounds
end

local function lock_all(txn, changes, accounts)
  for index, change in ipairs(changes) do
    local account = accounts[index]
    if has_reservations(account[3], account[4]) then return 'locked:' .. change[1] .. ':' .. ESCROW end
    local why = check_change(change[1], account[1], change[2])
    if why ~= '' then return why end
  end
  for _, change in ipairs(changes) do call('HSET', change[1], 'lock', txn) end
  return ''
end

local function acquire(txn, record)
  local changes, why = record[CHANGES], nil
  local missing, accounts = read_accounts(changes)
  if missing then return reject(txn, 'missing:' .. missing) end
  if OPTIONS.locks == 'escrow' then
    why = check_reservation(changes, accounts)
  else
    local holders = holders_of(txn, changes, accounts)
    if #holders > 0 then return wait_or_die(txn, record, holders) end
    why = lock_all(txn, changes, accounts)
  end
  if why ~= '' then return reject(txn, why) end
  if OPTIONS.locks == 'escrow' then reserve(changes) end
  dequeue(txn)
  put('prepared', txn, record)
  return '', {}
end

-- Release the locks and reservations, with the new values after a commit. Return the keys whose locks are free now.
local function release(txn, changes, committed)
  local freed = {}
  for _, change in ipairs(changes) do
    local key, delta = change[1], change[2]
    local balance, lock, held, due = unpack(call('HMGET', key, 'balance', 'lock', 'held', 'due'))
    local after = text(tonumber(balance) + (committed and delta or 0))
    local field, reserved = 'held', number(held)
    if delta >= 0 then field, reserved = 'due', number(due) end
    if lock == txn then
      freed[#freed + 1] = key
      call('HSET', key, 'balance', after, 'lock', '')
    elseif reserved and (committed or enabled('escrow-return')) then
      call('HSET', key, 'balance', after, field, text(reserved - math.abs(delta)))
    else
      call('HSET', key, 'balance', after)
    end
  end
  return freed
end

-- Return the transactions that wait for these keys: youngest first under wait-die, else oldest first.
local function waiting(freed)
  local list, seen, descending = {}, {}, OPTIONS.locks == 'wait-die'
  for _, key in ipairs(freed) do
    local flat = call('ZRANGE', 'wait:' .. key, 0, -1, 'WITHSCORES')
    for index = 1, #flat, 2 do
      if not seen[flat[index]] then
        seen[flat[index]] = true
        list[#list + 1] = {flat[index], tonumber(flat[index + 1])}
      end
    end
  end
  table.sort(list, function(a, b)
    if a[2] == b[2] then return (a[1] < b[1]) ~= descending and a[1] ~= b[1] end
    return (a[2] < b[2]) ~= descending
  end)
  return list
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
  local votes, wounds, still_waiting = {}, {}, {}
  if call('EXISTS', 'queued') == 0 then return votes, wounds end
  for _, entry in ipairs(waiting(freed)) do
    if all_locked(freed) then break end
    if not offer(now, entry[1], votes, wounds) then still_waiting[#still_waiting + 1] = entry[1] end
  end
  for _, txn in ipairs(still_waiting) do offer(now, txn, votes, wounds) end
  return votes, wounds
end
