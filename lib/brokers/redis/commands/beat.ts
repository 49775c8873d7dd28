import { forgive, time } from './lua.js'
import { script, type Runner } from './script.js'

/**
 * Records that this node is alive, and gives it leases of dead nodes, up to a maximum number. Dead nodes are removed.
 *
 * KEYS: nodes by time of their last beat, holders of leases, data of leases, dead nodes by time of death. ARGV: node, ms without a beat
 * until a node is dead, maximum number of leases, 1 to return also leases that the node holds already.
 * Returns 1 for a new node, when it was last declared dead, number of nodes, their ids, then key and data of each lease.
 */
export const beatScript = script('beat', `${time}${forgive}
local nodes, holders, data, node, dead = KEYS[1], KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[2])
forgive(nodes, dead)
-- The clock of a Redis that was promoted may be behind: no node would be declared dead until it has caught up.
for _, other in ipairs(redis.call('ZRANGEBYSCORE', nodes, string.format('(%.0f', now), '+inf')) do redis.call('ZADD', nodes, now, other) end
local isNew = redis.call('ZADD', nodes, now, node)
local died = redis.call('ZSCORE', KEYS[4], node) or ''
-- A holder of a lease that is not among the nodes died before its first beat, or more of its leases are left than were given.
for _, holder in ipairs(redis.call('HVALS', holders)) do redis.call('ZADD', nodes, 'NX', 0, holder) end
local isDead, inherited = {}, {}
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
    end
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - 3600000)
  for _, other in ipairs(gone) do
    redis.call('ZADD', KEYS[4], now, other)
    redis.call('ZREM', nodes, other)
  end
  redis.call('PEXPIRE', KEYS[4], 3600000)
end
local result = redis.call('ZRANGEBYSCORE', nodes, string.format('(%.0f', now - dead), '+inf')
table.insert(result, 1, #result)
table.insert(result, 1, died)
table.insert(result, 1, isNew)
for _, each in ipairs(inherited) do result[#result + 1] = each end
return result
`)

export interface BeatRequest {
  /** Nodes by time of their last beat, holders of leases, data of leases, dead nodes by time of death. */
  readonly keys: string[]
  readonly node: string
  /** Time without a beat after which a node is dead, in ms. */
  readonly deadAfter: number
  /** Maximum number of leases of dead nodes. */
  readonly leases: number
  /** Return also leases that the node holds already. */
  readonly isInDoubt: boolean
}

export interface BeatReply {
  /** Whether Redis did not know the node. */
  readonly isNew: boolean
  /** When the node was last declared dead, or '' if it never was. */
  readonly died: string
  readonly alive: string[]
  readonly leases: Array<[key: string, data: string]>
}

export async function beat (link: Runner, { keys, node, deadAfter, leases, isInDoubt }: BeatRequest): Promise<BeatReply> {
  const answer = await link.run(beatScript, keys, [node, deadAfter, leases, Number(isInDoubt)])
  const [isNew, died, count, ...rest] = answer as [number, string, number, ...string[]]
  const inherited: Array<[string, string]> = []
  for (let at = count; at < rest.length; at += 2) inherited.push([rest[at], rest[at + 1]])
  return { isNew: isNew === 1, died, alive: rest.slice(0, count), leases: inherited }
}
