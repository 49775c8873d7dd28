import type { StreamLimits } from '../retention.js'
import { clear, time } from './lua.js'
import { script, type Runner } from './script.js'

/**
 * Reads the publications after a position, or all that are retained if the position is unknown or no longer there. Nothing is
 * written for a channel without a publication. A channel whose head is before the position, or that has another publication at
 * the position, has lost its tail. The script reports this, or, if the caller asks for it, continues the channel under another
 * epoch; a channel that is gone is continued under another epoch too. The field 'f' of its meta then says that earlier
 * publications are unknown.
 *
 * KEYS: stream and meta. ARGV: the epoch to give, how many publications, ttl of the meta; epoch, head and mark known; 1 for
 * another epoch where the tail was lost; 1 to give a channel without a publication its epoch; the limits that are kept with a channel
 * that has a publication, as `append` keeps them.
 * Returns the time, epoch ('' when there was no publication yet), head, its mark, 1 when its tail was lost and that is all, 1 when it
 * went on under another epoch; and the publications: mark, time and body of each, the last one being the head.
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

/** Where a channel is. */
export interface StreamHead {
  readonly epoch: string
  readonly offset: number
  readonly mark: string
}

export interface ReadRequest {
  readonly stream: string
  readonly meta: string
  /** The epoch to give. */
  readonly epoch: string
  /** Of the channel. Its size is the maximum number of publications, where all that are retained are read. */
  readonly limits: StreamLimits
  /** Of the meta, in ms. */
  readonly metaTtl: number
  /** The position after which to read; default: all that is retained. */
  readonly after?: StreamHead
  /** Continue under another epoch where the tail was lost. */
  readonly isForking: boolean
  /** Give a channel without a publication its epoch. */
  readonly isBeginning: boolean
}

export interface ReadReply {
  /** Redis's clock. */
  readonly now: number
  /** `undefined`: there was no publication yet. */
  readonly head: StreamHead | undefined
  /** The tail was lost, and nothing was read. */
  readonly isTailLost: boolean
  /** It went on under another epoch. */
  readonly isForked: boolean
  /** `at`: when each was stored, on Redis's clock. */
  readonly stored: ReadonlyArray<{ readonly mark: string, readonly at: number, readonly body: string }>
}

const nowhere: StreamHead = { epoch: '', offset: 0, mark: '' }

export async function read (link: Runner, request: ReadRequest): Promise<ReadReply> {
  const { stream, meta, epoch: newEpoch, limits, metaTtl, after = nowhere, isForking, isBeginning } = request
  const { size, ttl, bytes } = limits
  const known = [after.epoch, after.offset, after.mark]
  const args = [newEpoch, size, metaTtl, ...known, Number(isForking), Number(isBeginning), `${size} ${ttl} ${bytes}`]
  const answer = await link.run(readScript, [stream, meta], args)
  const [now, epoch, offset, mark, isLost, isForked, ...rest] = answer as [number, string, number, string, number, number, ...string[]]
  const stored = []
  for (let at = 0; at < rest.length; at += 3) stored.push({ mark: rest[at], at: Number(rest[at + 1]), body: rest[at + 2] })
  const head = epoch === '' ? undefined : { epoch, offset, mark }
  return { now, head, isTailLost: isLost === 1, isForked: isForked === 1, stored }
}
