import { createHash } from 'node:crypto'

/** A Lua script, run by its digest. */
export interface Script {
  /** As it is called in the log. */
  readonly name: string
  readonly text: string
  readonly sha: string
}

/** Bytes that a stored publication counts beside its body: id, mark, time and sum, as Redis encodes them. */
export const publicationOverhead = 64

function script (name: string, text: string): Script {
  return { name: `the script '${name}'`, text, sha: createHash('sha1').update(text).digest('hex') }
}

/** Between the publications of an announcement: no JSON text has it in it (RFC 8259 section 7). */
export const separator = '\x1e'

/** Redis's clock in milliseconds. */
const time = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

/** Out of memory, Redis refuses the first write of a script and lets the others pass: so that should not be a DEL for nothing. */
const clear = `
local function clear(stream)
  if redis.call('EXISTS', stream) == 1 then redis.call('DEL', stream) end
end
`

/** Whole numbers in texts, where Lua would write large ones with an exponent. As arguments of commands Redis writes them in full. */
const whole = `
local function whole(number) return string.format('%.0f', number) end
`

/** Adds a publication to a stream: its mark, time and body, and the bytes of all publications up to and including this one. */
const add = `
local function add(stream, trim, limit, offset, mark, body, sum)
  redis.call('XADD', stream, trim, '~', limit, offset, 'm', mark, 't', now, 'b', body, 'c', sum)
end
local function sizeOf(body) return #body + ${publicationOverhead} end
`

/**
 * The oldest publication of a stream that is within a number of bytes and a time, by bisection: both grow towards the newest.
 * Entries of older versions have no sum, and are kept as far as bytes go.
 */
const keep = `
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

/**
 * Stores publications and announces them, each channel in one step. A stream is trimmed by its size with each call. When its bytes
 * exceed their limit, and every half ttl, it is trimmed by bytes and age too: to 7/8 of the bytes, so that this is seldom due.
 *
 * KEYS: stream and meta of each channel. ARGV: the deadline on Redis's clock, the epoch of channels that are new, PUBLISH or
 * SPUBLISH; then for each channel size, ttl and bytes of its stream, ttl of its meta, how many, and of each its mark and body.
 * Returns the time, and for each channel its epoch and head, or an error text and -1; and one error text more when something
 * was stored that may not be announced. After the deadline only the time.
 */
export const append = script('append', `${time}${clear}${whole}${add}${keep}
local result = {now}
if now > tonumber(ARGV[1]) then return result end
local unannounced

