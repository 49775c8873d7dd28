import { leastMetaTtl, type StreamLimits } from '../retention.js'
import { add, clear, keep, time, whole } from './lua.js'
import { script, type Runner } from './script.js'

/**
 * Stores publications and announces them, in one step per channel. Each call trims a stream by its number of publications. When its bytes
 * exceed their limit, and every half ttl, it is also trimmed by bytes and age: to 7/8 of the bytes, so that this is seldom needed.
 *
 * KEYS: stream and meta of each channel. ARGV: deadline on Redis's clock, epoch of new channels, PUBLISH or SPUBLISH; then for each channel
 * size, ttl and bytes of its stream, ttl of its meta or '' for the default, 1 if these apply only to a channel whose meta has none, number
 * of publications, and mark and body of each. Times in ms.
 * Returns the time; epoch and head of each channel, or an error text and -1; and another error text if stored publications could not be
 * announced. Returns only the time after the deadline.
 */
export const appendScript = script('append', `${time}${clear}${whole}${add}${keep}
local result = {now}
if now > tonumber(ARGV[1]) then return result end
local unannounced

local function store(stream, meta, size, ttl, bytes, headTtl, isDefault, first, last)
  -- Epoch, head, bytes published; when to trim by bytes and age: beyond a number of bytes, or after a time; size, ttl and bytes.
  local known = redis.call('HMGET', meta, 'e', 'o', 'c', 'd', 'w', 'r')
  local epoch, head, sum = known[1], tonumber(known[2] or 0), tonumber(known[3] or 0)
  if not epoch then
    epoch, head, sum = ARGV[2], 0, 0
    clear(stream)
  end
  local retention = size .. ' ' .. ttl .. ' ' .. bytes
  if headTtl ~= '' then retention = retention .. ' ' .. headTtl end
  if isDefault == '1' then
    retention = known[6] or nil
    if retention then size, ttl, bytes, headTtl = string.match(retention, '^(%S+) (%S+) (%S+) ?(%S*)$') end
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
  if retention and retention ~= known[6] then redis.call('HSET', meta, 'r', retention) end
  redis.call('PEXPIRE', meta, headTtl == '' and math.max(${leastMetaTtl}, 2 * ttl) or headTtl)
  redis.call('PEXPIRE', stream, ttl)
  -- It is stored, whether or not it may be announced.
  local receivers = redis.pcall(ARGV[3], stream, table.concat(parts, '\\30'))
  if type(receivers) == 'table' then unannounced = receivers.err end
  return epoch, head
end

local at = 4
for key = 1, #KEYS, 2 do
  local size, ttl, bytes, headTtl, isDefault, count = unpack(ARGV, at, at + 5)
  local last = at + 5 + 2 * tonumber(count)
  local isDone, epoch, head = pcall(store, KEYS[key], KEYS[key + 1], size, ttl, bytes, headTtl, isDefault, at + 6, last)
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

export interface AppendRequest {
  /** On Redis's clock, in ms. */
  readonly deadline: number
  /** Epoch of new channels. */
  readonly epoch: string
  readonly publishCommand: 'PUBLISH' | 'SPUBLISH'
  readonly channels: ReadonlyArray<{
    readonly stream: string
    readonly meta: string
    readonly limits: StreamLimits
    /** Whether the limits apply only to a channel whose meta has none. */
    readonly isDefault: boolean
    readonly publications: ReadonlyArray<{ readonly mark: string, readonly body: string }>
  }>
}

export interface AppendReply {
  /** Redis's clock, in ms. */
  readonly now: number
  /** Epoch and head of each channel, or why it could not be stored; `undefined` after the deadline. */
  readonly results: ReadonlyArray<{ readonly epoch: string, readonly head: number } | { readonly error: string }> | undefined
  /** Why stored publications could not be announced. */
  readonly unannounced: string | undefined
}

export async function append (link: Runner, { deadline, epoch, publishCommand, channels }: AppendRequest): Promise<AppendReply> {
  const keys: string[] = []
  const args: Array<string | number> = [deadline, epoch, publishCommand]
  for (const { stream, meta, limits: { size, ttl, bytes, headTtl = '' }, isDefault, publications } of channels) {
    keys.push(stream, meta)
    args.push(size, ttl, bytes, headTtl, Number(isDefault), publications.length)
    for (const { mark, body } of publications) args.push(mark, body)
  }
  const [now, ...rest] = await link.run(appendScript, keys, args) as [number, ...Array<string | number>]
  if (rest.length === 0) return { now, results: undefined, unannounced: undefined }
  const results = channels.map((_channel, at) => {
    const [text, head] = [String(rest[at * 2]), Number(rest[at * 2 + 1])]
    return head === -1 ? { error: text } : { epoch: text, head }
  })
  return { now, results, unannounced: rest[channels.length * 2] as string | undefined }
}
