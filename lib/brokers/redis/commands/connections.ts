import type { EnteredConnection } from '../../broker.js'
import { present } from './lua.js'
import { script, type Runner } from './script.js'

/** KEYS: presence. ARGV: the live nodes. Returns the connections under the key, each with its node. */
export const connectionsScript = script('connections', `${present}
return present(redis.call('HGETALL', KEYS[1]), set(1, #ARGV), {})
`)

export async function connections (link: Runner, presence: string, alive: readonly string[]): Promise<EnteredConnection[]> {
  const found = await link.run(connectionsScript, [presence], [...alive]) as string[]
  return found.flatMap((connectionId, at) => at % 2 === 0 ? [{ connectionId, node: found[at + 1] }] : [])
}
