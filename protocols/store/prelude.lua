-- What every library starts with. OPTIONS and ABLATED are set above this line by protocols/service/lua_library.py.
-- A command is one Valkey function: one msgpack array of arguments in, `now` (ms) first; one msgpack array out.

local function pack(value) return cmsgpack.pack(value) end

-- Set by each command as it begins: while the library loads there is nothing to call yet.
local call

local function enabled(safeguard) return not ABLATED[safeguard] end

-- Whole numbers as text: Lua's own tostring() would give 1e+15, and without the sum a negated 0 would be -0.
local function text(number) return string.format('%.0f', number + 0) end

local function register(name, body, flags)
  redis.register_function{function_name = 'wdm_' .. name, flags = flags, callback = function(keys, args)
    call = redis.call
    return pack(body(unpack(cmsgpack.unpack(args[1]))))
  end}
end

-- A command that a full store (maxmemory) still carries out: what has begun has to be able to end.
local function command(name, body) register(name, body, {'allow-oom'}) end

-- One that makes data: a full store refuses it before anything of it has happened.
local function making(name, body) register(name, body, {}) end
