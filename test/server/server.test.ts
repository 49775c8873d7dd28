import { createHook } from 'node:async_hooks'
import { mock } from 'node:test'
import { once } from 'node:events'
import t from 'tap'
import Fastify, { type FastifyRequest } from 'fastify'
import { WebSocket } from 'ws'
import realtime, { MemoryBroker, closeCodes, tokenOf, type RealtimeConnection, type RealtimeOptions, type Renew } from '../../lib/index.js'
import type { Connection } from '../../lib/server/connection.js'
import { Client, RawClient, as, authenticateByHeader, connect, refusedWith, start, upgrade } from '../harness.js'
import { logSink } from '../log-sink.js'
import { eventually, gate } from '../waiting.js'
import { brokersOfNodes } from '../fake-nodes.js'
import { rawConnect, tcpConnect, upgradeRequest } from '../process.js'

const path = '/ws/notifications/u1'

t.test('the ack comes first, then what onConnect sent and published, then what is live', async t => {
  const { app, url } = await start(t, {
    async onConnect (connection) {
      connection.send({ type: 'to_this_one' })
      await app.ws.sendToUser(connection.userId, { type: 'published' })
    }
  })
  const client = await connect(t, url + path)
  t.match(client.ack.data, { user_id: 'u1', heartbeat_ms: 25_000, position: /^u\.\w+\.0,b\.\w+\.0$/ })
  t.equal((await client.next()).type, 'to_this_one')
  t.equal((await client.next()).type, 'published')
  await app.ws.broadcast({ type: 'live' })
  t.equal((await client.next()).type, 'live')
})

t.test('replay comes before live, and a chat starts with all that is retained', async t => {
  const { app, url } = await start(t)
  const chat = app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'u1' })
  for (let n = 0; n < 3; n++) await chat.send({ type: 'count', data: n })
  const client = await connect(t, `${url}/ws/w/a/c/u1`)
  t.match(client.ack.data, { replayed: 3, position: /^c\.\w+\.0$/ })
  t.notOk('recovered' in client.ack.data!)
  await chat.send({ type: 'count', data: 3 })
  for (let n = 0; n < 4; n++) t.equal((await client.next()).data, n)
})

t.test('onDisconnect comes once for each connection whose onConnect succeeded', async t => {
  const ended: Array<{ connection: RealtimeConnection, code: number }> = []
  const { app, url } = await start(t, {
    timeouts: { connect: 50 },
    onConnect (connection) {
      if (connection.userId === 'throws') throw new Error('no')
      if (connection.userId === 'hangs') return new Promise(() => {})
      if (connection.userId === 'forbids') connection.close(closeCodes.FORBIDDEN.code, 'r'.repeat(500))
    },
    onDisconnect (connection, { code }) {
      ended.push({ connection, code })
      throw new Error('thrown by onDisconnect')
    }
  })
  t.equal((await new Client(`${url}/ws/notifications/throws`).close()).code, 1011)
  t.equal((await new Client(`${url}/ws/notifications/hangs`).close()).code, 1011)
  t.equal((await new Client(`${url}/ws/notifications/forbids`).close()).code, 4403)
  const client = await connect(t, url + path)
  client.socket.close(1000)
  await eventually(() => ended.some(({ connection }) => connection.userId === 'u1'))
  t.strictSame(ended.map(({ connection, code }) => [connection.userId, code]), [['forbids', 4403], ['u1', 1000]])
  await eventually(() => app.ws.stats().users === 0)
})

