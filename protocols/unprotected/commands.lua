-- The store commands without a protocol, plain reads and writes: the twin of commands.py.

command('read_order', function(now, order)
  local state, branches, fields = plan(order)
  if fields and fields.txn ~= '' then return {'busy'} end
  if state == 'open' then return {'open', branches} end
  return {state}
end)

command('change', function(now, txn, call_number, sender, key, delta)
  local result = adjust(key, delta)
  if result[1] == 'ok' then return {''} end
  return {result[1] .. ':' .. key .. (result[1] == 'locked' and ':' .. result[2] or '')}
end)

command('mark_paid', function(now, order)
  if call('HEXISTS', 'order:' .. order, 'user') == 0 then return {'missing'} end
  settle(order)
  return {'paid'}
end)

command('unfinished', function(now, owner, older_than) return {} end)
command('list_txns', function(now) return {} end)
command('txn_verdict', function(now, txn) return {''} end)
