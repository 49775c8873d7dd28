import { time } from './lua.js'
import { script, type Runner } from './script.js'

/**
 * Holds a lease. KEYS: holders, data, nodes by time of their last beat. ARGV: node, lease, its data, 1 if it must be held already.
 * Returns 1 if the node holds it now.
 */
export const holdScript = script('hold', `${time}
local holder = redis.call('HGET', KEYS[1], ARGV[2])
if holder and holder ~= ARGV[1] then return 0 end
if not holder and ARGV[4] == '1' then return 0 end
redis.call('ZADD', KEYS[3], 'NX', now, ARGV[1])
redis.call('HSET', KEYS[1], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
`)

export interface HoldRequest {
  /** Holders, data, nodes by time of their last beat. */
  readonly keys: string[]
  readonly node: string
  readonly lease: string
  readonly data: string
  /** Hold it only if the node holds it already. */
  readonly isHeld: boolean
}

/** Resolves with whether the node holds the lease now. */
export async function hold (link: Runner, { keys, node, lease, data, isHeld }: HoldRequest): Promise<boolean> {
  return await link.run(holdScript, keys, [node, lease, data, Number(isHeld)]) === 1
}
