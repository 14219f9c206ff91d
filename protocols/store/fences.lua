-- Fences, the deduplication records of transactions: the twin of fences.py, which describes the tables.

local COLLECTED_AT_ONCE = 1000

local function point_of(name, instance)
  local packed = call('HGET', name, instance)
  if not packed then return 0, 0 end
  return unpack(cmsgpack.unpack(packed))
end

-- Several steps of one command need the horizon of its instance, which is read once.
local horizon_read_in, horizon_instance, horizon_life, horizon_sequence
local function keep_horizon(instance, life, sequence)
  horizon_read_in, horizon_instance, horizon_life, horizon_sequence = turn, instance, life, sequence
end

local function horizon_of(instance)
  if horizon_read_in ~= turn or horizon_instance ~= instance then keep_horizon(instance, point_of('horizon', instance)) end
  return horizon_life, horizon_sequence
end

local function stale(txn)
  local instance, life, sequence = parts(txn)
  return before(life, sequence, horizon_of(instance))
end

local function recall(txn)
  local _, _, _, prefix, sequence = parts(txn)
  return prefix and call('HGET', 'fence:' .. prefix, sequence) or nil
end

local function remember(txn, record)
  if stale(txn) then return end
  local instance, life, _, prefix, sequence = parts(txn)
  local fences = 'fence:' .. prefix
  if call('EXISTS', fences) == 0 then call('HSET', 'lives:' .. instance, text(life), prefix) end
  call('HSET', fences, sequence, record)
end

-- UNLINK frees the memory of a large table in a thread of its own, beside the server's work.
local function drop_lives(instance, first)
  local lives = 'lives:' .. instance
  local flat = call('HGETALL', lives)
  for index = 1, #flat, 2 do
    if tonumber(flat[index]) < first then
      call('UNLINK', 'fence:' .. flat[index + 1])
      call('HDEL', lives, flat[index])
    end
  end
end

-- Separate from `collect`, so that `uncollected` counts fences that no command collects.
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
  keep_horizon(instance, life, last)
end

-- Append {txn, 'fenced', '', now} for each fence below a horizon: a row of `list_txns`.
local function uncollected(now, list)
  local instances = {}
  for _, name in ipairs({'announced', 'horizon'}) do
    for _, instance in ipairs(call('HKEYS', name)) do instances[instance] = true end
  end
  for instance in pairs(instances) do
    local reached_life, reached_sequence = horizon_of(instance)
    local announced_life, announced_sequence = point_of('announced', instance)
    for _, prefix in ipairs(call('HVALS', 'lives:' .. instance)) do
      for _, number in ipairs(call('HKEYS', 'fence:' .. prefix)) do
        local txn = prefix .. '.' .. number
        local _, life, sequence = parts(txn)
        if before(life, sequence, reached_life, reached_sequence) or before(life, sequence, announced_life, announced_sequence) then
          list[#list + 1] = {txn, 'fenced', '', now}
        end
      end
    end
  end
end
