import { script, type Runner } from './script.js'

/** This node ends: what it holds goes to the others with their next beat. KEYS: nodes. ARGV: node. */
export const endScript = script('end', `
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then redis.call('ZADD', KEYS[1], 0, ARGV[1]) end
return 1
`)

/** `nodes`: the key of the nodes by when they were heard of. */
export async function end (link: Runner, nodes: string, node: string): Promise<void> {
  await link.run(endScript, [nodes], [node])
}
