import { time } from './lua.js'
import { script, type Runner } from './script.js'

/**
 * Which publications were stored. KEYS: stream and meta. ARGV: since when, on Redis's clock; their marks.
 * Returns the time, the epoch, and for each its offset, 0, or -1 where the stream does not reach back so far any more.
 */
export const findScript = script('find', `${time}
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

export interface FindRequest {
  readonly stream: string
  readonly meta: string
  /** The publications were sent after this time, on Redis's clock. */
  readonly since: number
  readonly marks: readonly string[]
}

export interface FindReply {
  /** Redis's clock. */
  readonly now: number
  readonly epoch: string
  /** Of each publication its offset; 0: it is not stored; -1: the stream does not reach back so far any more. */
  readonly offsets: readonly number[]
}

export async function find (link: Runner, { stream, meta, since, marks }: FindRequest): Promise<FindReply> {
  const [now, epoch, ...offsets] = await link.run(findScript, [stream, meta], [since, ...marks]) as [number, string, ...number[]]
  return { now, epoch, offsets }
}
