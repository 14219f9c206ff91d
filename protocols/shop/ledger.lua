-- The shop's data: accounts and orders. The twin of ledger.py, command by command; see there for what each answers.
-- Amounts are doubles and stay exact up to LIMIT; a sum is tested as a difference, which cannot leave that range.

local LIMIT = 9007199254740992

local function refusal(balance, delta)
  if balance + delta < 0 then return 'short' end
  return balance > LIMIT - delta and 'over' or ''
end

local function number(value) return value and tonumber(value) end

-- accounts: hashes {balance, price, lock}, perhaps {held, due}, {life} ------------------------------------------------

local ESCROW = 'escrow'

local function lock_of(key) return call('HGET', key, 'lock') or '' end

local function outstanding(held, due) return (number(held) or 0) ~= 0 or (number(due) or 0) ~= 0 end

local function occupant(key)
  local lock, held, due = unpack(call('HMGET', key, 'lock', 'held', 'due'))
  if lock and lock ~= '' then return lock end
  return outstanding(held, due) and ESCROW or ''
end

local function set_aside_by_others(balance, held, due, delta)
  local rest = balance - (number(held) or 0)
  if delta > 0 then rest = balance + (number(due) or 0) end
  return refusal(rest, delta) ~= ''
end

local function life_of(key) return number(call('HGET', key, 'life')) or 0 end

local function set_account(key, balance, price)
  call('HSET', key, 'balance', text(balance), 'price', text(price), 'lock', '')
end

making('create_account', function(now, key, balance, price)
  if call('EXISTS', key) == 0 then set_account(key, balance, price) end
  return {'ok'}
end)

command('find_account', function(now, key)
  local balance, price, lock = unpack(call('HMGET', key, 'balance', 'price', 'lock'))
  if not balance then return {'missing'} end
  if OPTIONS.reads == 'settled' then lock = occupant(key) end
  if lock ~= '' and OPTIONS.reads ~= 'committed' then return {'locked', lock} end
  return {'found', tonumber(balance), tonumber(price)}
end)

local function adjust(key, delta)
  local balance, lock, held, due = unpack(call('HMGET', key, 'balance', 'lock', 'held', 'due'))
  if not balance then return {'missing'} end
  if lock ~= '' then return {'locked', lock} end
  balance = tonumber(balance)
  local why = refusal(balance, delta)
  if why ~= '' then return {why, balance} end
  if set_aside_by_others(balance, held, due, delta) then return {'locked', ESCROW} end
  call('HSET', key, 'balance', text(balance + delta))
  return {'ok', balance + delta}
end

command('adjust', function(now, key, delta) return adjust(key, delta) end)

