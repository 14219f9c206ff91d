-- Escrow, reservations of amounts instead of locks: the twin of escrow.py.

-- Return why these amounts cannot be reserved, or ''. `accounts` has {balance, lock, held, due} for each change.
local function check_reservation(changes, accounts)
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

local function reserve(changes)
  if not enabled('escrow-record') then return end
  for _, change in ipairs(changes) do
    call('HINCRBY', change[1], change[2] < 0 and 'held' or 'due', text(math.abs(change[2])))
  end
end
