import { script, type Runner } from './script.js'

/** Releases a lease of a node. KEYS: holders, data. ARGV: node, lease. */
export const releaseScript = script('release', `
if redis.call('HGET', KEYS[1], ARGV[2]) ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[2])
return redis.call('HDEL', KEYS[1], ARGV[2])
`)

/** `keys`: holders and data. */
export async function release (link: Runner, keys: string[], node: string, lease: string): Promise<void> {
  await link.run(releaseScript, keys, [node, lease])
}
