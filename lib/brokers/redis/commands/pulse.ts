import { forgive, time } from './lua.js'
import { script, type Runner } from './script.js'

/**
 * Records that this node is alive, between its beats. KEYS: nodes. ARGV: node, ms without a beat until a node is dead.
 * Returns the time, then id and time of the last beat or pulse of each node.
 */
export const pulseScript = script('pulse', `${time}${forgive}
local nodes = KEYS[1]
forgive(nodes, tonumber(ARGV[2]))
redis.call('ZADD', nodes, 'XX', now, ARGV[1])
local result = {now}
for _, each in ipairs(redis.call('ZRANGE', nodes, 0, -1, 'WITHSCORES')) do result[#result + 1] = each end
return result
`)

export interface PulseReply {
  /** Redis's clock, in ms. */
  readonly now: number
  /** Time of the last beat or pulse of each node, on Redis's clock, in ms. */
  readonly heardAt: Map<string, number>
}

/** `nodes`: key of the nodes by time of their last beat. `deadAfter` in ms. */
export async function pulse (link: Runner, nodes: string, node: string, deadAfter: number): Promise<PulseReply> {
  const [now, ...heard] = await link.run(pulseScript, [nodes], [node, deadAfter]) as [number, ...string[]]
  const heardAt = new Map<string, number>()
  for (let at = 0; at < heard.length; at += 2) heardAt.set(heard[at], Number(heard[at + 1]))
  return { now, heardAt }
}
