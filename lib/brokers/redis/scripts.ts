import { createHash } from 'node:crypto'

/** A Lua script, run by its digest. */
export interface Script {
  readonly text: string
  readonly sha: string
}

function script (text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

/** Between the publications of an announcement: no JSON text has it in it (RFC 8259 section 7). */
export const separator = '\x1e'

/** Redis's clock in milliseconds. */
const time = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

/**
 * Stores publications and announces them, each channel in one step.
 *
 * KEYS: stream and meta of each channel. ARGV: the deadline on Redis's clock, the epoch of channels that are new, size and
 * ttl of a stream, ttl of its meta, PUBLISH or SPUBLISH; then for each channel how many, and of each its mark and body.
 * Returns the time, and for each channel its epoch and head, or an error text and -1. After the deadline only the time.
 */
export const append = script(`${time}
local result = {now}
if now > tonumber(ARGV[1]) then return result end
local size, ttl, metaTtl, publish = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local function store(stream, meta, first, last)
  local known = redis.call('HMGET', meta, 'e', 'o')
  local epoch, head = known[1], tonumber(known[2] or 0)
  if not epoch then
    epoch, head = ARGV[2], 0
    redis.call('DEL', stream)
  end
  local parts = {epoch .. ' ' .. string.format('%.0f', head + 1) .. ' ' .. string.format('%.0f', now)}
  for at = first, last, 2 do
    head = head + 1
    redis.call('XADD', stream, 'MAXLEN', '~', size, string.format('%.0f', head), 'm', ARGV[at], 't', now, 'b', ARGV[at + 1])
    parts[#parts + 1] = ARGV[at] .. ' ' .. ARGV[at + 1]
  end
  redis.call('HSET', meta, 'e', epoch, 'o', string.format('%.0f', head), 'm', ARGV[last - 1])
  redis.call('PEXPIRE', meta, metaTtl)
  redis.call('PEXPIRE', stream, ttl)
  redis.call(publish, stream, table.concat(parts, '\\30'))
  return epoch, head
end

local at = 7
for key = 1, #KEYS, 2 do
  local last = at + 2 * tonumber(ARGV[at])
  local isDone, epoch, head = pcall(store, KEYS[key], KEYS[key + 1], at + 1, last)
  if not isDone then
    if type(epoch) == 'table' then epoch = epoch.err end
    epoch, head = tostring(epoch), -1
  end
  result[#result + 1] = epoch
  result[#result + 1] = head
  at = last + 1
end
return result
`)

/**
 * Reads what came after a position, or all that is retained when it is not known or no longer there. A channel that is new
 * gets its epoch; one that is behind the position, or has another publication there, gets another: its tail was lost.
 *
 * KEYS: stream and meta. ARGV: the epoch to give, how many publications, ttl of the meta; then epoch, head and mark known.
 * Returns the time, epoch, head, its mark, and the publications: mark, time and body of each, the last one being the head.
 */
export const read = script(`${time}
local stream, meta, size = KEYS[1], KEYS[2], tonumber(ARGV[2])
local known = redis.call('HMGET', meta, 'e', 'o', 'm')
local epoch, head, mark = known[1], tonumber(known[2] or 0), known[3] or ''
local entries
if not epoch then
  redis.call('DEL', stream)
  epoch = ARGV[1]
  redis.call('HSET', meta, 'e', epoch, 'o', 0, 'm', '')
elseif epoch == ARGV[4] then
  local offset = tonumber(ARGV[5])
  local isOther = offset > head or (offset == head and mark ~= ARGV[6])
  if not isOther and offset < head then
    entries = redis.call('XRANGE', stream, ARGV[5], '+')
    local first = entries[1]
    if first and first[1] == ARGV[5] .. '-0' then
      isOther = first[2][2] ~= ARGV[6]
      table.remove(entries, 1)
    end
  elseif not isOther then
    entries = {}
  end
  if isOther then
    epoch, entries = ARGV[1], nil
    redis.call('HSET', meta, 'e', epoch)
  end
end
redis.call('PEXPIRE', meta, ARGV[3])
if not entries then
  entries = {}
  for at, entry in ipairs(redis.call('XREVRANGE', stream, '+', '-', 'COUNT', size)) do entries[at] = entry end
  for at = 1, math.floor(#entries / 2) do
    entries[at], entries[#entries + 1 - at] = entries[#entries + 1 - at], entries[at]
  end
end
local result = {now, epoch, head, mark}
for _, entry in ipairs(entries) do
  result[#result + 1] = entry[2][2]
  result[#result + 1] = entry[2][4]
  result[#result + 1] = entry[2][6]
end
return result
`)

/**
 * Where channels are. KEYS: the meta of each. ARGV: their ttl, renewed where half of it is over.
 * Returns epoch, head and mark of each; empty texts and 0 for one that is not there.
 */
export const heads = script(`
local ttl = tonumber(ARGV[1])
local result = {}
for _, meta in ipairs(KEYS) do
  local known = redis.call('HMGET', meta, 'e', 'o', 'm')
  if known[1] and redis.call('PTTL', meta) < ttl / 2 then redis.call('PEXPIRE', meta, ttl) end
  result[#result + 1] = known[1] or ''
  result[#result + 1] = tonumber(known[2] or 0)
  result[#result + 1] = known[3] or ''
end
return result
`)

/**
 * Which publications were stored. KEYS: stream and meta. ARGV: their marks.
 * Returns the time, the epoch, and for each its offset, or 0.
 */
export const find = script(`${time}
local result = {now, redis.call('HGET', KEYS[2], 'e') or ''}
local offsets = {}
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 2000)) do
  offsets[entry[2][2]] = tonumber(string.match(entry[1], '^%d+'))
end
for _, mark in ipairs(ARGV) do result[#result + 1] = offsets[mark] or 0 end
return result
`)
