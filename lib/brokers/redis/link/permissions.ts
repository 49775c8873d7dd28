import { isReachable, serverOf } from './connection.js'
import type { Keys } from '../keys.js'
import type { RedisLink } from './link.js'
import { probe, probeScript } from '../commands/probe.js'
import type { Script } from '../commands/script.js'
import { slotOf } from './slot.js'

/** Maximum time to wait for connections to the masters of a Cluster, in ms: the Cluster is ready before they are. */
const mastersTime = 1_500
const lookEvery = 10

/** Names of the commands that a script calls on keys and channels, from its text. */
export function commandsIn ({ text }: Script): string[] {
  return [...new Set([...text.matchAll(/(?:call|pcall|try)\('([A-Z]+)'/g)].map(([, name]) => name))]
}

/**
 * Runs each command that a node needs, including those of the scripts, on keys and a channel with the prefix. Missing permissions of the
 * Redis user are thus known at once, and not with the first message. Reports failures to the health of the link. Never rejects.
 */
export async function checkPermissions (link: RedisLink, keys: Keys): Promise<void> {
  await untilReachable(link, keys.nodes)
  const { client } = link
  const [hash, stream, set] = ['hash', 'stream', 'set'].map(name => keys.probe(name))
  await Promise.allSettled([
    runProbe(link, [keys.nodes, hash, stream, set]),
    link.ask('EVAL', client.eval('return 1', 1, hash)),
    link.ask('HDEL', client.hdel(hash, 'f')),
    link.ask('PING', client.ping())
  ])
}

async function untilReachable ({ client }: RedisLink, key: string): Promise<void> {
  const end = performance.now() + mastersTime
  while (!isReachable(client, serverOf(client, slotOf(key))) && performance.now() < end) {
    await new Promise(resolve => { setTimeout(resolve, lookEvery).unref() })
  }
}

async function runProbe (link: RedisLink, keys: string[]): Promise<void> {
  const refused = new Map(await probe(link, keys, link.publishCommand))
  for (const name of [...commandsIn(probeScript), link.publishCommand]) {
    const error = refused.get(name)
    if (error === undefined) link.health.well(name)
    else link.health.failed(name, new Error(error))
  }
}
