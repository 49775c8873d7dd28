import { createHook } from 'node:async_hooks'
import { mock } from 'node:test'
import { once } from 'node:events'
import t from 'tap'
import { Client, RawClient, connect, start, upgrade } from '../harness.js'
import { logSink } from '../log-sink.js'
import { eventually, gate } from '../waiting.js'
import { brokersOfNodes } from '../fake-nodes.js'
import { rawConnect, tcpConnect, upgradeRequest } from '../process.js'

const path = '/ws/notifications/u1'

t.test('a client that resets its socket while authenticate runs frees its place among the pending handshakes', async t => {
  const { opened, open } = gate()
  const asked: string[] = []
  const { app, port } = await start(t, {
    async authenticate (request) {
      asked.push(request.url)
      await opened
      return { userId: 'u1' }
    },
    limits: { pending: 1 }
  })
  const first = await tcpConnect(t, port)
  first.write(upgradeRequest(port, path))
  await eventually(() => asked.length === 1)
  await t.rejects(rawConnect(t, port, path), /503/)
  first.resetAndDestroy()
  let second = rawConnect(t, port, path)
  for (let tries = 0; tries < 100 && asked.length === 1; tries++) {
    await Promise.race([eventually(() => asked.length === 2), second]).catch(() => { second = rawConnect(t, port, path) })
  }
  open()
  await second
  await eventually(() => app.ws.isOnline('u1') === true)
})

t.test('app.close() ends all connections and timers, also if clients do not read and hooks never settle', async t => {
  const { app, url, port } = await start(t, {
    timeouts: { drain: 100, close: 60_000, handler: 60_000 },
    onDisconnect: () => new Promise(() => {}),
    onConnect: ({ userId }) => userId === 'hangs' ? new Promise(() => {}) : undefined,
    onMessage: { hang: () => new Promise(() => {}) }
  })
  const deaf = await rawConnect(t, port, '/ws/notifications/deaf')
  deaf.pause()
  await rawConnect(t, port, '/ws/notifications/hangs').catch(() => {})
  const busy = await connect(t, url + path)
  busy.send({ type: 'hang' })
  busy.send({ type: 'ping' })
  await busy.next('pong')
  const { websocketServer } = app
  await app.close()
  t.equal(app.ws.connections().length, 0)
  t.match(app.ws.stats(), { connections: 0, users: 0, channels: 0, bytes: 0 })
  await eventually(() => websocketServer.clients.size === 0)
  t.equal(process.getActiveResourcesInfo().filter(name => name === 'Timeout').length, 0)
})

t.test('a connection that is being closed does not count against limits.connectionsPerUser', async t => {
  const { app, url, port } = await start(t, { limits: { connectionsPerUser: 1 }, timeouts: { close: 600_000, drain: 100 } })
  const deaf = await RawClient.open(t, port, path)
  await eventually(() => app.ws.isOnline('u1') === true)
  t.equal(app.ws.disconnectUser('u1', 4430), 1)
  t.equal(app.ws.disconnectUser('u1', 4430), 0)
  t.match(app.ws.stats(), { connections: 0, users: 0 })
  t.equal(deaf.isClosed, false)
  await connect(t, url + path)
  t.equal((await new Client(url + path).close()).code, 4429)
})

t.test('an authenticate that never settles delays app.close() by at most timeouts.drain', async t => {
  const asked = gate()
  const { app, port } = await start(t, {
    authenticate: () => { asked.open(); return new Promise(() => {}) },
    timeouts: { authenticate: 600_000, drain: 100 }
  })
  const stream = upgrade(t, port, path)
  await asked.opened
  await Promise.all([once(stream, 'close'), app.close()])
})

t.test('a wall clock that is set forward expires a credential, and no history', async t => {
  let ahead = 0
  const wall = mock.method(Date, 'now', () => performance.timeOrigin + performance.now() + ahead)
  t.teardown(() => wall.mock.restore())
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { app, url } = await start(t, {
    history: { ttl: 60_000 },
    authenticate: ({ query }) => ({ userId: 'u1', expiresAt: (query as { at?: string }).at === undefined ? undefined : Date.now() + 3_600_000 })
  })
  const [expiring, lasting] = [await connect(t, `${url}${path}?at=1`), await connect(t, url + path)]
  const { id } = await app.ws.sendToUser('u1', { type: 'before' })
  ahead = 7_200_000
  mock.timers.tick(10_000)
  t.equal((await expiring.close()).code, 4401)
  t.equal(lasting.closed, undefined)
  await app.ws.sendToUser('u1', { type: 'after' })
  const since = `${id.replace(/\d+$/, '0')},${lasting.ack.data!.position.split(',')[1]}`
  const resumed = await connect(t, `${url}${path}?since=${since}`)
  t.match(resumed.ack.data, { recovered: true, replayed: 2 })
})

t.test('a user who has disconnected is not present on the other servers either', async t => {
  const [here, there] = brokersOfNodes(2)
  const { app, url } = await start(t, { broker: here })
  const { app: other } = await start(t, { broker: there })
  const client = await connect(t, url + path)
  t.strictSame(await other.ws.present('u1'), [{ id: client.ack.data!.connection_id, userId: 'u1' }])
  client.socket.terminate()
  await eventually(() => app.ws.stats().connections === 0)
  t.strictSame(await other.ws.present('u1'), [])
})

t.test('refusals that are not logged yet are logged when the app closes', async t => {
  const { lines, options } = logSink()
  const { app, url } = await start(t, { authenticate: () => null }, { logger: options })
  for (let n = 0; n < 3; n++) t.equal((await new Client(url + path).close()).code, 4401)
  const noted = () => lines.filter(line => line.includes('"unauthenticated"')).map(line => JSON.parse(line).count)
  t.strictSame(noted(), [undefined])
  await app.close()
  t.strictSame(noted(), [undefined, 2])
})

t.test('a closed app has no timer of the plugin, and no listener for messages of other servers', async t => {
  const running = new Map<number, string>()
  const hook = createHook({
    init (id, type) {
      const { stack = '' } = type === 'Timeout' ? new Error('made here') : {}
      if (stack.includes('/lib/server/')) running.set(id, stack)
    },
    destroy (id) { running.delete(id) }
  })
  hook.enable()
  t.teardown(() => hook.disable())
  const [broker] = brokersOfNodes(1)
  const listeners = new Set<unknown>()
  const onTold = broker.nodes.onTold.bind(broker.nodes)
  broker.nodes.onTold = listener => {
    listeners.add(listener)
    const unbind = onTold(listener)
    return () => { listeners.delete(listener); unbind() }
  }
  const { app, url } = await start(t, { broker, authenticate: () => ({ userId: 'u1', expiresAt: Date.now() + 600_000 }), timeouts: { drain: 100 } })
  await connect(t, url + path)
  t.equal(listeners.size, 1)
  t.ok(running.size >= 3, 'the heartbeat, the clock and the expiry of the credential have timers')
  await app.close()
  await eventually(() => running.size === 0).catch(() => {})
  t.strictSame([...running.values()], [])
  t.equal(listeners.size, 0)
})
