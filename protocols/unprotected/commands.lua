-- The store's side of no protocol: plain reads and writes. The twin of commands.py.

command('read_order', function(now, order)
  local state, branches = plan(order)
  if state == 'open' then return {'open', branches} end
  return {state}
end)

command('change', function(now, txn, call_number, sender, key, delta)
  local balance, lock = unpack(call('HMGET', key, 'balance', 'lock'))
  if not balance then return {'missing:' .. key} end
  if lock ~= '' then return {'locked:' .. key} end
  local why = refusal(tonumber(balance), delta)
  if why ~= '' then return {why .. ':' .. key} end
  call('HSET', key, 'balance', text(tonumber(balance) + delta))
  return {''}
end)

command('mark_paid', function(now, order)
  if call('HEXISTS', 'order:' .. order, 'user') == 0 then return {'missing'} end
  settle(order)
  return {'paid'}
end)

command('unfinished', function(now, owner, older_than) return {} end)
command('list_txns', function(now) return {} end)
command('txn_verdict', function(now, txn) return {''} end)
