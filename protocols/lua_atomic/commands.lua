-- The store commands of an atomic checkout: the twin of commands.py, command by command, which describes fields and results.

-- Apply all changes and return ''; or apply none and return why.
local function take(changes)
  local steps = {changes}
  if not enabled('check-first') then
    for index, change in ipairs(changes) do steps[index] = {change} end
  end
  for _, step in ipairs(steps) do
    local why = check(step, 1)
    if why ~= '' then return why end
    apply(step, 1)
  end
  return ''
end

-- Return the changes of all branches, one after the other.
local function all_of(branches)
  local changes = {}
  for _, branch in ipairs(branches) do
    for _, change in ipairs(branch[3]) do changes[#changes + 1] = change end
  end
  return changes
end

command('checkout', function(now, txn, order, key)
  local state, branches = plan(order)
  if never(state) then return {'no', state .. ':order:' .. order} end
  local table_key = 'order:' .. order
  local instance, life, sequence = parts(txn)
  local field = 'verdict:' .. instance
  local packed = enabled('replay-verdict') and call('HGET', table_key, field)
  if packed then
    local last_life, last, verdict = unpack(cmsgpack.unpack(packed))
    if not before(last_life, last, life, sequence) then return verdict == '' and {'paid'} or {'no', verdict} end
  end
  if state == 'paid' then return {'paid'} end
  local rejection = rejected_before(order, key)
  if rejection then return rejection end
  local why = take(all_of(branches))
  if why ~= '' then
    call('HSET', table_key, field, pack({life, sequence, why}))
    return {'no', why}
  end
  call('HSET', table_key, field, pack({life, sequence, ''}), 'paid', '1', 'txn', '')
  return {'paid'}
end)

command('unfinished', function(now, owner, older_than) return {} end)
command('list_txns', function(now) return {} end)
command('txn_verdict', function(now, txn) return {''} end)
