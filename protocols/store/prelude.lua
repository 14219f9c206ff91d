-- The start of every library. protocols/service/lua_library.py sets OPTIONS, KEY_PREFIX and ABLATED above this line.
-- A command is one Valkey function: one msgpack array of arguments in, `now` (ms) first; one msgpack array out.

local function pack(value) return cmsgpack.pack(value) end

-- Each command sets this as it begins: there is no server to call while the library loads.
local call

-- The number of the running command, for values that are read once in each.
local turn = 0

-- Every call has one key, its first argument.
local function prefixed(name, key, ...) return redis.call(name, KEY_PREFIX .. key, ...) end

local function enabled(safeguard) return not ABLATED[safeguard] end

-- Whole numbers as text: Lua's own tostring() would give 1e+15, and without the sum a negated 0 would be -0.
local function text(number) return string.format('%.0f', number + 0) end

-- The commands by name, for those that execute another one.
local BODIES = {}

local function register(name, body, flags)
  BODIES[name] = body
  redis.register_function{function_name = 'wdm_' .. name, flags = flags, callback = function(keys, args)
    call = KEY_PREFIX == '' and redis.call or prefixed
    turn = turn + 1
    return pack(body(unpack(cmsgpack.unpack(args[1]))))
  end}
end

-- Register a command that a full store (maxmemory) still executes, so that transactions can end.
local function command(name, body) register(name, body, {'allow-oom'}) end

-- Register a command that creates data: a full store rejects it before its first effect.
local function creating_command(name, body) register(name, body, {}) end
