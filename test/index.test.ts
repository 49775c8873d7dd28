import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import t from 'tap'
import * as face from '../lib/index.js'
import realtime, { type Realtime, type RealtimeConnection, type RealtimeOptions } from '../lib/index.js'
import { spawnChild } from './children.js'
import { Client, RawClient, as, authenticateByHeader, connect, outcome, rawFrame, start, upgrade } from './harness.js'
import { logSink } from './log-sink.js'
import { eventually, gate, within } from './waiting.js'
import { fixture } from './process.js'

const path = '/ws/notifications/u1'

async function listen (app: FastifyInstance): Promise<string> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

t.test('the package exports the documented names and decorates the app', async t => {
  t.equal(face.default, face.realtime)
  for (const name of ['ChannelLog', 'MemoryBroker', 'closeCode', 'closeCodes', 'errors', 'parsePosition']) t.ok(name in face, name)
  const { app } = await start(t)
  const ws: Realtime = app.ws
  t.equal(typeof ws.sendToUser, 'function')
  t.ok(app.hasPlugin('fastify-realtime'))
})

t.test('a second registration is refused, also in a child', async t => {
  const same = Fastify()
  t.teardown(() => same.close())
  await same.register(realtime)
  await t.rejects(async () => { await same.register(realtime) }, { code: 'RT_ERR_ALREADY_REGISTERED' })
  const below = Fastify()
  t.teardown(() => below.close())
  await below.register(realtime)
  const again = async (child: FastifyInstance) => { await child.register(realtime, { prefix: '/two' }) }
  await t.rejects(async () => { await below.register(again) }, { code: 'RT_ERR_ALREADY_REGISTERED' })
})

t.test('a registration on an encapsulated plugin is refused with the prefix that it needs on the root', async t => {
  const cases: Array<[scope: { prefix?: string }, options: RealtimeOptions, prefix: string]> = [
    [{}, {}, '/ws'], [{ prefix: '/a' }, {}, '/a/ws'], [{ prefix: '/a' }, { prefix: '/live' }, '/a/live']
  ]
  for (const [scope, options, prefix] of cases) {
    const app = Fastify()
    t.teardown(() => app.close().catch(() => {}))
    const expected = { code: 'RT_ERR_NOT_ON_ROOT', message: new RegExp(`on the root instance with the option prefix: '${prefix}', or .* fastify-plugin`) }
    await t.rejects(async () => { await app.register(async child => { await child.register(realtime, options) }, scope) }, expected)
  }
})

t.test('a registration in a plugin that is wrapped in fastify-plugin works as on the root', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const messaging = fp(async scope => { await scope.register(realtime, { prefix: '/live' }) })
  const routes = async (scope: FastifyInstance) => { scope.get('/online', async () => ({ online: scope.ws.isOnline('u1') })) }
  app.register(messaging).register(routes, { prefix: '/api' })
  const url = await listen(app)
  await connect(t, `${url}/live/notifications/u1`)
  t.equal(app.ws.isOnline('u1'), true)
  t.same((await app.inject('/api/online')).json(), { online: true })
})

t.test('two apps in one process do not see each other, and one that shares the HTTP server of another is refused', async t => {
  const [first, second] = [Fastify(), Fastify()]
  t.teardown(() => Promise.all([first.close(), second.close()]))
  for (const app of [first, second]) await app.register(realtime)
  const client = await connect(t, await listen(first) + path)
  const other = await connect(t, await listen(second) + path)
  await first.ws.broadcast({ type: 'of_first' })
  await second.ws.broadcast({ type: 'of_second' })
  t.equal((await client.next()).type, 'of_first')
  t.equal((await other.next()).type, 'of_second')
  await first.close()
  t.equal((await client.close()).code, 1012)
  t.equal(second.ws.isOnline('u1'), true)

  const sharing = Fastify({ serverFactory: () => second.server })
  await t.rejects(async () => { await sharing.register(realtime) }, { code: 'RT_ERR_ALREADY_REGISTERED' })
})

t.test('an app that never listens serves its routes and app.ws through inject', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(realtime)
  app.post('/hello', () => app.ws.sendToUser('u1', { type: 'hello' }))
  t.match((await app.inject({ method: 'POST', url: '/hello' })).json(), { id: /^u\./ })
  t.equal((await app.inject(path)).statusCode, 426)
  t.equal((await app.inject('/ws/nowhere')).statusCode, 404)
})

t.test('an app that already has a decorator ws is refused at register', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.decorate('ws', {} as Realtime)
  await t.rejects(async () => { await app.register(realtime) }, { code: 'RT_ERR_ALREADY_REGISTERED' })
})

