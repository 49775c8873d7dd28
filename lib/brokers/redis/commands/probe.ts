import { script, type Runner } from './script.js'

/**
 * Runs each command that the other scripts call, and leaves nothing behind.
 *
 * KEYS: the channel of an announcement; a hash, a stream and a sorted set, which do not exist. ARGV: PUBLISH or SPUBLISH.
 * Returns the name and the error text of each refused command.
 */
export const probeScript = script('probe', `
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

/** Refused commands, each with its error text. `keys`: a channel, a hash, a stream and a sorted set. */
export async function probe (link: Runner, keys: string[], publishCommand: 'PUBLISH' | 'SPUBLISH'): Promise<Array<[command: string, error: string]>> {
  const answer = await link.run(probeScript, keys, [publishCommand]) as string[]
  return answer.flatMap((command, at) => at % 2 === 0 ? [[command, answer[at + 1]] as [string, string]] : [])
}
