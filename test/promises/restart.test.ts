import t from 'tap'
import { WebSocket } from 'ws'
import { createClient, type WebSocketConstructor } from '../../lib/client/index.js'
import { eventually } from '../waiting.js'
import { AppProcess } from '../process.js'

/** With `FULL=1` the number of clients is the promised one and the limits are the defaults. Needs a machine without other load. */
const isFull = process.env.FULL === '1'
const [count, limits] = isFull ? [5_000, {}] : [250, { pending: 50 }]

/** Clients share an address when a proxy is in front of the app and `trustProxy` is not set. */
for (const signal of isFull ? ['SIGTERM', 'SIGKILL'] as const : ['SIGKILL'] as const) {
  t.test(`${count} clients behind one address all reconnect within 10 s of a restart after ${signal}`, { timeout: 110_000 }, async t => {
    const before = await AppProcess.startPlain(t, { limits })
    const clients = Array.from({ length: count }, (_, n) => createClient({
      userId: `u${n}`,
      baseUrl: `${before.url}/ws`,
      WebSocket: WebSocket as unknown as WebSocketConstructor
    }))
    t.teardown(() => { for (const client of clients) client.close() })
    await Promise.all(clients.map(client => client.connected()))
    before.child.kill(signal)
    await eventually(() => clients.every(({ status }) => status !== 'open'), 20_000)
    await eventually(() => before.child.exitCode !== null || before.child.signalCode !== null, 20_000)
    const after = await AppProcess.startPlain(t, { limits }, before.port)
    const up = performance.now()
    await eventually(() => clients.every(({ status }) => status === 'open'), 60_000)
    const took = performance.now() - up
    t.ok(took < 10_000, `the last client reconnected after ${Math.round(took)} ms`)
    t.equal((await after.stats()).connections, count)
  })
}
