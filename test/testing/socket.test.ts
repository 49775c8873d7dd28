import { mock } from 'node:test'
import { Type } from '@sinclair/typebox'
import websocket from '@fastify/websocket'
import Fastify from 'fastify'
import t from 'tap'
import realtime, { defineChannel, tokenOf, type RealtimeOptions } from '../../lib/index.js'
import { connect } from '../../lib/testing/index.js'
import { authenticateByHeader } from '../harness.js'
import { eventually } from '../waiting.js'

type Scope = Pick<typeof t, 'teardown'>

async function build (t: Scope, options: RealtimeOptions = {}) {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(realtime, options)
  return app
}

const brief = { userId: 'u1', timeout: 400 }

t.test('no message is lost between the handshake and the first wait', async t => {
  const app = await build(t, { onConnect: connection => { for (let n = 0; n < 10; n++) connection.send({ type: 'early', data: n }) } })
  const socket = await connect(app, { userId: 'u1' })
  t.match(socket.ack, { user_id: 'u1', connection_id: /./, replayed: 0 })
  await app.ws.sendToUser('u1', { type: 'late' })
  for (let n = 0; n < 10; n++) t.equal((await socket.next('early')).data, n)
  t.match(await socket.next(), { type: 'late', id: /^u\./ })
  t.strictSame(socket.received.map(({ type }) => type), ['connection_ack', ...Array(10).fill('early'), 'late'])
})

t.test('connect without a userId or an id of the chat rejects with a TypeError that names it', async t => {
  const app = await build(t)
  const chat = { workflow: 'w', appId: 'a', chatId: 'c' }
  const cases: Array<[options: object, missing: string]> = [
    [{}, 'userId'], [{ user_id: 'u1' }, 'userId'], [{ chat }, 'userId'],
    [{ userId: 'u1', chat: { workflow: 'w', app_id: 'a', chatId: 'c' } }, 'chat.appId'], [{ userId: 'u1', chat: {} }, 'chat.workflow']
  ]
  for (const [options, missing] of cases) {
    await t.rejects(connect(app, options as Parameters<typeof connect>[1]), { name: 'TypeError', message: `connect needs '${missing}'` })
  }
})

t.test('next waits for a message of its type and skips those before it, and two waits get one message each', async t => {
  const app = await build(t)
  const socket = await connect(app, { userId: 'u1' })
  const both = Promise.all([socket.next('b'), socket.next('b')])
  for (const [type, data] of [['a', 1], ['b', 2], ['a', 3], ['b', 4], ['c', 5]] as const) await app.ws.sendToUser('u1', { type, data })
  t.strictSame((await both).map(({ data }) => data), [2, 4])
  t.equal((await socket.next()).data, 5)
})

t.test('the error of a wait names what is missing and the unread messages', async t => {
  const app = await build(t)
  const socket = await connect(app, brief)
  await app.ws.sendToUser('u1', { type: 'other' })
  await t.rejects(socket.next('wanted'), { message: "no 'wanted' within 400 ms; unread: other" })
  t.equal((await socket.next()).type, 'other', 'the message can still be read')
  await t.rejects(socket.next(), { message: 'no message within 400 ms; unread: nothing' })
  await t.rejects(socket.expectClose(), { message: 'no close within 400 ms; unread: nothing' })
  const { stack } = await socket.next().catch(error => error)
  t.match(stack, /socket\.test/, 'the stack leads to the test')
})

