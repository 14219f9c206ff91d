-- The orders of the shop: the twin of ledger_orders.py, command by command; the results are described there.

-- orders: hashes {user, paid, items (packed {item, quantity, price} each), txn} ---------------------------------------

local function set_order(order, user, items)
  call('HSET', 'order:' .. order, 'user', user, 'paid', '0', 'items', pack(items), 'txn', '')
end

-- `last_begun`: the last checkout of the order that this instance has begun, packed.
local function get_order(order, instance)
  local begun = 'begun:' .. (instance or '')
  local user, paid, items, txn, last_begun = unpack(call('HMGET', 'order:' .. order, 'user', 'paid', 'items', 'txn', begun))
  if not user then return nil end
  return {user = user, paid = tonumber(paid), items = cmsgpack.unpack(items), txn = txn, last_begun = last_begun}
end

local function total(lines)
  local sum = 0
  for _, line in ipairs(lines) do sum = sum + line[2] * line[3] end
  return sum
end

-- Return whether quantity * price is at most `room`, without the product, which is not exact for two large doubles.
local function fits(room, quantity, price)
  return quantity == 0 or price <= (room - math.fmod(room, quantity)) / quantity
end

local function rejection_of(fields)
  if not fields then return {'missing'} end
  if fields.paid == 1 then return {'paid'} end
  return fields.txn ~= '' and {'busy', fields.txn} or nil
end

creating_command('create_order', function(now, order, user)
  if call('EXISTS', 'order:' .. order) == 0 then set_order(order, user, {}) end
  return {'ok'}
end)

command('find_order', function(now, order)
  local fields = get_order(order)
  if not fields then return {'missing'} end
  local lines = {}
  for index, line in ipairs(fields.items) do lines[index] = {line[1], line[2]} end
  return {'found', fields.user, fields.paid, total(fields.items), lines}
end)

creating_command('add_item', function(now, order, item, quantity, price)
  local fields = get_order(order)
  local rejection = rejection_of(fields)
  if rejection then return rejection end
  local before, room = total(fields.items), LIMIT - quantity
  for _, line in ipairs(fields.items) do room = room - line[2] end
  if quantity < 0 or price < 0 or room < 0 or not fits(LIMIT - before, quantity, price) then return {'over', before} end
  fields.items[#fields.items + 1] = {item, quantity, price}
  call('HSET', 'order:' .. order, 'items', pack(fields.items))
  return {'ok', before + quantity * price}
end)

command('remove_item', function(now, order, item)
  local fields = get_order(order)
  local rejection = rejection_of(fields)
  if rejection then return rejection end
  for index, line in ipairs(fields.items) do
    if line[1] == item then
      table.remove(fields.items, index)
      call('HSET', 'order:' .. order, 'items', pack(fields.items))
      return {'ok', total(fields.items)}
    end
  end
  return {'absent'}
end)

command('remove_order', function(now, order)
  local rejection = rejection_of(get_order(order))
  if rejection then return rejection end
  call('HDEL', 'order:' .. order, 'user', 'paid', 'items')
  call('DEL', 'branches:' .. order)
  return {'ok'}
end)

creating_command('add_branch', function(now, order, service, shard, changes)
  local rejection = rejection_of(get_order(order))
  if rejection then return rejection end
  call('HSET', 'branches:' .. order, service .. '/' .. text(shard), pack(changes))
  return {'ok'}
end)

creating_command('init_orders', function(now, first, price, rows)
  for index, row in ipairs(rows) do
    set_order(text(first + index - 1), row[1], {{row[2], 1, price}, {row[3], 1, price}})
  end
  return {'ok'}
end)

-- checkouts, for the commands of protocols ---------------------------------------------------------------------------

local function added_branches(order)
  local fields, branches = call('HGETALL', 'branches:' .. order), {}
  for index = 1, #fields, 2 do
    local service, shard = fields[index]:match('^(.*)/(%d+)$')
    branches[#branches + 1] = {service, tonumber(shard), cmsgpack.unpack(fields[index + 1]), fields[index]}
  end
  table.sort(branches, function(one, other) return one[4] < other[4] end)
  for _, branch in ipairs(branches) do branch[4] = nil end
  return branches
end

-- Return the state of an order ('open', 'paid', 'missing' or 'negative'), its branches, and its fields if it is open.
local function plan(order, instance)
  local fields = get_order(order, instance)
  if not fields then return 'missing', {} end
  if fields.paid == 1 then return 'paid', {} end
  local changes, place = {}, {}
  for _, line in ipairs(fields.items) do
    if line[2] < 0 or line[3] < 0 then return 'negative', {} end
    local at = place[line[1]]
    if at then
      changes[at][2] = changes[at][2] - line[2]
    else
      changes[#changes + 1] = {'item:' .. line[1], -line[2]}
      place[line[1]] = #changes
    end
  end
  if #changes == 0 then return 'open', added_branches(order), fields end
  return 'open', {{'stock', 0, changes}, {'payment', 0, {{'user:' .. fields.user, -total(fields.items)}}}}, fields
end

-- Return whether no checkout changes an order in this state.
local function never(state) return state == 'missing' or state == 'negative' end

local function order_holder(order) return call('HGET', 'order:' .. order, 'txn') or '' end

local function hold(order, txn)
  local instance, life, sequence = parts(txn)
  if instance then
    call('HSET', 'order:' .. order, 'txn', txn, 'begun:' .. instance, pack({life, sequence}))
  else
    call('HSET', 'order:' .. order, 'txn', txn)
  end
end

local function begun(txn, packed)
  local _, life, sequence = parts(txn)
  if packed and not before(cmsgpack.unpack(packed)[1], cmsgpack.unpack(packed)[2], life, sequence) then return true end
  return superseded(txn)
end

local function rejected_before(order, key)
  local remembered = enabled('recall-rejection') and recall_key(key)
  if not remembered then return nil end
  return remembered[REQUEST] == 'checkout ' .. order and remembered[RESULT] or {'no', 'other:key:' .. key}
end

-- Return the branches of a checkout that `txn` may begin, or nil and a rejection (see ledger_orders.py).
local function admit(order, txn, key, known)
  local state, branches, fields = plan(order, (parts(txn)))
  if state == 'paid' then return nil, {'paid'} end
  local rejection = rejected_before(order, key)
  if rejection then return nil, rejection end
  if never(state) then return nil, {'no', state .. ':order:' .. order} end
  local holder = fields.txn
  if holder ~= '' and holder ~= txn and enabled('order-lock') then return nil, {'busy', holder} end
  if not known and begun(txn, fields.last_begun) and enabled('begin-once') then return nil, {'busy', txn} end
  return branches
end

local function settle(order) call('HSET', 'order:' .. order, 'paid', '1', 'txn', '') end
