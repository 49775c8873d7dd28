import type { StreamLimits } from '../retention.js'
import type { StreamHead } from './read.js'
import { add, time, whole } from './lua.js'
import { script, type Runner } from './script.js'

/**
 * Restores the tail of a channel from the publications that a node still has, and announces them to the other nodes.
 *
 * KEYS: stream and meta. ARGV: epoch, head and its mark as Redis has them, size and ttl of the stream, PUBLISH or SPUBLISH; then mark and
 * body of each publication that follows. Returns 1; 0 if the channel has another head by now; or an error text if the publications are
 * stored and could not be announced.
 */
export const mendScript = script('mend', `${time}${whole}${add}
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

export interface MendRequest {
  readonly stream: string
  readonly meta: string
  /** Head that Redis has. */
  readonly head: StreamHead
  readonly limits: Pick<StreamLimits, 'size' | 'ttl'>
  readonly publishCommand: 'PUBLISH' | 'SPUBLISH'
  readonly publications: ReadonlyArray<{ readonly mark: string, readonly body: string }>
}

export interface MendReply {
  /** `false`: the channel has another head by now. */
  readonly isMended: boolean
  /** Why stored publications could not be announced. */
  readonly unannounced?: string
}

export async function mend (link: Runner, { stream, meta, head, limits, publishCommand, publications }: MendRequest): Promise<MendReply> {
  const { epoch, offset, mark } = head
  const added = publications.flatMap(({ mark, body }) => [mark, body])
  const answer = await link.run(mendScript, [stream, meta], [epoch, offset, mark, limits.size, limits.ttl, publishCommand, ...added])
  return typeof answer === 'string' ? { isMended: true, unannounced: answer } : { isMended: answer === 1 }
}
