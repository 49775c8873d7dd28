import { encodeLimits, type StreamLimits } from '../retention.js'
import { clear, time } from './lua.js'
import { script, type Runner } from './script.js'

/**
 * Reads the publications after a position, or all that are retained if the position is unknown or no longer there. Writes nothing for a
 * channel without a publication. A channel whose head is before the position, or that has another publication at the position, has lost its
 * tail. The script reports this, or, on request, continues the channel under another epoch. A channel that no longer exists is continued
 * under another epoch too. The field 'f' of its meta then means that earlier publications are unknown.
 *
 * KEYS: stream and meta. ARGV: epoch to assign, maximum number of publications, ttl of the meta in ms; epoch, head and mark of the
 * position; 1 to continue under another epoch if the tail was lost; 1 to assign an epoch to a channel without a publication; limits to
 * store in the meta of a channel with a publication, in the format of `append`.
 * Returns the time, epoch ('' if there was no publication yet), head, its mark, 1 if the tail was lost and nothing was read, 1 if the
 * channel was continued under another epoch; then mark, time and body of each publication, the last one being the head.
 */
export const readScript = script('read', `${time}${clear}
local stream, meta, size = KEYS[1], KEYS[2], tonumber(ARGV[2])
local known = redis.call('HMGET', meta, 'e', 'o', 'm', 'f', 'r')
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
if known[1] and ARGV[9] and known[5] ~= ARGV[9] then redis.call('HSET', meta, 'r', ARGV[9]) end
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

/** Head of a channel: epoch, offset and mark of its newest publication. */
export interface StreamHead {
  readonly epoch: string
  readonly offset: number
  readonly mark: string
}

export interface ReadRequest {
  readonly stream: string
  readonly meta: string
  /** Epoch to assign. */
  readonly epoch: string
  /** Limits of the channel. The size is the maximum number of publications if all that are retained are read. */
  readonly limits: StreamLimits
  /** TTL of the meta, in ms. */
  readonly metaTtl: number
  /** Position after which to read; default: read all that is retained. */
  readonly after?: StreamHead
  /** Continue under another epoch if the tail was lost. */
  readonly isForking: boolean
  /** Assign an epoch to a channel without a publication. */
  readonly isBeginning: boolean
}

export interface ReadReply {
  /** Redis's clock, in ms. */
  readonly now: number
  /** `undefined`: there was no publication yet. */
  readonly head: StreamHead | undefined
  /** Whether the tail was lost, and nothing was read. */
  readonly isTailLost: boolean
  /** Whether it was continued under another epoch. */
  readonly isForked: boolean
  /** `at`: when each was stored, on Redis's clock, in ms. */
  readonly stored: ReadonlyArray<{ readonly mark: string, readonly at: number, readonly body: string }>
}

const originHead: StreamHead = { epoch: '', offset: 0, mark: '' }

export async function read (link: Runner, request: ReadRequest): Promise<ReadReply> {
  const { stream, meta, epoch: newEpoch, limits, metaTtl, after = originHead, isForking, isBeginning } = request
  const known = [after.epoch, after.offset, after.mark]
  const args = [newEpoch, limits.size, metaTtl, ...known, Number(isForking), Number(isBeginning), encodeLimits(limits)]
  const answer = await link.run(readScript, [stream, meta], args)
  const [now, epoch, offset, mark, isLost, isForked, ...rest] = answer as [number, string, number, string, number, number, ...string[]]
  const stored = []
  for (let at = 0; at < rest.length; at += 3) stored.push({ mark: rest[at], at: Number(rest[at + 1]), body: rest[at + 2] })
  const head = epoch === '' ? undefined : { epoch, offset, mark }
  return { now, head, isTailLost: isLost === 1, isForked: isForked === 1, stored }
}