making('init_accounts', function(now, prefix, first, count, balance, price)
  for id = first, first + count - 1 do
    local holder = occupant(prefix .. ':' .. text(id))
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

-- Why a change cannot be made, or ''; `balance` is nil where there is no account. Locks are not looked at.
local function check_change(key, balance, delta)
  if not balance then return 'missing:' .. key end
  local why = enabled('guard') and refusal(balance, delta) or ''
  return why ~= '' and why .. ':' .. key or ''
end

-- Why the first change that cannot be made, times `sign`, cannot; or ''.
local function check(changes, sign)
  for _, change in ipairs(changes) do
    local why = check_change(change[1], number(call('HGET', change[1], 'balance')), sign * change[2])
    if why ~= '' then return why end
  end
  return ''
end

-- Make the changes, times `sign`, which have been checked.
local function apply(changes, sign)
  for _, change in ipairs(changes) do call('HINCRBY', change[1], 'balance', text(sign * change[2])) end
end

-- orders: hashes {user, paid, items (packed {item, quantity, price} each), txn} ---------------------------------------

local function set_order(order, user, items)
  call('HSET', 'order:' .. order, 'user', user, 'paid', '0', 'items', pack(items), 'txn', '')
end

local function get_order(order)
  local user, paid, items, txn = unpack(call('HMGET', 'order:' .. order, 'user', 'paid', 'items', 'txn'))
  if not user then return nil end
  return {user = user, paid = tonumber(paid), items = cmsgpack.unpack(items), txn = txn}
end

local function total(lines)
  local sum = 0
  for _, line in ipairs(lines) do sum = sum + line[2] * line[3] end
  return sum
end

-- Whether quantity * price is at most `room`, without the product: that of two large doubles is not exact.
local function fits(room, quantity, price)
  return quantity == 0 or price <= (room - math.fmod(room, quantity)) / quantity
end

local function closed(found)
  if not found then return {'missing'} end
  if found.paid == 1 then return {'paid'} end
  return found.txn ~= '' and {'busy', found.txn} or nil
end

making('create_order', function(now, order, user)
  if call('EXISTS', 'order:' .. order) == 0 then set_order(order, user, {}) end
  return {'ok'}
end)

command('find_order', function(now, order)
  local found = get_order(order)
  if not found then return {'missing'} end
  local lines = {}
  for index, line in ipairs(found.items) do lines[index] = {line[1], line[2]} end
  return {'found', found.user, found.paid, total(found.items), lines}
end)

making('add_item', function(now, order, item, quantity, price)
  local found = get_order(order)
  local refused = closed(found)
  if refused then return refused end
  local before, room = total(found.items), LIMIT - quantity
  for _, line in ipairs(found.items) do room = room - line[2] end
  if quantity < 0 or price < 0 or room < 0 or not fits(LIMIT - before, quantity, price) then return {'over', before} end
  found.items[#found.items + 1] = {item, quantity, price}
  call('HSET', 'order:' .. order, 'items', pack(found.items))
  return {'ok', before + quantity * price}
end)

command('remove_item', function(now, order, item)
  local found = get_order(order)
  local refused = closed(found)
  if refused then return refused end
  for index, line in ipairs(found.items) do
    if line[1] == item then
      table.remove(found.items, index)
      call('HSET', 'order:' .. order, 'items', pack(found.items))
      return {'ok', total(found.items)}
    end
  end
  return {'absent'}
end)

command('remove_order', function(now, order)
  local refused = closed(get_order(order))
  if refused then return refused end
  call('HDEL', 'order:' .. order, 'user', 'paid', 'items')
  call('DEL', 'branches:' .. order)
  return {'ok'}
end)

making('add_branch', function(now, order, service, shard, changes)
  local refused = closed(get_order(order))
  if refused then return refused end
  call('HSET', 'branches:' .. order, service .. '/' .. text(shard), pack(changes))
  return {'ok'}
end)

making('init_orders', function(now, first, price, rows)
  for index, row in ipairs(rows) do
    set_order(text(first + index - 1), row[1], {{row[2], 1, price}, {row[3], 1, price}})
  end
  return {'ok'}
end)

-- what a protocol asks of the ledger ----------------------------------------------------------------------------------

local function given(order)
  local fields, branches = call('HGETALL', 'branches:' .. order), {}
  for index = 1, #fields, 2 do
    local service, shard = fields[index]:match('^(.*)/(%d+)$')
    branches[#branches + 1] = {service, tonumber(shard), cmsgpack.unpack(fields[index + 1]), fields[index]}
  end
  table.sort(branches, function(one, other) return one[4] < other[4] end)
  for _, branch in ipairs(branches) do branch[4] = nil end
  return branches
end

-- The state of an order, its branches, and who checks it out: 'open', 'paid', 'missing' or 'negative'.
local function plan(order)
  local found = get_order(order)
  if not found then return 'missing', {} end
  if found.paid == 1 then return 'paid', {} end
  local changes, place = {}, {}
  for _, line in ipairs(found.items) do
    if line[2] < 0 or line[3] < 0 then return 'negative', {} end
    local at = place[line[1]]
    if at then
      changes[at][2] = changes[at][2] - line[2]
    else
      changes[#changes + 1] = {'item:' .. line[1], -line[2]}
      place[line[1]] = #changes
    end
  end
  if #changes == 0 then return 'open', given(order), found.txn end
  return 'open', {{'stock', 0, changes}, {'payment', 0, {{'user:' .. found.user, -total(found.items)}}}}, found.txn
end

-- States of an order that no checkout gets past.
local function never(state) return state == 'missing' or state == 'negative' end

local function order_holder(order) return call('HGET', 'order:' .. order, 'txn') or '' end

local function hold(order, txn)
  local key = 'order:' .. order
  if call('EXISTS', key) == 0 then return end
  local instance, life, sequence = parts(txn)
  if instance then
    call('HSET', key, 'txn', txn, 'begun:' .. instance, pack({life, sequence}))
  else
    call('HSET', key, 'txn', txn)
  end
end

local function begun(order, txn)
  local instance, life, sequence = parts(txn)
  local packed = call('HGET', 'order:' .. order, 'begun:' .. instance)
  if packed and not before(cmsgpack.unpack(packed)[1], cmsgpack.unpack(packed)[2], life, sequence) then return true end
  return superseded(txn)
end

local function settle(order) call('HSET', 'order:' .. order, 'paid', '1', 'txn', '') end
