-- The lives of a coordinator's instance, and the names of its transactions: the twin of lives.py.

-- Return the parts of a name: instance, life, sequence (numbers), prefix, and the digits of the sequence. The parts of the last
-- name are kept, because a command needs those of one name several times.
local split, instance_of_it, life_of_it, sequence_of_it, prefix_of_it, digits_of_it
local function parts(txn)
  if txn ~= split then
    split = txn
    prefix_of_it, digits_of_it = string.match(txn, '^(.*)%.(%d+)$')
    local instance, life = string.match(prefix_of_it or '', '^(.*)~(%d+)$')
    instance_of_it, life_of_it = instance or prefix_of_it, tonumber(life or 0)
    sequence_of_it = tonumber(digits_of_it)
  end
  return instance_of_it, life_of_it, sequence_of_it, prefix_of_it, digits_of_it
end

local function prefix_of(instance, life) return life > 0 and instance .. '~' .. text(life) or instance end

-- Return whether the first point (life, sequence) comes before the second.
local function before(life, sequence, other_life, other_sequence)
  return life < other_life or (life == other_life and sequence < other_sequence)
end

local function generation()
  return OPTIONS['short-log'] == 'block' and tonumber(call('HGET', 'generation', 'number') or 0) or 0
end

command('enlist', function(now, instance, life, process)
  local last = tonumber(call('HGET', 'enlisted', instance) or 0)
  if life > math.max(last, generation()) then
    last = life
    call('HSET', 'enlisted', instance, text(life))
    call('HSET', 'enlisted-by', instance, process or '')
  end
  return {last, call('HGET', 'enlisted-by', instance) or ''}
end)

command('begin_generation', function(now, run)
  if call('HGET', 'generation', 'run') ~= run then
    local number = math.max(generation() + 1, now)
    for _, life in ipairs(call('HVALS', 'enlisted')) do number = math.max(number, tonumber(life) + 1) end
    call('HSET', 'generation', 'run', run, 'number', text(number))
  end
  return {generation()}
end)

-- Return whether records of a transaction may have been lost.
local function short_log(txn)
  local _, life = parts(txn)
  return life < generation()
end

local function superseded(txn)
  local instance, life = parts(txn)
  return life < tonumber(call('HGET', 'enlisted', instance) or 0) or life < generation()
end
