-- The accounts of stock and payment: the twin of ledger.py, command by command; the results are described there.
-- Amounts are doubles and stay exact up to LIMIT; a sum is tested as a difference, which cannot leave that range.

local LIMIT = 9007199254740992

local function out_of_range(balance, delta)
  if balance + delta < 0 then return 'short' end
  return balance > LIMIT - delta and 'over' or ''
end

local function number(value) return value and tonumber(value) end

-- accounts: hashes {balance, price, lock}, perhaps {held, due}, {life} ------------------------------------------------

local ESCROW = 'escrow'

local function lock_of(key) return call('HGET', key, 'lock') or '' end

local function has_reservations(held, due) return (number(held) or 0) ~= 0 or (number(due) or 0) ~= 0 end

local function account_holder(key)
  local lock, held, due = unpack(call('HMGET', key, 'lock', 'held', 'due'))
  if lock and lock ~= '' then return lock end
  return has_reservations(held, due) and ESCROW or ''
end

local function reserved_by_others(balance, held, due, delta)
  local rest = balance - (number(held) or 0)
  if delta > 0 then rest = balance + (number(due) or 0) end
  return out_of_range(rest, delta) ~= ''
end

local function life_of(key) return number(call('HGET', key, 'life')) or 0 end

local function set_account(key, balance, price)
  call('HSET', key, 'balance', text(balance), 'price', text(price), 'lock', '')
end

creating_command('create_account', function(now, key, balance, price)
  if call('EXISTS', key) == 0 then set_account(key, balance, price) end
  return {'ok'}
end)

command('find_account', function(now, key)
  local balance, price, lock = unpack(call('HMGET', key, 'balance', 'price', 'lock'))
  if not balance then return {'missing'} end
  if OPTIONS.reads == 'settled' then lock = account_holder(key) end
  if lock ~= '' and OPTIONS.reads ~= 'committed' then return {'locked', lock} end
  return {'found', tonumber(balance), tonumber(price)}
end)

local function adjust(key, delta)
  local balance, lock, held, due = unpack(call('HMGET', key, 'balance', 'lock', 'held', 'due'))
  if not balance then return {'missing'} end
  if lock ~= '' then return {'locked', lock} end
  balance = tonumber(balance)
  local why = out_of_range(balance, delta)
  if why ~= '' then return {why, balance} end
  if reserved_by_others(balance, held, due, delta) then return {'locked', ESCROW} end
  call('HSET', key, 'balance', text(balance + delta))
  return {'ok', balance + delta}
end

command('adjust', function(now, key, delta) return adjust(key, delta) end)

creating_command('init_accounts', function(now, prefix, first, count, balance, price)
  for id = first, first + count - 1 do
    local holder = account_holder(prefix .. ':' .. text(id))
    if holder ~= '' then return {'locked', holder} end
  end
  for id = first, first + count - 1 do
    local key = prefix .. ':' .. text(id)
    set_account(key, balance, price)
    call('HINCRBY', key, 'life', 1)
  end
  return {'ok'}
end)

-- changes of a transaction: {key, delta} each, a key at most once ----------------------------------------------------

-- Return why a change is impossible, or ''; `balance` is nil without an account. Locks do not matter here.
local function check_change(key, balance, delta)
  if not balance then return 'missing:' .. key end
  local why = enabled('guard') and out_of_range(balance, delta) or ''
  return why ~= '' and why .. ':' .. key or ''
end

-- Return why the first impossible change, times `sign`, is impossible; or ''.
local function check(changes, sign)
  for _, change in ipairs(changes) do
    local why = check_change(change[1], number(call('HGET', change[1], 'balance')), sign * change[2])
    if why ~= '' then return why end
  end
  return ''
end

-- Add each delta, times `sign`, to its account. The caller has checked the changes.
local function apply(changes, sign)
  for _, change in ipairs(changes) do call('HINCRBY', change[1], 'balance', text(sign * change[2])) end
end
