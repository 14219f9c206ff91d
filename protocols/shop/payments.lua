-- Payments for an order that a client makes and cancels by itself: the twin of payments.py, command by command.

local function payment(key, order)
  local packed = call('HGET', 'payments:' .. key, order)
  if not packed then return nil end
  local amount, paid_in = unpack(cmsgpack.unpack(packed))
  return paid_in == life_of(key) and amount or nil
end

local function set_payment(key, order, amount)
  call('HSET', 'payments:' .. key, order, pack({amount, life_of(key)}))
end

command('pay_order', function(now, key, order, amount)
  local paid = payment(key, order)
  if paid and paid ~= 0 then return {paid == amount and 'ok' or 'other', paid} end
  local result = adjust(key, -amount)
  if result[1] == 'ok' then set_payment(key, order, amount) end
  return result
end)

command('cancel_order', function(now, key, order)
  if call('EXISTS', key) == 0 then return {'missing'} end
  local paid = payment(key, order)
  if not paid then return {'unpaid'} end
  local result = adjust(key, paid)
  if result[1] == 'ok' then set_payment(key, order, 0) end
  return result
end)

command('find_payment', function(now, key, order) return {'found', payment(key, order) or 0} end)
