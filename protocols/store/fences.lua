-- The fences of transactions that messages may still name. The twin of fences.py; see there.

local COLLECTED_AT_ONCE = 1000

local function point_of(name, instance)
  local packed = call('HGET', name, instance)
  if not packed then return 0, 0 end
  return unpack(cmsgpack.unpack(packed))
end

local function horizon_of(instance) return point_of('horizon', instance) end

local function stale(txn)
  local instance, life, sequence = parts(txn)
  return before(life, sequence, horizon_of(instance))
end

local function recall(txn)
  local _, _, _, prefix, sequence = parts(txn)
  return prefix and call('HGET', 'fence:' .. prefix, sequence) or nil
end

local function remember(txn, what)
  if stale(txn) then return end
  local instance, life, _, prefix, sequence = parts(txn)
  local fences = 'fence:' .. prefix
  if call('EXISTS', fences) == 0 then call('HSET', 'lives:' .. instance, text(life), prefix) end
  call('HSET', fences, sequence, what)
end

-- UNLINK frees the memory of a large table beside the server's work.
local function drop_lives(instance, first)
  local lives = 'lives:' .. instance
  local flat = call('HGETALL', lives)
  for at = 1, #flat, 2 do
    if tonumber(flat[at]) < first then
      call('UNLINK', 'fence:' .. flat[at + 1])
      call('HDEL', lives, flat[at])
    end
  end
end

-- Apart from `collect`, so that fences which are never collected are seen by `uncollected`.
local function announce(txn, horizon)
  local instance = parts(txn)
  local life, sequence = horizon[1], horizon[2]
  if sequence > COLLECTED_AT_ONCE then return end
  local known, last = point_of('announced', instance)
  if before(known, last, life, sequence) then call('HSET', 'announced', instance, pack({life, sequence})) end
end

local function collect(txn, horizon)
  local instance = parts(txn)
  local life, sequence = horizon[1], horizon[2]
  local known, first = horizon_of(instance)
  if not before(known, first, life, sequence) then return end
  if life > known then
    drop_lives(instance, life)
    first = 0
  end
  local last = math.min(sequence, first + COLLECTED_AT_ONCE)
  local ended = {}
  for number = first, last - 1 do ended[#ended + 1] = text(number) end
  if #ended > 0 then call('HDEL', 'fence:' .. prefix_of(instance, life), unpack(ended)) end
  call('HSET', 'horizon', instance, pack({life, last}))
end

-- {txn, 'fenced', '', now} for each fence that should have been collected, as a list of transactions has it.
local function uncollected(now, found)
  local instances = {}
  for _, name in ipairs({'announced', 'horizon'}) do
    for _, instance in ipairs(call('HKEYS', name)) do instances[instance] = true end
  end
  for instance in pairs(instances) do
    local horizon_life, horizon_sequence = horizon_of(instance)
    local announced_life, announced_sequence = point_of('announced', instance)
    for _, prefix in ipairs(call('HVALS', 'lives:' .. instance)) do
      for _, number in ipairs(call('HKEYS', 'fence:' .. prefix)) do
        local txn = prefix .. '.' .. number
        local _, life, sequence = parts(txn)
        if before(life, sequence, horizon_life, horizon_sequence) or before(life, sequence, announced_life, announced_sequence) then
          found[#found + 1] = {txn, 'fenced', '', now}
        end
      end
    end
  end
end