local function store(stream, meta, size, ttl, bytes, metaTtl, first, last)
  -- Epoch, head, bytes published, and when to trim by bytes and age: beyond a number of bytes, or after a time.
  local known = redis.call('HMGET', meta, 'e', 'o', 'c', 'd', 'w')
  local epoch, head, sum = known[1], tonumber(known[2] or 0), tonumber(known[3] or 0)
  if not epoch then
    epoch, head, sum = ARGV[2], 0, 0
    clear(stream)
  end
  local total = sum
  for at = first + 1, last, 2 do total = total + sizeOf(ARGV[at]) end
  local trim, limit, due = 'MAXLEN', size, nil
  if total > tonumber(known[4] or 0) or now > tonumber(known[5] or 0) then
    local before
    trim = 'MINID'
    limit, before = firstKept(stream, math.max(0, head - size), head, sum, total, bytes * 7 / 8, tonumber(ttl))
    due = math.floor((before or total - bytes * 7 / 8) + bytes)
  end
  local parts = {epoch .. ' ' .. whole(head + 1) .. ' ' .. whole(now)}
  for at = first, last, 2 do
    head = head + 1
    sum = sum + sizeOf(ARGV[at + 1])
    add(stream, trim, limit, head, ARGV[at], ARGV[at + 1], sum)
    trim, limit = 'MAXLEN', size
    parts[#parts + 1] = ARGV[at] .. ' ' .. ARGV[at + 1]
  end
  redis.call('HSET', meta, 'e', epoch, 'o', head, 'm', ARGV[last - 1], 'c', sum)
  if due then redis.call('HSET', meta, 'd', due, 'w', math.floor(now + ttl / 2)) end
  redis.call('PEXPIRE', meta, metaTtl)
  redis.call('PEXPIRE', stream, ttl)
  -- It is stored, whether or not it may be announced.
  local receivers = redis.pcall(ARGV[3], stream, table.concat(parts, '\\30'))
  if type(receivers) == 'table' then unannounced = receivers.err end
  return epoch, head
end

local at = 4
for key = 1, #KEYS, 2 do
  local last = at + 4 + 2 * tonumber(ARGV[at + 4])
  local isDone, epoch, head = pcall(store, KEYS[key], KEYS[key + 1], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], at + 5, last)
  if not isDone then
    if type(epoch) == 'table' then epoch = epoch.err end
    epoch, head = tostring(epoch), -1
  end
  result[#result + 1] = epoch
  result[#result + 1] = head
  at = last + 1
end
result[#result + 1] = unannounced
return result
`)

/**
 * Reads the publications after a position, or all that are retained if the position is unknown or no longer there. Nothing is
 * written for a channel without a publication. A channel whose head is before the position, or that has another publication at
 * the position, has lost its tail. The script reports this, or, if the caller asks for it, continues the channel under another
 * epoch; a channel that is gone is continued under another epoch too. The field 'f' of its meta then says that earlier
 * publications are unknown.
 *
 * KEYS: stream and meta. ARGV: the epoch to give, how many publications, ttl of the meta; epoch, head and mark known; 1 for
 * another epoch where the tail was lost; 1 to give a channel without a publication its epoch.
 * Returns the time, epoch ('' when there was no publication yet), head, its mark, 1 when its tail was lost and that is all, 1 when it
 * went on under another epoch; and the publications: mark, time and body of each, the last one being the head.
 */
export const read = script('read', `${time}${clear}
local stream, meta, size = KEYS[1], KEYS[2], tonumber(ARGV[2])
local known = redis.call('HMGET', meta, 'e', 'o', 'm', 'f')
local epoch, head, mark, isForked = known[1], tonumber(known[2] or 0), known[3] or '', known[4] and 1 or 0
local entries
if not epoch then
  if ARGV[4] == '' and ARGV[8] ~= '1' then return {now, '', 0, '', 0, 0} end
  clear(stream)
  epoch, isForked = ARGV[1], 1
  redis.call('HSET', meta, 'e', epoch, 'o', 0, 'm', '', 'f', 1)
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
  if isOther and ARGV[7] ~= '1' then return {now, epoch, head, mark, 1, isForked} end
  if isOther then
    epoch, entries, isForked = ARGV[1], nil, 1
    redis.call('HSET', meta, 'e', epoch, 'f', 1)
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
local result = {now, epoch, head, mark, 0, isForked}
for _, entry in ipairs(entries) do
  result[#result + 1] = entry[2][2]
  result[#result + 1] = entry[2][4]
  result[#result + 1] = entry[2][6]
end
return result
`)

/**
 * Gives a channel that has lost its tail what a node still has of it, and announces that to those who have not.
 *
 * KEYS: stream and meta. ARGV: epoch, head and its mark as Redis has them, size and ttl of the stream, PUBLISH or SPUBLISH;
 * then mark and body of each publication that follows. Returns 1, or 0 when that is no longer where the channel is; or an error
 * text when it is stored and may not be announced.
 */
export const mend = script('mend', `${time}${whole}${add}
local stream, meta, head = KEYS[1], KEYS[2], tonumber(ARGV[2])
local known = redis.call('HMGET', meta, 'e', 'o', 'm', 'c')
if known[1] ~= ARGV[1] or tonumber(known[2]) ~= head or known[3] ~= ARGV[3] then return 0 end
local sum = tonumber(known[4] or 0)
local parts = {ARGV[1] .. ' ' .. whole(head + 1) .. ' ' .. whole(now)}
for at = 7, #ARGV, 2 do
  head = head + 1
  sum = sum + sizeOf(ARGV[at + 1])
  add(stream, 'MAXLEN', ARGV[4], head, ARGV[at], ARGV[at + 1], sum)
  parts[#parts + 1] = ARGV[at] .. ' ' .. ARGV[at + 1]
end
redis.call('HSET', meta, 'o', head, 'm', ARGV[#ARGV - 1], 'c', sum)
redis.call('PEXPIRE', stream, ARGV[5])
local receivers = redis.pcall(ARGV[6], stream, table.concat(parts, '\\30'))
return type(receivers) == 'table' and receivers.err or 1
`)

/**
 * Where channels are. KEYS: the meta of each. ARGV: their ttl, renewed where half of it is over.
 * Returns epoch, head and mark of each; empty texts and 0 for one that is not there.
 */
export const heads = script('heads', `
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
 * Which publications were stored. KEYS: stream and meta. ARGV: since when, on Redis's clock; their marks.
 * Returns the time, the epoch, and for each its offset, 0, or -1 where the stream does not reach back so far any more.
 */
export const find = script('find', `${time}
local result = {now, redis.call('HGET', KEYS[2], 'e') or ''}
local entries, offsets = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 2000), {}
local oldest = entries[#entries]
local reaches = not oldest or oldest[1] == '1-0' or tonumber(oldest[2][4]) < tonumber(ARGV[1])
for _, entry in ipairs(entries) do
  offsets[entry[2][2]] = tonumber(string.match(entry[1], '^%d+'))
end
for at = 2, #ARGV do result[#result + 1] = offsets[ARGV[at]] or (reaches and 0 or -1) end
return result
`)

/** When no node was heard of for a while it was Redis that was away, and all of them count as heard of now. */
const forgive = `
local function forgive(nodes, dead)
  local last = redis.call('ZRANGE', nodes, -1, -1, 'WITHSCORES')
  if not last[2] or now - tonumber(last[2]) <= dead / 2 then return end
  for _, other in ipairs(redis.call('ZRANGE', nodes, 0, -1)) do redis.call('ZADD', nodes, now, other) end
end
`

/**
 * This node is alive. Gives it what dead nodes held, so many leases at most; a node is forgotten once it holds nothing.
 *
 * KEYS: nodes by when they were heard of, holders of leases, data of leases, nodes by when they were taken for dead. ARGV: node,
 * ms until it is dead, leases, 1 to be told of all that it holds already.
 * Returns whether it was not known, when it was taken for dead, how many nodes there are, their ids, then key and data of each lease.
 */
export const beat = script('beat', `${time}${forgive}
local nodes, holders, data, node, dead = KEYS[1], KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[2])
forgive(nodes, dead)
-- The clock of a Redis that was promoted may be behind: then nobody would die until it has caught up.
for _, other in ipairs(redis.call('ZRANGEBYSCORE', nodes, string.format('(%.0f', now), '+inf')) do redis.call('ZADD', nodes, now, other) end
local isNew = redis.call('ZADD', nodes, now, node)
local died = redis.call('ZSCORE', KEYS[4], node) or ''
-- Whoever holds something and is not among the nodes died before its first beat.
for _, holder in ipairs(redis.call('HVALS', holders)) do redis.call('ZADD', nodes, 'NX', 0, holder) end
local isDead, isLeft, inherited = {}, {}, {}
local gone = redis.call('ZRANGEBYSCORE', nodes, '-inf', now - dead)
for _, other in ipairs(gone) do isDead[other] = true end
if #gone > 0 or ARGV[4] == '1' then
  local held = redis.call('HGETALL', holders)
  for at = 1, #held, 2 do
    local key, holder = held[at], held[at + 1]
    if holder == node and ARGV[4] == '1' and tonumber(ARGV[3]) > 0 then
      inherited[#inherited + 1] = key
      inherited[#inherited + 1] = redis.call('HGET', data, key) or ''
    elseif isDead[holder] and #inherited < 2 * tonumber(ARGV[3]) then
      redis.call('HSET', holders, key, node)
      inherited[#inherited + 1] = key
      inherited[#inherited + 1] = redis.call('HGET', data, key) or ''
    elseif isDead[holder] then
      isLeft[holder] = true
    end
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - 3600000)
  for _, other in ipairs(gone) do
    redis.call('ZADD', KEYS[4], now, other)
    if not isLeft[other] then redis.call('ZREM', nodes, other) end
  end
end
local result = redis.call('ZRANGEBYSCORE', nodes, string.format('(%.0f', now - dead), '+inf')
table.insert(result, 1, #result)
table.insert(result, 1, died)
table.insert(result, 1, isNew)
for _, each in ipairs(inherited) do result[#result + 1] = each end
return result
`)

/**
 * This node is still there: sent between its beats. KEYS: nodes. ARGV: node, ms until it is dead.
 * Returns the time, and of each node its id and when it was heard of.
 */
export const pulse = script('pulse', `${time}${forgive}
local nodes = KEYS[1]
forgive(nodes, tonumber(ARGV[2]))
redis.call('ZADD', nodes, 'XX', now, ARGV[1])
local result = {now}
for _, each in ipairs(redis.call('ZRANGE', nodes, 0, -1, 'WITHSCORES')) do result[#result + 1] = each end
return result
`)

/**
 * KEYS: holders, data, nodes by when they were heard of. ARGV: node, lease, its data, 1 when it must be held already.
 * Returns 1 when the node holds it now.
 */
export const hold = script('hold', `${time}
local holder = redis.call('HGET', KEYS[1], ARGV[2])
if holder and holder ~= ARGV[1] then return 0 end
if not holder and ARGV[4] == '1' then return 0 end
redis.call('ZADD', KEYS[3], 'NX', now, ARGV[1])
redis.call('HSET', KEYS[1], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
`)

/** KEYS: holders, data. ARGV: node, lease. */
export const release = script('release', `
if redis.call('HGET', KEYS[1], ARGV[2]) ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[2])
return redis.call('HDEL', KEYS[1], ARGV[2])
`)

/** This node ends: what it holds goes to the others with their next beat. KEYS: nodes. ARGV: node. */
export const end = script('end', `
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then redis.call('ZADD', KEYS[1], 0, ARGV[1]) end
return 1
`)

/** Connections of a user that are not of a dead node; a node that has just come is not known to all others yet. */
const present = `${time}
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

/**
 * Enters a connection of a user unless there are too many, and forgets those that were not renewed.
 * KEYS: presence. ARGV: connection, node, limit, ttl, how many nodes are silent, these, and the nodes that are alive.
 * Returns the nodes of the connections that count when they are too many, and nothing when it is entered.
 */
export const enter = script('enter', `${present}
local presence, connection, ttl, silent = KEYS[1], ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local all = redis.call('HGETALL', presence)
for at = 1, #all, 2 do
  local renewed = string.match(all[at + 1], ' (%d+)$')
  if now - tonumber(renewed) > ttl then redis.call('HDEL', presence, all[at]) end
end
local found = present(all, set(6 + silent, #ARGV), set(6, 5 + silent))
local nodes = {}
for at = 1, #found, 2 do
  if found[at] ~= connection then nodes[#nodes + 1] = found[at + 1] end
end
if #nodes >= tonumber(ARGV[3]) then return nodes end
redis.call('HSET', presence, connection, ARGV[2] .. ' ' .. string.format('%.0f', now))
redis.call('PEXPIRE', presence, ttl)
return {}
`)

/** KEYS: presence. ARGV: the nodes that are alive. Returns the connections of a user, each with its node. */
export const connections = script('connections', `${present}
return present(redis.call('HGETALL', KEYS[1]), set(1, #ARGV), {})
`)

/**
 * Claims something for a holder unless it is claimed already. Of a holder only claims that last are kept, and the newest of these.
 * KEYS: claims of the holder, by their ends. ARGV: the claim, ms that it lasts, how many are kept. Returns 1 when it is the first.
 */
export const claim = script('claim', `${time}
local claims, ms = KEYS[1], tonumber(ARGV[2])
local lasts = redis.call('ZSCORE', claims, ARGV[1])
if lasts and tonumber(lasts) > now then return 0 end
redis.call('ZADD', claims, now + ms, ARGV[1])
redis.call('ZREMRANGEBYSCORE', claims, '-inf', now)
for _, oldest in ipairs(redis.call('ZRANGE', claims, 0, -tonumber(ARGV[3]) - 1)) do redis.call('ZREM', claims, oldest) end
if redis.call('PTTL', claims) < ms then redis.call('PEXPIRE', claims, ms) end
return 1
`)

/**
 * Tries each command that the other scripts call, and leaves nothing behind.
 *
 * KEYS: the channel of an announcement; a hash, a stream and a sorted set, which do not exist. ARGV: PUBLISH or SPUBLISH.
 * Returns the name and the error text of each command that is refused.
 */
export const probe = script('probe', `
local channel, hash, stream, set = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local refused = {}
local function try(name, ...)
  local answer = redis.pcall(name, ...)
  if type(answer) == 'table' and answer.err then
    refused[#refused + 1] = name
    refused[#refused + 1] = answer.err
  end
end
try('TIME')
try('HSET', hash, 'f', 'v')
try('PEXPIRE', hash, 1000)
try('PTTL', hash)
try('HGET', hash, 'f')
try('HMGET', hash, 'f')
try('HGETALL', hash)
try('HVALS', hash)
try('HDEL', hash, 'f')
try('XADD', stream, 'MAXLEN', '~', 1, '*', 'f', 'v')
redis.pcall('PEXPIRE', stream, 1000)
try('XRANGE', stream, '-', '+')
try('XREVRANGE', stream, '+', '-', 'COUNT', 1)
try('EXISTS', stream)
try('DEL', stream)
try('ZADD', set, 1, 'm')
redis.pcall('PEXPIRE', set, 1000)
try('ZSCORE', set, 'm')
try('ZRANGE', set, 0, -1)
try('ZRANGEBYSCORE', set, 1, 1)
try('ZREM', set, 'm')
try('ZREMRANGEBYSCORE', set, 1, 1)
-- Subscribers find no publication in it.
try(ARGV[1], channel, '')
return refused
`)

/** All of them. */
export const scripts = [append, read, mend, heads, find, beat, pulse, hold, release, end, enter, connections, claim, probe]
