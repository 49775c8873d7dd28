import { present } from './lua.js'
import { script, type Runner } from './script.js'

/**
 * Adds a connection under a key, unless there are too many, and removes entries that were not renewed.
 * KEYS: presence. ARGV: connection, node, limit, ttl in ms, number of silent nodes, the silent nodes, the live nodes.
 * Returns the nodes of the counted connections if they reach the limit, and nothing if the connection is entered.
 */
export const enterScript = script('enter', `${present}
local presence, connection, ttl, silent = KEYS[1], ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local all, valid = redis.call('HGETALL', presence), {}
for at = 1, #all, 2 do
  local renewed = string.match(all[at + 1], ' (%d+)$')
  if now - tonumber(renewed) > ttl then
    redis.call('HDEL', presence, all[at])
  else
    valid[#valid + 1] = all[at]
    valid[#valid + 1] = all[at + 1]
  end
end
local found = present(valid, set(6 + silent, #ARGV), set(6, 5 + silent))
local nodes = {}
for at = 1, #found, 2 do
  if found[at] ~= connection then nodes[#nodes + 1] = found[at + 1] end
end
if #nodes >= tonumber(ARGV[3]) then return nodes end
redis.call('HSET', presence, connection, ARGV[2] .. ' ' .. string.format('%.0f', now))
redis.call('PEXPIRE', presence, ttl)
return {}
`)

export interface EnterRequest {
  readonly presence: string
  readonly connectionId: string
  readonly node: string
  /** Maximum number of other connections. */
  readonly limit: number
  /** Lifetime of an entry without a renewal, in ms. */
  readonly ttl: number
  readonly silent: readonly string[]
  readonly alive: readonly string[]
}

/** Enters a connection. Resolves with the nodes of the counted connections if they reach the limit; none if it is entered. */
export async function enter (link: Runner, { presence, connectionId, node, limit, ttl, silent, alive }: EnterRequest): Promise<string[]> {
  return await link.run(enterScript, [presence], [connectionId, node, limit, ttl, silent.length, ...silent, ...alive]) as string[]
}
