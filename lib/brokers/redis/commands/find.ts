import { time } from './lua.js'
import { script, type Runner } from './script.js'

/**
 * Finds stored publications by their marks. KEYS: stream and meta. ARGV: earliest time on Redis's clock, in ms; the marks.
 * Returns the time, the epoch, and for each mark its offset, 0, or -1 if the stream no longer reaches back to the earliest time.
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
  /** The publications were sent after this time on Redis's clock, in ms. */
  readonly since: number
  readonly marks: readonly string[]
}

export interface FindReply {
  /** Redis's clock, in ms. */
  readonly now: number
  readonly epoch: string
  /** Offset of each publication; 0: it is not stored; -1: the stream no longer reaches back that far. */
  readonly offsets: readonly number[]
}

export async function find (link: Runner, { stream, meta, since, marks }: FindRequest): Promise<FindReply> {
  const [now, epoch, ...offsets] = await link.run(findScript, [stream, meta], [since, ...marks]) as [number, string, ...number[]]
  return { now, epoch, offsets }
}
