-- The epoch of a store with copies: the twin of epochs.py, which describes the table.

command('begin_epoch', function(_, epoch)
  call('HSET', 'epoch', 'number', text(epoch))
  return {'ok'}
end)

command('bundle_end', function(_, epoch)
  local current = tonumber(call('HGET', 'epoch', 'number') or 0)
  if current ~= epoch and enabled('refuse-other-epoch') then return {'other', current} end
  call('HINCRBY', 'epoch', 'bundles', 1)
  return {'ok'}
end)
