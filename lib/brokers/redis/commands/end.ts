import { script, type Runner } from './script.js'

/** Declares this node dead: other nodes inherit its leases with their next beats. KEYS: nodes. ARGV: node. */
export const endScript = script('end', `
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then redis.call('ZADD', KEYS[1], 0, ARGV[1]) end
return 1
`)

/** `nodes`: key of the nodes by time of their last beat. */
export async function end (link: Runner, nodes: string, node: string): Promise<void> {
  await link.run(endScript, [nodes], [node])
}
