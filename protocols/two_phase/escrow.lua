-- Escrow: what a transaction will take is set aside. The twin of escrow.py.

-- Why these cannot be set aside, or ''. `accounts` is {balance, lock, held, due} for each change.
local function why_not_aside(changes, accounts)
  for index, change in ipairs(changes) do
    local key, delta, account = change[1], change[2], accounts[index]
    local balance, lock = account[1], account[2]
    if lock ~= '' and enabled('locks') then return 'locked:' .. key .. ':' .. lock end
    local why = check_change(key, balance, delta)
    if why ~= '' then return why end
    if enabled('guard') and enabled('escrow-guard') and reserved_by_others(balance, account[3], account[4], delta) then
      return 'locked:' .. key .. ':' .. ESCROW
    end
  end
  return ''
end

local function set_aside(changes)
  if not enabled('escrow-record') then return end
  for _, change in ipairs(changes) do
    call('HINCRBY', change[1], change[2] < 0 and 'held' or 'due', text(math.abs(change[2])))
  end
end