/** The ways in which an app registers @fastify/websocket: itself, in a scope, in a scope of a scope, by a plugin of another name. */
const registrations: Record<string, (app: FastifyInstance) => PromiseLike<unknown>> = {
  'on the root': app => app.register(websocket),
  'in an encapsulated plugin': app => app.register(async child => { await child.register(websocket) }),
  'with a prefix, two scopes down': app => app.register(async child => {
    await child.register(async below => { await below.register(websocket) })
  }, { prefix: '/a' }),
  'by a plugin of another name': app => app.register(fp(async scope => { await scope.register(websocket) }, { name: 'mine' }))
}

for (const [where, register] of Object.entries(registrations)) {
  t.test(`a registration is refused with the cure when @fastify/websocket was registered before, ${where}`, async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    await register(app)
    const expected = { code: 'RT_ERR_WEBSOCKET_REGISTERED', message: /Remove that registration, or register fastify-realtime first/ }
    await t.rejects(async () => { await app.register(realtime) }, expected)
  })
}

t.test("an app that registers @fastify/websocket later, on the root or on a child, fails at start with Fastify's own error", async t => {
  const child = spawnChild(process.execPath, [...process.execArgv, fixture('second-websocket.js')], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout!.on('data', chunk => { output += chunk })
  await within(once(child, 'close'), 'the end of an app that cannot start')
  const failure = "FST_ERR_DEC_ALREADY_PRESENT The decorator 'ws' has already been added!\n"
  t.equal(output, failure.repeat(2))
})

t.test('injectWS connects without a port, and its socket gets messages and the close code', async t => {
  const app = Fastify({ logger: logSink().options })
  t.teardown(() => app.close())
  await app.register(realtime, { onMessage: { hit: () => {} } })
  await app.ready()
  const received: Array<{ type: string, ref?: unknown }> = []
  const socket = await app.injectWS(`${path}?since=0`, {}, {
    onInit: ws => { ws.on('message', data => { received.push(JSON.parse(data.toString())) }) }
  })
  await eventually(() => received.length === 1)
  t.equal(received[0].type, 'connection_ack')
  socket.send('{"type":"hit","ref":7}')
  await eventually(() => received.length === 2)
  t.match(received[1], { type: 'ack', ref: 7 })
  await app.ws.broadcast({ type: 'system_announcement', message: 'x' })
  await eventually(() => received.length === 3)
  t.ok(app.ws.isOnline('u1'))
  app.ws.disconnectUser('u1', 4409)
  const [code] = await once(socket, 'close')
  t.equal(code, 4409)
  await t.rejects(app.injectWS('/ws/notifications/a%20b'), /400/)
  await t.rejects(app.injectWS(path, { headers: { origin: 'https://evil.example' } }), /403/)
})

t.test('onDisconnect is called once for each connection whose onConnect succeeded, and for no other connection', async t => {
  const calls: string[] = []
  const note = (name: string) => ({ userId }: RealtimeConnection) => { calls.push(`${name} ${userId}`) }
  const slow = gate()
  const never = new Promise<never>(() => {})
  const onConnects: Record<string, (connection: RealtimeConnection) => unknown> = {
    fine: () => {},
    later: () => slow.opened,
    throws: () => { throw new Error('secret detail') },
    rejects: async () => { throw new Error('secret detail') },
    thenable: () => ({ then (_resolve: unknown, reject: (error: Error) => void) { reject(new Error('secret detail')) } }),
    hangs: () => never
  }
  const log = logSink()
  const { app, url, port } = await start(t, {
    authenticate: authenticateByHeader,
    timeouts: { connect: 50 },
    onConnect: connection => { note('+')(connection); return onConnects[connection.userId](connection) },
    onDisconnect: async connection => { note('-')(connection); throw new Error('onDisconnect broke') }
  }, { logger: log.options })
  const at = (user: string) => `${url}/ws/notifications/${user}`
  for (const user of ['throws', 'rejects', 'thenable', 'hangs']) {
    const client = new Client(at(user), as(user))
    const { code, reason } = await client.close()
    t.same([code, reason, client.received, calls.splice(0)], [1011, '', [], [`+ ${user}`]], user)
  }
  for (const leave of ['close', 'terminate'] as const) {
    const client = await connect(t, at('fine'), as('fine'))
    client.socket[leave]()
    await eventually(() => calls.length === 2)
    t.same(calls.splice(0), ['+ fine', '- fine'])
  }
  t.match(log.lines.join(''), 'onDisconnect broke')
  const stream = upgrade(t, port, '/ws/notifications/later', { headers: { 'x-user': 'later' } })
  await eventually(() => calls.length === 1)
  stream.resetAndDestroy()
  await eventually(() => app.ws.stats().users === 0)
  slow.open()
  await eventually(() => calls.length === 2)
  await eventually(() => app.ws.stats().connections === 0 && app.websocketServer.clients.size === 0)
  t.same(calls, ['+ later', '- later'])
  t.equal(app.ws.stats().users, 0)
  t.equal(await outcome(at('fine'), as('fine')), 'ack', 'the process still accepts connections')
  await app.close()
  const failures = log.lines.map(line => JSON.parse(line)).filter(({ reason }) => reason === 'not_opened')
  t.match(failures, [{ level: 50, userId: 'throws', err: { message: 'secret detail' } }, { level: 50, count: 3, userId: 'hangs', err: { message: /not done within/ } }])
})

t.test('onDisconnect gets the close code and the reason', async t => {
  const ended: Array<[number, string]> = []
  const { app, url } = await start(t, { onDisconnect: (_connection, { code, reason }) => { ended.push([code, reason]) } })
  const client = await connect(t, url + path)
  client.socket.close(1000, 'bye')
  await eventually(() => ended.length === 1)
  await connect(t, url + path)
  app.ws.connections('u1')[0].close(4409, 'elsewhere')
  await eventually(() => ended.length === 2)
  t.same(ended, [[1000, 'bye'], [4409, 'elsewhere']])
})

t.test('messages that a client sends with its handshake are handled in order after onConnect', async t => {
  const calls: string[] = []
  const go = gate()
  const early = Buffer.concat([1, 2, 3].map(ref => rawFrame(`{"type":"hit","ref":${ref}}`)))
  const { port } = await start(t, {
    onConnect: async () => { calls.push('onConnect'); await go.opened },
    onMessage: { hit: ({ ref }) => { calls.push(`hit ${ref}`) } }
  })
  const opening = RawClient.open(t, port, path, { early })
  await eventually(() => calls.length === 1)
  const raw = await opening
  raw.stream.write(rawFrame('{"type":"hit","ref":4}'))
  t.same(calls, ['onConnect'])
  go.open()
  await eventually(() => raw.envelopes.length === 5)
  t.same(calls, ['onConnect', 'hit 1', 'hit 2', 'hit 3', 'hit 4'])
  t.same(raw.envelopes.map(({ type, ref }) => ref ?? type), ['connection_ack', 1, 2, 3, 4])
})

t.test('messages that are sent during onConnect arrive after the ack', async t => {
  const { app, url } = await start(t, {
    onConnect: async connection => {
      connection.send({ type: 'hello' })
      await app.ws.sendToUser('u1', { type: 'published' })
      connection.send({ type: 'hello again' })
    }
  })
  const client = await connect(t, url + path)
  await app.ws.sendToUser('u1', { type: 'live' })
  await client.until(() => client.received.length === 5)
  t.same(client.received.map(({ type }) => type), ['connection_ack', 'hello', 'hello again', 'published', 'live'])
  t.equal(client.ack.data!.replayed, 1)
})

t.test('app.close() leaves no listener, socket, timer or connection behind', async t => {
  const active = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout' || name === 'Immediate').length
  const before = active()
  const app = Fastify()
  await app.register(realtime)
  const listeners = () => app.server.listenerCount('upgrade')
  await app.ready()
  t.ok(listeners() > 0)
  const url = await listen(app)
  const client = await connect(t, url + path)
  const { websocketServer } = app
  await app.close()
  t.match(await client.close(), { code: 1012, reason: /^retry_ms=\d+$/ })
  t.equal(listeners(), 0)
  t.equal(websocketServer.clients.size, 0)
  t.ok(active() <= before, `${active()} timers, ${before} before`)
  await t.rejects(app.ws.broadcast({ type: 'x' }), { code: 'RT_ERR_CLOSING' })
  t.equal(app.ws.disconnectUser('u1'), 0)
  t.same(app.ws.connections(), [])
})

t.test('an app that never listened can be closed', async t => {
  for (const ready of [false, true]) {
    const app = Fastify()
    app.register(realtime)
    if (ready) await app.ready()
    await app.close()
  }
  const failing = Fastify()
  await t.rejects(async () => { await failing.register(realtime, { prefix: '/x/' }) }, { code: 'RT_ERR_OPTIONS' })
  await failing.close().catch(() => {})
})