for (const leave of ['destroy', 'resetAndDestroy'] as const) {
  t.test(`${leave} while onConnect runs leaves no ghost`, async t => {
    const { opened, open } = gate()
    let disconnects = 0
    const greeted: Connection[] = []
    const onConnect = async (connection: object) => { greeted.push(connection as Connection); await opened }
    const { app, url, port } = await start(t, { onConnect, onDisconnect: () => { disconnects++ } })
    const socket = await rawConnect(t, port, path)
    await eventually(() => app.ws.stats().users === 1)
    t.equal(app.ws.isOnline('u1'), false)
    socket[leave]()
    await eventually(() => app.ws.stats().users === 0)
    t.equal(disconnects, 0)
    open()
    await eventually(() => disconnects === 1)
    t.equal(app.ws.stats().connections, 0)
    await connect(t, url + path)
    t.equal(app.ws.isOnline('u1'), true)
    t.equal(greeted[0].state, 'closed')
  })
}

t.test('a reset while authenticate runs leaves nothing, and gives its place among the pending back', async t => {
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

t.test('after close nothing of ours is left, whatever clients and hooks do', async t => {
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

t.test('injectWS gets its ack and its messages', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(realtime)
  await app.ready()
  const received: string[] = []
  const socket = await app.injectWS(path, {}, { onInit: ws => ws.on('message', data => received.push(JSON.parse(data.toString()).type)) })
  await eventually(() => received.length === 1)
  await app.ws.sendToUser('u1', { type: 'hello' })
  await eventually(() => received.length === 2)
  t.strictSame(received, ['connection_ack', 'hello'])
  t.equal(socket.readyState, WebSocket.OPEN)
  socket.terminate()
})

t.test('refused clients that do not answer their Close keep nobody out, and do not outlive the drain', async t => {
  const { app, url, port } = await start(t, {
    authenticate: authenticateByHeader,
    limits: { connections: 1, pending: 2 },
    timeouts: { close: 600_000, drain: 100 }
  })
  const refused: RawClient[] = []
  for (let n = 0; n < 3; n++) {
    refused.push(await RawClient.open(t, port, path))
    await eventually(() => refused[n].closeCode === 4401)
  }
  await eventually(() => refused[0].isClosed)
  t.strictSame(refused.map(({ isClosed }) => isClosed), [true, false, false], 'the oldest makes room')
  await connect(t, url + path, as('u1'))
  t.equal(await refusedWith(url + path, as('u1')), 503)
  await app.close()
  await eventually(() => refused.every(({ isClosed }) => isClosed))
})

t.test('who comes back at once after having been closed finds a place', async t => {
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

t.test('onDisconnect hears the code that the server sent, also when the client does not answer', async t => {
  const heard = gate<object>()
  const { app, port } = await start(t, { timeouts: { close: 50 }, onDisconnect: (_connection, closed) => { heard.open(closed) } })
  await RawClient.open(t, port, path)
  await eventually(() => app.ws.isOnline('u1') === true)
  app.ws.connections('u1')[0].close(4401, 'expired')
  t.match(await heard.opened, { code: 4401, reason: 'expired' })
})

t.test('onDisconnect hooks are waited for, within the drain', async t => {
  const steps: string[] = []
  const { app, url } = await start(t, {
    async onDisconnect () {
      await new Promise(resolve => setImmediate(resolve))
      steps.push('hook')
    }
  })
  await connect(t, url + path)
  await app.close()
  t.strictSame(steps, ['hook'])
})

t.test('what was to follow the ack and has left the history meanwhile is reported', async t => {
  const history = { size: 5 }
  const { app, url } = await start(t, {
    history,
    limits: { lag: 1_000 },
    async onConnect ({ target, userId }) {
      const send = (n: number) => target.kind === 'chat' ? app.ws.chat(target).send({ type: 'n', data: n }) : app.ws.sendToUser(userId, { type: 'n', data: n })
      for (let n = 0; n < 50; n++) await send(n)
    }
  })
  for (const channel of [path, `${path}?since=nonsense`, '/ws/w/a/c/u1']) {
    const client = await connect(t, url + channel)
    t.match(client.ack.data, { replayed: 0, recovered: false, position: /^[uc]\.\w+\.\d*[05]0(,|$)/ })
    client.send({ type: 'ping' })
    t.equal((await client.next()).type, 'pong', 'and nothing is sent again')
  }
})

t.test('an authenticate that hangs holds a closing app no longer than the drain', async t => {
  const asked = gate()
  const { app, port } = await start(t, {
    authenticate: () => { asked.open(); return new Promise(() => {}) },
    timeouts: { authenticate: 600_000, drain: 100 }
  })
  const stream = upgrade(t, port, path)
  await asked.opened
  await Promise.all([once(stream, 'close'), app.close()])
})

t.test('who is authenticated while the server drains is told to come back', async t => {
  const asked = gate()
  const answered = gate<{ userId: string }>()
  const { app, url } = await start(t, { authenticate: () => { asked.open(); return answered.opened } })
  const client = new Client(url + path)
  await asked.opened
  const closed = app.close()
  setImmediate(() => answered.open({ userId: 'u1' }))
  t.equal((await client.close()).code, 1012)
  await closed
})

t.test('an identity that the app changes later stays who it was', async t => {
  const identity = { userId: 'u1' }
  const { app, url } = await start(t, { authenticate: () => identity })
  const client = await connect(t, url + path)
  identity.userId = 'u2'
  t.equal(app.ws.connections('u1')[0].userId, 'u1')
  client.socket.terminate()
  await eventually(() => app.ws.stats().users === 0)
})

t.test('a wall clock that is set forward ends a credential, and no history', async t => {
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

t.test('a connection whose channel the broker cannot subscribe to is closed with 1011', async t => {
  const broker = new MemoryBroker({ size: 1, ttl: 1, bytes: 1, lag: 1 })
  broker.subscribe = () => { throw new Error('of the broker') }
  const { url } = await start(t, { broker })
  t.equal((await new Client(url + path).close()).code, 1011)
})

t.test('a renewal is answered, and never makes a connection worse', async t => {
  /** A token is `<user> <milliseconds>`. */
  const identityOf = (token: string) => {
    const [userId, ms] = token.split(' ')
    return { userId, expiresAt: Date.now() + Number(ms), token }
  }
  const authenticate = (request: FastifyRequest) => identityOf(tokenOf(request)!)
  /** A server, and u1 connected to it for `ms` milliseconds. */
  const startRenewing = async (scope: typeof t, renew: Renew | undefined, ms = 60_000, options: RealtimeOptions = {}, server = {}) => {
    const started = await start(scope, { authenticate, renew, ...options }, server)
    return { ...started, client: await connect(scope, `${started.url}${path}?token=u1+${ms}`) }
  }

  t.test('the connection stays, and ends with the new credential', async t => {
    const seen: string[] = []
    const { app, client } = await startRenewing(t, (token, connection) => {
      seen.push(`${connection.userId} ${connection.id}`)
      return identityOf(token)
    }, 500)
    const { connection_id: id, expires_in_ms: ms } = client.ack.data!
    t.ok(ms! > 0 && ms! <= 500)
    const began = performance.now()
    client.send({ type: 'renew', ref: 'r', data: { token: 'u1 1500' } })
    const renewed = await client.next('renewed')
    t.ok(renewed.data!.expires_in_ms! > 500 && renewed.data!.expires_in_ms! <= 1_500)
    t.match(await client.next(), { type: 'ack', ref: 'r' })
    t.strictSame(seen, [`u1 ${id}`])
    t.match(app.ws.connections('u1')[0].identity, { token: 'u1 1500' })
    t.equal((await client.close()).code, 4401)
    const lasted = performance.now() - began
    t.ok(lasted > 1_000, `${lasted} ms`)
  })

  t.test('it may be sooner, or never', async t => {
    const { app, client } = await startRenewing(t, token => token === 'never' ? { userId: 'u1' } : identityOf(token))
    client.send({ type: 'renew', data: { token: 'never' } })
    t.strictSame((await client.next('renewed')).data, {})
    t.equal(app.ws.connections('u1')[0].identity.expiresAt, undefined)
    client.send({ type: 'renew', data: { token: 'u1 50' } })
    await client.next('renewed')
    t.equal((await client.close()).code, 4401)
  })

  t.test('sent again on another connection it renews that one', async t => {
    const renewals: string[] = []
    const { url, client } = await startRenewing(t, (token, { id }) => { renewals.push(id); return identityOf(token) })
    const other = await connect(t, `${url}${path}?token=u1+60000`)
    for (const each of [client, other]) {
      each.send({ type: 'renew', ref: 'same', data: { token: 'u1 90000' } })
      t.match(await each.next(), { type: 'renewed' })
      t.match(await each.next(), { type: 'ack', ref: 'same' })
    }
    t.strictSame(renewals, [client, other].map(({ ack }) => ack.data!.connection_id))
  })

  const unauthorized = Object.assign(new Error('expired'), { statusCode: 401 })
  const bad: Record<string, Renew> = {
    'nobody, null': () => null,
    'nobody, undefined': async () => undefined,
    'another user': () => ({ userId: 'u2' }),
    'a credential that has expired': () => ({ userId: 'u1', expiresAt: Date.now() - 1 }),
    'what throws': () => { throw new Error('secret') },
    'what rejects': async () => { throw new Error('secret') },
    'what rejects with a 401': async () => { throw unauthorized },
    'an expiresAt that is no time': () => ({ userId: 'u1', expiresAt: 'tomorrow' as any }),
    'what is not an identity': () => 'u1' as any,
    'what hangs': () => new Promise(() => {})
  }
  const logged = ['what throws', 'what rejects', 'an expiresAt that is no time', 'what is not an identity', 'what hangs']
  for (const [name, renew] of Object.entries(bad)) {
    t.test(`a renewal with ${name} is refused, and what there was still holds`, async t => {
      const { lines, options } = logSink()
      const { app, client } = await startRenewing(t, renew, 60_000, { timeouts: { authenticate: 100 } }, { logger: options })
      client.send({ type: 'renew', ref: 1, data: { token: 'x s3cr3t' } })
      const answer = await client.next()
      t.match(answer, { type: 'error', ref: 1, data: { code: 'renew_refused', message: 'this credential is not accepted' } })
      t.match(app.ws.connections('u1')[0].identity, { token: 'u1 60000' })
      client.send({ type: 'ping' })
      t.match(await client.next(), { type: 'pong' })
      t.equal(lines.some(line => line.includes('renew failed')), logged.includes(name))
      t.notMatch(lines.join(''), /s3cr3t/)
    })
  }

  t.test('data that is not { token } is a bad message, and the fifth is too much', async t => {
    const { client } = await startRenewing(t, () => { throw new Error('is not asked') })
    for (const data of [undefined, null, 'token', { token: '' }, { token: 5 }]) {
      client.send({ type: 'renew', ref: 1, data })
      t.match(await client.next(), { type: 'error', ref: 1, data: { code: 'bad_message' } })
    }
    t.equal((await client.close()).code, 4400)
  })

  t.test('without the option there is no such type', async t => {
    const { client } = await startRenewing(t, undefined)
    client.send({ type: 'renew', ref: 1, data: { token: 'u1 90000' } })
    t.match(await client.next(), { type: 'error', ref: 1, data: { code: 'unknown_type' } })
  })

  t.test('a connection that has gone meanwhile leaves no timer', async t => {
    const { opened, open } = gate()
    const { app, client } = await startRenewing(t, async token => { await opened; return identityOf(token) })
    const [connection] = app.ws.connections('u1')
    client.send({ type: 'renew', data: { token: 'u1 90000' } })
    client.send({ type: 'ping' })
    await client.next('pong')
    client.socket.terminate()
    await eventually(() => app.ws.stats().connections === 0)
    open()
    for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
    t.match(connection.identity, { token: 'u1 60000' })
    t.equal((connection as RealtimeConnection & { onEnd?: unknown }).onEnd, undefined)
  })
})

t.test('a user who has gone is not connected for the other servers either', async t => {
  const [here, there] = brokersOfNodes(2)
  const { app, url } = await start(t, { broker: here })
  const { app: other } = await start(t, { broker: there })
  const client = await connect(t, url + path)
  t.strictSame(await other.ws.present('u1'), [{ id: client.ack.data!.connection_id, userId: 'u1' }])
  client.socket.terminate()
  await eventually(() => app.ws.stats().connections === 0)
  t.strictSame(await other.ws.present('u1'), [])
})

t.test('who has gone before the broker answers reads nothing, and no hook is called for them', async t => {
  for (const step of ['enter', 'subscribe'] as const) {
    const { opened, open } = gate()
    const [broker] = brokersOfNodes(1)
    const calls: string[] = []
    const { nodes, subscribe } = broker
    const enter = nodes.enter.bind(nodes)
    nodes.enter = async (...parameters) => {
      calls.push('enter')
      if (step === 'enter') await opened
      return enter(...parameters)
    }
    const readers: number[] = []
    broker.subscribe = async channel => {
      calls.push('subscribe')
      if (step === 'subscribe') await opened
      const log = await subscribe(channel)
      setImmediate(() => readers.push(log.readers.length))
      return log
    }
    const { app, port } = await start(t, { broker, onConnect: () => { calls.push('onConnect') } })
    const socket = await rawConnect(t, port, path)
    await eventually(() => calls.includes(step))
    socket.destroy()
    await eventually(() => app.ws.stats().connections === 0)
    open()
    if (step === 'subscribe') await eventually(() => readers.length === 2)
    for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
    t.strictSame(calls, step === 'enter' ? ['enter'] : ['enter', 'subscribe', 'subscribe'])
    t.strictSame(readers, step === 'enter' ? [] : [0, 0])
  }
})

t.test('a refused client that has gone is not waited for', { timeout: 8_000 }, async t => {
  const { app, port } = await start(t, { authenticate: () => null, timeouts: { close: 600_000, drain: 9_000 } })
  const gone = await RawClient.open(t, port, path)
  await eventually(() => gone.closeCode === 4401)
  gone.stream.destroy()
  const slow = await RawClient.open(t, port, path)
  await eventually(() => slow.closeCode === 4401)
  const closed = app.close()
  let isClosed = false
  closed.then(() => { isClosed = true })
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
  t.notOk(isClosed, 'one that has not gone is')
  slow.stream.destroy()
  await closed
})

t.test('refusals that are still to be logged are logged when the app closes', async t => {
  const { lines, options } = logSink()
  const { app, url } = await start(t, { authenticate: () => null }, { logger: options })
  for (let n = 0; n < 3; n++) t.equal((await new Client(url + path).close()).code, 4401)
  const noted = () => lines.filter(line => line.includes('"unauthenticated"')).map(line => JSON.parse(line).count)
  t.strictSame(noted(), [undefined])
  await app.close()
  t.strictSame(noted(), [undefined, 2])
})

t.test('no timer of the plugin runs once the app is closed, and it listens to no other server', async t => {
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
  t.ok(running.size >= 3, 'the heartbeat, the clock, and the end of the credential')
  await app.close()
  await eventually(() => running.size === 0).catch(() => {})
  t.strictSame([...running.values()], [])
  t.equal(listeners.size, 0)
})

t.test('a credential that expires while onConnect runs is over when the client learns of it, and closes then', async t => {
  let expiresAt = 0
  const { url } = await start(t, {
    authenticate () {
      expiresAt = Date.now() + 50
      return { userId: 'u1', expiresAt }
    },
    onConnect: () => eventually(() => Date.now() > expiresAt + 20)
  })
  const client = await connect(t, url + path)
  t.equal(client.ack.data!.expires_in_ms, 0)
  t.equal((await client.close()).code, 4401)
})
