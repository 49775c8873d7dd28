/** Bytes that a stored publication counts in addition to its body: id, mark, time and sum, as Redis encodes them. */
export const publicationOverhead = 64

/** Separates the publications of an announcement: no JSON text contains it (RFC 8259 section 7). */
export const separator = '\x1e'

/** Redis's clock, in ms. */
export const time = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

/** Deletes a stream, if it exists. Redis without memory refuses only the first write of a script: a useless DEL would let others pass. */
export const clear = `
local function clear(stream)
  if redis.call('EXISTS', stream) == 1 then redis.call('DEL', stream) end
end
`

/** Formats whole numbers. Lua writes large ones with an exponent in texts; as arguments of commands, Redis writes them in full. */
export const whole = `
local function whole(number) return string.format('%.0f', number) end
`

/** Adds a publication to a stream: its mark, time and body, and the sum of bytes of all publications up to this one. */
export const add = `
local function add(stream, trim, limit, offset, mark, body, sum)
  redis.call('XADD', stream, trim, '~', limit, offset, 'm', mark, 't', now, 'b', body, 'c', sum)
end
local function sizeOf(body) return #body + ${publicationOverhead} end
`

/**
 * Finds the oldest publication of a stream that is within limits of bytes and age, by bisection: both sums grow towards the newest.
 * Entries of older versions have no sum, and count as within the bytes.
 */
export const keep = `
local function firstKept(stream, low, head, sum, total, room, ttl)
  local high, before = head + 1, sum
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    local entry = redis.call('XREVRANGE', stream, middle, middle)[1]
    local start = entry and entry[2][8] and tonumber(entry[2][8]) - sizeOf(entry[2][6])
    if entry and now - tonumber(entry[2][4]) <= ttl and (not start or total - start <= room) then
      high, before = middle, start
    else
      low = middle
    end
  end
  return high, before
end
`

/** Marks all nodes as alive if none has sent a beat for a while: Redis was unreachable then. */
export const forgive = `
local function forgive(nodes, dead)
  local last = redis.call('ZRANGE', nodes, -1, -1, 'WITHSCORES')
  if not last[2] or now - tonumber(last[2]) <= dead / 2 then return end
  for _, other in ipairs(redis.call('ZRANGE', nodes, 0, -1)) do redis.call('ZADD', nodes, now, other) end
end
`

/** Connections under a key whose nodes are alive. A node that has just started may be unknown to others yet. */
export const present = `${time}
local function present(all, isAlive, isSilent)
  local found = {}
  for at = 1, #all, 2 do
    local node, renewed = string.match(all[at + 1], '^(%S+) (%d+)$')
    if not isSilent[node] and (isAlive[node] or now - tonumber(renewed) < 10000) then
      found[#found + 1] = all[at]
      found[#found + 1] = node
    end
  end
  return found
end
local function set(first, last)
  local names = {}
  for at = first, last do names[ARGV[at]] = true end
  return names
end
`