t.test('expectNone rejects while there is an unread message, even after the close', async t => {
  const app = await build(t)
  const socket = await connect(app, { userId: 'u1' })
  await socket.expectNone()
  app.ws.sendToUser('u1', { type: 'a', data: 1 })
  await socket.expectNone('b')
  await t.rejects(socket.expectNone('a'), { message: /^expected no a, got \{"type":"a","data":1,/ })
  await t.rejects(socket.expectNone(), { message: /^expected no message, got \{"type":"a"/ })
  await socket.next('a')
  await socket.expectNone()
  app.ws.sendToUser('u1', { type: 'last' })
  app.ws.disconnectUser('u1')
  await socket.expectClose(4403)
  await t.rejects(socket.expectNone(), { message: /^expected no message, got \{"type":"last"/ })
  await socket.next('last')
  await socket.expectNone()
})

t.test('expectNone stays within the rate limit of the server', async t => {
  const app = await build(t)
  const socket = await connect(app, brief)
  for (let n = 0; n < 25; n++) await socket.expectNone()
  t.strictSame(socket.received.map(({ type }) => type), ['connection_ack'])
})

t.test('expectNone does not hide a rate_limited error that the test itself caused', async t => {
  const app = await build(t, { limits: { rate: 2, burst: 2 } })
  const socket = await connect(app, brief)
  for (let n = 0; n < 3; n++) socket.sendRaw('{"type":"ping"}')
  await t.rejects(socket.expectNone('error'), { message: /rate_limited/ })
})

t.test('expectNone resolves while the connection is being closed', async t => {
  const app = await build(t, { onMessage: { bye: (_message, connection) => connection.close(4430) } })
  const socket = await connect(app, { userId: 'u1' })
  socket.sendRaw('{"type":"bye"}')
  await socket.expectNone()
  await socket.expectClose(4430)
})

t.test('expectClose resolves with the close, and rejects when its code is another one', async t => {
  const app = await build(t)
  const socket = await connect(app, { userId: 'u1' })
  const closed = socket.expectClose()
  app.ws.connections('u1')[0].close(4401, 'expired')
  t.strictSame(await closed, { code: 4401, reason: 'expired' })
  t.strictSame(await socket.expectClose(4401), socket.closed)
  await t.rejects(socket.expectClose(4403), { message: 'expected close code 4403, got 4401 expired (not authenticated, or the credential expired)' })
  await t.rejects(socket.next('x'), {
    message: "no 'x' before the connection was closed with 4401 expired (not authenticated, or the credential expired); unread: nothing",
    closed: { code: 4401 }
  })
  await t.rejects(socket.send('x'), { message: /^no answer to 'x' before the connection was closed with 4401/ })
})

t.test('send resolves on ack and rejects on error, and its answers are not among the messages', async t => {
  const app = await build(t, {
    timeouts: { drain: 50 },
    onMessage: {
      double: ({ data }, connection) => connection.send({ type: 'doubled', data: Number(data) * 2 }),
      fails () { throw new Error('secret') },
      hangs: () => new Promise(() => {})
    }
  })
  const socket = await connect(app, brief)
  await Promise.all([socket.send('double', 1), socket.send('double', 2)])
  t.strictSame([(await socket.next()).data, (await socket.next('doubled')).data], [2, 4])
  await t.rejects(socket.send('fails'), { code: 'handler_failed', message: 'handler_failed: the server could not handle this message' })
  await t.rejects(socket.send('unheard'), { code: 'unknown_type' })
  await socket.send('double', 3)
  t.equal((await socket.next()).data, 6, 'answers do not count as read messages')
  await socket.expectNone()
  await t.rejects(socket.send('hangs'), { message: "no answer to 'hangs' within 400 ms; unread: nothing" })
})

t.test('next never returns the answer to a send, even when the answer is late', async t => {
  let finish = () => {}
  const app = await build(t, { onMessage: { fast () {}, slow: () => new Promise<void>(resolve => { finish = resolve }) } })
  const socket = await connect(app, brief)
  const next = socket.next()
  await socket.send('fast')
  await socket.expectNone()
  await app.ws.sendToUser('u1', { type: 'message' })
  t.equal((await next).type, 'message')
  await t.rejects(socket.send('slow'), { message: /^no answer to 'slow'/ })
  finish()
  await socket.send('fast')
  await socket.expectNone()
  t.strictSame(socket.received.map(({ type }) => type), ['connection_ack', 'message'])
})

t.test('sendRaw sends a frame unchanged, and next returns its answer', async t => {
  const app = await build(t)
  const socket = await connect(app, { userId: 'u1' })
  socket.sendRaw('no JSON')
  t.match(await socket.next('error'), { data: { code: 'bad_json' } })
  socket.sendRaw('{"type":"ping","ref":1}')
  await t.rejects(socket.send('unheard'), { code: 'unknown_type' })
  t.match(await socket.next('pong'), { ref: 1 })
})

t.test('the error of a wait shows an error frame without a ref', async t => {
  const app = await build(t, { limits: { rate: 1, burst: 1 }, onMessage: { work () {} } })
  const socket = await connect(app, brief)
  await socket.send('work')
  await t.rejects(socket.send('work'), { message: /^no answer to 'work' within 400 ms; unread: .*rate_limited/ })
})

t.test('after close() the server releases the connection, and another one can be opened', async t => {
  const app = await build(t, { limits: { connectionsPerUser: 1 } })
  for (let n = 0; n < 3; n++) {
    const socket = await connect(app, { userId: 'u1' })
    t.equal(app.ws.isOnline('u1'), true)
    await socket.close()
    await socket.close()
    t.equal(socket.closed!.code, 1006)
    await eventually(() => !app.ws.isOnline('u1'))
  }
})

t.test('an app with open sockets closes at once, and the sockets are closed with 1012', async t => {
  const app = await build(t)
  const sockets = await Promise.all(['u1', 'u2'].map(userId => connect(app, { userId })))
  const began = performance.now()
  await app.close()
  t.ok(performance.now() - began < 2_000, 'the app does not wait for the sockets')
  for (const socket of sockets) t.match(await socket.expectClose(1012), { reason: /^retry_ms=/ })
})

t.test('two users, and two tabs of one, are connected at once', async t => {
  const app = await build(t)
  const [ada, bob, tab] = await Promise.all(['ada', 'bob', 'ada'].map(userId => connect(app, { userId })))
  await app.ws.sendToUser('ada', { type: 'hello' })
  await Promise.all([ada.next('hello'), tab.next('hello'), bob.expectNone()])
  await app.ws.broadcast({ type: 'all' })
  await Promise.all([ada, bob, tab].map(socket => socket.next('all')))
})

t.test('the chat, the prefix, the query and the headers of connect reach the app', async t => {
  const seen: unknown[] = []
  const app = await build(t, {
    prefix: '/live/v1',
    authenticate: request => { seen.push(tokenOf(request), request.query); return { userId: 'u@1' } }
  })
  const prefix = '/live/v1'
  const chat = { workflow: 'support', appId: 'shop', chatId: 'c:1' }
  const socket = await connect(app, { userId: 'u@1', chat, prefix, headers: { Authorization: 'Bearer t' }, query: { since: '0', a: 'ü &' } })
  t.same(seen, ['t', { since: '0', a: 'ü &' }])
  await app.ws.chat({ ...chat, userId: 'u@1' }).send({ type: 'chat_message', data: { content: 'Hi' } })
  t.match(await socket.next('chat_message'), { data: { content: 'Hi' }, id: /^c\./ })
})

t.test('connect rejects with the close code when it is refused after the upgrade', async t => {
  const app = await build(t, { authenticate: authenticateByHeader })
  await t.rejects(connect(app, { userId: 'u1' }), {
    message: "no 'connection_ack' before the connection was closed with 4401 (not authenticated, or the credential expired); unread: nothing",
    closed: { code: 4401, reason: '' }
  })
  await t.rejects(connect(app, { userId: 'u1', headers: { 'x-user': 'u2' } }), { message: /4403/, closed: { code: 4403 } })
})

t.test('connect rejects with the HTTP status and a possible cause when the upgrade is refused', async t => {
  const app = await build(t, { limits: { connections: 1 } })
  const evil = { userId: 'u1', headers: { origin: 'https://evil.example' } }
  await t.rejects(connect(app, evil), {
    statusCode: 403,
    message: /^the upgrade of \/ws\/notifications\/u1 was refused with HTTP 403: the origin/
  })
  await t.rejects(connect(app, { userId: 'u1', prefix: '/wss' }), { statusCode: 404, message: /pass its 'prefix'/ })
  await t.rejects(connect(app, { userId: 'a b' }), { statusCode: 400, message: /HTTP 400: an id is not valid/ })
  await connect(app, { userId: 'u1' })
  await t.rejects(connect(app, { userId: 'u2' }), { message: /HTTP 503/, statusCode: 503 })
})

t.test('connect names a hook of the app as the cause of any other status', async t => {
  const app = await build(t)
  app.addHook('onRequest', async (_request, reply) => reply.code(418).send())
  await t.rejects(connect(app, { userId: 'u1' }), { statusCode: 418, message: /HTTP 418: a hook of the app refused it/ })
})

t.test('connect rejects when the app has no plugin, fails to start, or does not answer', async t => {
  await t.rejects(connect(Fastify(), { userId: 'u1' }), { message: 'this app has no WebSockets: register fastify-realtime' })
  const broken = Fastify()
  broken.register(async () => { throw new Error('of a plugin') })
  await t.rejects(connect(broken, { userId: 'u1' }), { message: 'of a plugin' })

  const app = await build(t, { authenticate: () => new Promise(() => {}), timeouts: { drain: 50 } })
  await t.rejects(connect(app, brief), { message: /^no answer to the upgrade of \/ws\/notifications\/u1 within 400 ms/ })
})

t.test('a connection without an ack is closed', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  const closes: number[] = []
  app.get('/ws/notifications/u1', { websocket: true }, socket => { socket.on('close', (code: number) => closes.push(code)) })
  await t.rejects(connect(app, brief), { message: "no 'connection_ack' within 400 ms; unread: nothing" })
  await eventually(() => closes.length === 1)
})

t.test('presence() resolves with who is present, as soon as that is what the test expects', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  app.get('/ws/notifications/u1', { websocket: true }, socket => {
    const send = (type: string, data: object, channel?: string) => socket.send(JSON.stringify({ type, channel, data }))
    send('connection_ack', {})
    send('presence', { count: 1, members: [{ user_id: 'ada', connections: [{ id: 'a1' }] }] }, 'board:b1')
    send('presence', { count: 9, members: null }, 'board:b2')
    setImmediate(() => send('presence', { count: 2, joined: [{ user_id: 'bob', connections: [{ id: 'b1' }] }] }, 'board:b1'))
  })
  const socket = await connect(app, brief)
  t.match(await socket.presence('board:b1', ({ count }) => count === 2), { members: [{ userId: 'ada' }, { userId: 'bob' }], isStale: false })
  t.match(await socket.presence('board:b2'), { members: [], count: 9 })
  await t.rejects(socket.presence('board:b3'), { message: /^no presence in board:b3 within 400 ms/ })
  await socket.close()
})

t.test('waits end in a test with fake timers', async t => {
  const app = await build(t)
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const socket = await connect(app, brief)
  await t.rejects(socket.next(), { message: /within 400 ms/ })
})

t.test('a closed socket settles all waits, and leaves no timer', async t => {
  const app = await build(t)
  const socket = await connect(app, { userId: 'u1' })
  const waits = Promise.allSettled([socket.next('never'), socket.expectNone('x'), socket.send('ping')])
  await socket.close()
  t.strictSame((await waits).map(({ status }) => status), ['rejected', 'fulfilled', 'rejected'])
  await app.close()
  t.equal(process.getActiveResourcesInfo().filter(name => name === 'Timeout').length, 0)
})

t.test('subscribe() resolves with the position of a channel, next() returns its messages, and request() the answer of a handler', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const board = defineChannel({ authorize: (_identity, { id }) => id !== 'secret', answers: { move: Type.Number() }, onMessage: { move: () => 7 } })
  await app.register(realtime, { insecure: true, channels: { board } })
  const socket = await connect(app, { userId: 'ada' })
  const { position } = await socket.subscribe('board:b1')
  await app.ws.channel('board', 'b1').send({ type: 'moved', data: 1 })
  t.match(await socket.next(), { type: 'moved', channel: 'board:b1', data: 1 })
  t.equal(await socket.request('move', undefined, { channel: 'board:b1' }), 7)
  await t.rejects(socket.send('move', undefined, { channel: 'board:b2' }), { code: 'not_subscribed' })
  await t.rejects(socket.subscribe('board:secret'), { code: 'forbidden', message: 'board:secret: forbidden' })
  await t.rejects(socket.subscribe(''), { code: 'bad_message' })
  await socket.unsubscribe('board:b1')
  await app.ws.channel('board', 'b1').send({ type: 'moved', data: 2 })
  await socket.expectNone('moved')
  t.match(await socket.subscribe('board:b1', { since: position }), { recovered: true, replayed: 2 })
  t.match(await socket.next('moved'), { data: 1 })
})
