import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createClient, type WebSocketConstructor } from '../../lib/client/index.js'
import { FakeLocks } from '../client/fake-locks.js'
import { start } from '../harness.js'
import { eventually } from '../waiting.js'
import { Nginx, skipNginx } from '../nginx.js'
import { WebSocketProxy } from '../websocket-proxy.js'

const reloads = 20
const backoff = 100
/** Time for the handshake of a client on a busy machine, in ms. */
const slack = 2_000

const locks = new FakeLocks()
Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { locks } })

/** A proxy whose reload ends all connections and accepts new ones. */
interface Front {
  url: string
  reload: () => unknown
}

const fronts: Record<string, { skip: string | false, open: (t: Test, port: number) => Promise<Front> }> = {
  'a TCP proxy': {
    skip: false,
    async open (t, port) {
      const proxy = await WebSocketProxy.start(t, port)
      return {
        url: proxy.url,
        async reload () {
          await proxy.stop()
          await proxy.listen()
        }
      }
    }
  },
  nginx: {
    skip: skipNginx,
    async open (t, port) {
      const nginx = await Nginx.start(t, port)
      return { url: nginx.url, reload: () => nginx.reload() }
    }
  }
}

// Most of a test is waiting.
t.jobs = 3

for (const [name, { skip, open }] of Object.entries(fronts)) {
  for (const share of [false, true]) {
    t.test(`when ${name} reloads ${reloads} times under traffic, each client with share: ${share} reconnects within its backoff and loses nothing`, { skip, timeout: 110_000 }, async t => {
      const { app, port } = await start(t, { insecure: true, history: { size: 10_000 } })
      const { url, reload } = await open(t, port)
      const clients = ['u1', 'u1', 'u2', 'u2'].map(userId => follow(t, url, userId, share))
      await Promise.all(clients.map(({ client }) => client.connected()))

      let sent = 0
      const stream = setInterval(() => {
        for (const userId of ['u1', 'u2']) app.ws.sendToUser(userId, { type: 'n', data: sent })
        sent++
      }, 5)
      t.teardown(() => clearInterval(stream))
      for (let n = 1; n <= reloads; n++) {
        await reload()
        await eventually(() => clients.every(({ outages, client }) => outages.length >= n && client.status === 'open'), 20_000)
      }
      clearInterval(stream)

      const all = Array.from({ length: sent }, (_, n) => n)
      for (const { got, resumes, outages } of clients) {
        await eventually(() => got.at(-1) === all.at(-1))
        t.strictSame(got, all)
        t.ok(resumes.length >= reloads && resumes.every(recovered => recovered), `${resumes.length} resumes`)
        const longest = Math.max(...outages)
        t.ok(longest <= backoff + slack, `reconnected after at most ${Math.round(longest)} ms`)
      }
    })
  }
}

/** A client that records its messages, the results of its resumes, and the duration of each outage in ms. */
function follow (t: Test, url: string, userId: string, share: boolean) {
  const client = createClient({
    baseUrl: `${url}/ws`, userId, share, WebSocket: WebSocket as WebSocketConstructor, backoff: () => backoff, onError: () => {}
  })
  t.teardown(() => client.close())
  const got: number[] = []
  const resumes: boolean[] = []
  const outages: number[] = []
  let lostAt: number | undefined
  client.on('n', data => got.push(data as number))
  client.onResume(({ recovered }) => resumes.push(recovered))
  client.onStatus(status => {
    if (status === 'waiting') lostAt ??= performance.now()
    if (status !== 'open' || lostAt === undefined) return
    outages.push(performance.now() - lostAt)
    lostAt = undefined
  })
  return { client, got, resumes, outages }
}
