import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Connection } from '../../lib/server/connection.js'
import { closeCodes } from '../../lib/protocol/close-codes.js'
import { Client, RawClient, connect, rawFrame, start } from '../harness.js'
import { logSink } from '../log-sink.js'
import { eventually, gate } from '../waiting.js'
import { rawConnect } from '../process.js'

const path = '/ws/notifications/u1'

t.test('one write per connection and turn, whatever it reads from', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, url + path)
  const { writes } = app.ws.stats()
  for (let n = 0; n < 5; n++) {
    app.ws.sendToUser('u1', { type: 'user', data: n })
    app.ws.broadcast({ type: 'broadcast', data: n })
    app.ws.connections('u1')[0].send({ type: 'alone', data: n })
  }
  await client.until(() => client.received.length === 16)
  t.equal(app.ws.stats().writes - writes, 1)
  for (const type of ['user', 'broadcast', 'alone']) {
    t.strictSame(client.received.filter(envelope => envelope.type === type).map(envelope => envelope.data), [0, 1, 2, 3, 4])
  }
})

t.test('large and small frames keep their order', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, url + path)
  const [connection] = app.ws.connections('u1')
  const sizes = [10, 100_000, 10, 10, 5_000, 900_000, 10]
  for (const size of sizes) {
    connection.send({ type: 'alone', data: 'é'.repeat(size / 2) })
    app.ws.sendToUser('u1', { type: 'user', data: '😀'.repeat(size / 10) })
  }
  await client.until(() => client.received.length === 1 + 2 * sizes.length)
  const dataOf = (type: string) => client.received.filter(envelope => envelope.type === type).map(({ data }) => data as string)
  const lengths = (type: string) => dataOf(type).map(data => data.length)
  t.strictSame(lengths('alone'), sizes.map(size => size / 2))
  t.strictSame(lengths('user'), sizes.map(size => Math.floor(size / 10) * 2))
})

t.test('what waits for one connection alone is bounded', async t => {
  const { app, port } = await start(t, { limits: { message: 10_000, lag: 20_000 } })
  const socket = await rawConnect(t, port, path)
  socket.pause()
  await eventually(() => app.ws.isOnline('u1') === true)
  const [connection] = app.ws.connections('u1')
  for (let n = 0; n < 100_000 && app.ws.isOnline('u1'); n++) {
    connection.send({ type: 'alone', data: 'x'.repeat(9_000) })
    if (n % 2 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  t.equal(app.ws.stats().stalls, 1)
  connection.send({ type: 'too_late' })
  connection.close()
})

t.test('wrong messages and codes throw; a long reason is cut', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, url + path)
  const [connection] = app.ws.connections('u1')
  t.throws(() => connection.send({ type: 'ack' }), { code: 'RT_ERR_INVALID_MESSAGE' })
  t.throws(() => connection.close(1005), { code: 'RT_ERR_UNKNOWN_CLOSE_CODE' })
  connection.send({ type: 'last' })
  connection.close(4409, 'é'.repeat(100))
  t.equal((await client.next()).type, 'last')
  t.match(await client.close(), { code: 4409, reason: /^é{41}$/ })
})

t.test('close() of an app sends 4403, after which clients do not come back', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, url + path)
  app.ws.connections('u1')[0].close()
  t.equal((await client.close()).code, 4403)
})

t.test('an identity that expires ends its connection', async t => {
  const { url } = await start(t, { authenticate: () => ({ userId: 'u1', expiresAt: Date.now() + 100 }) })
  const client = await connect(t, url + path)
  t.equal((await client.close()).code, 4401)
})

t.test('more than may wait, sent in one turn to a client that reads, arrives', async t => {
  const { app, url } = await start(t, { limits: { lag: 100_000, message: 50_000 } })
  const client = await connect(t, `${url}/ws/notifications/u1`)
  const [connection] = app.ws.connections('u1')
  for (let n = 0; n < 60; n++) connection.send({ type: 'n', data: { n, text: 'x'.repeat(40_000) } })
  connection.close(1000)
  for (let n = 0; n < 60; n++) t.equal((await client.next('n') as { data: { n: number } }).data.n, n)
  t.equal((await client.close()).code, 1000)
  t.equal(app.ws.stats().stalls, 0)
})

t.test('more than may wait, sent by onConnect, closes with 1011', async t => {
  const { url } = await start(t, {
    limits: { lag: 100_000, message: 50_000 },
    onConnect (connection) { for (let n = 0; n < 60; n++) connection.send({ type: 'n', data: 'x'.repeat(40_000) }) }
  })
  t.equal((await new Client(`${url}/ws/notifications/u1`).close()).code, 1011)
})

/** The connection of a user as the server has it, with what an app does not see. */
function serverSideOf (app: FastifyInstance, userId = 'u1'): Connection {
  return app.ws.connections(userId)[0] as unknown as Connection
}

/** Resolves when the server has read all that a client has sent so far. */
async function everythingRead ({ socket }: Client): Promise<void> {
  socket.ping()
  await once(socket, 'pong')
}

t.test('a connection that has ended reads no log any more', async t => {
  const { app, url } = await start(t)
  for (const end of ['close', 'terminate'] as const) {
    const client = await connect(t, url + path)
    const connection = serverSideOf(app)
    const { logs } = connection
    t.strictSame(logs.map(({ readers }) => readers.length), [1, 1], 'that of the user, and the broadcast')
    connection[end]()
    await client.close()
    await eventually(() => connection.state === 'closed')
    t.strictSame(logs.map(({ readers }) => readers.length), [0, 0], end)
    t.strictSame(connection.logs, [])
  }
})

t.test('a client whose socket is not read is gone as soon as it has answered the Close', async t => {
  const left = gate<number>()
  const { app, url } = await start(t, {
    limits: { queue: 1 },
    timeouts: { close: 600_000 },
    onMessage: { hang: () => new Promise(() => {}) },
    onDisconnect: (_connection, { code }) => left.open(code)
  })
  const client = await connect(t, url + path)
  for (let n = 0; n < 3; n++) client.send({ type: 'hang' })
  const connection = serverSideOf(app)
  await eventually(() => connection.isPaused)
  connection.close()
  t.equal((await client.close()).code, 4403)
  t.equal(await left.opened, 4403)
})

t.test('a connection that is closed gently handles what it has begun, and nothing after it', async t => {
  const { opened, open } = gate()
  const handled: unknown[] = []
  const { app, url } = await start(t, {
    onMessage: {
      async work ({ data }) {
        handled.push(data)
        await opened
      }
    }
  })
  const client = await connect(t, url + path)
  client.send({ type: 'work', data: 'begun', ref: 1 })
  client.send({ type: 'work', data: 'waiting', ref: 2 })
  await everythingRead(client)
  const connection = serverSideOf(app)
  connection.closeGently(closeCodes.RESTART, '5')
  connection.closeGently(closeCodes.HANDLER_FAILED, 'second')
  client.send({ type: 'ping' })
  await everythingRead(client)
  t.equal(client.closed, undefined, 'its handler still runs')
  open()
  t.strictSame(await client.close(), { code: 1012, reason: '5' })
  t.strictSame(client.received.map(({ type, ref }) => [type, ref]), [['connection_ack', undefined], ['ack', 1]])
  t.strictSame(handled, ['begun'])
})

t.test('a connection that is closed gently closes once its handler is done, also without an answer, and at once without a handler', async t => {
  const { opened, open } = gate()
  const { app, url } = await start(t, { onMessage: { work: () => opened } })
  const idle = await connect(t, `${url}/ws/notifications/idle`)
  serverSideOf(app, 'idle').closeGently(closeCodes.RESTART, '')
  t.equal((await idle.close()).code, 1012)
  const busy = await connect(t, url + path)
  busy.send({ type: 'work' })
  await everythingRead(busy)
  serverSideOf(app).closeGently(closeCodes.RESTART, '')
  await everythingRead(busy)
  open()
  t.equal((await busy.close()).code, 1012)
})

t.test('a connection that is closed gently is written all that is due, also to a client that does not read yet', async t => {
  const { app, port } = await start(t, { timeouts: { stall: 600_000 } })
  const client = await RawClient.open(t, port, path)
  await eventually(() => client.envelopes.length === 1)
  client.stream.pause()
  const connection = serverSideOf(app)
  for (let n = 0; n < 15; n++) app.ws.sendToUser('u1', { type: 'large', data: 'x'.repeat(1_000_000) })
  connection.closeGently(closeCodes.RESTART, '')
  for (let turn = 0; turn < 50; turn++) await new Promise(resolve => setImmediate(resolve))
  t.equal(connection.state, 'open', 'it waits for the client')
  client.stream.resume()
  await eventually(() => client.closeCode !== undefined)
  t.equal(client.closeCode, 1012)
  t.equal(client.envelopes.filter(({ type }) => type === 'large').length, 15)
})

t.test('a message that comes after the server has sent its Close is not handled', async t => {
  const handled: unknown[] = []
  const { app, port } = await start(t, { onMessage: { work: ({ data }) => { handled.push(data) } } })
  const client = await RawClient.open(t, port, path)
  await eventually(() => client.envelopes.length === 1)
  client.stream.write(rawFrame(JSON.stringify({ type: 'work', data: 'before' })))
  await eventually(() => handled.length === 1)
  serverSideOf(app).close()
  const close = Buffer.alloc(2)
  close.writeUInt16BE(4403)
  client.stream.write(Buffer.concat([rawFrame(JSON.stringify({ type: 'work', data: 'after' })), rawFrame(close, { opcode: 8 })]))
  await eventually(() => client.isClosed)
  t.strictSame(handled, ['before'])
})

t.test('a hook of the app that closes the connection while it is being closed counts, once', async t => {
  const ended: number[] = []
  const { app, url } = await start(t, {
    chat: {
      visible ({ type }, _identity) {
        if (type === 'leave') serverSideOf(app).close(4409)
        return true
      }
    },
    onDisconnect: (_connection, { code }) => { ended.push(code) }
  })
  const client = await connect(t, `${url}/ws/w/a/c/u1`)
  await app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'u1' }).send({ type: 'leave' })
  serverSideOf(app).close(4403)
  t.equal((await client.close()).code, 4409)
  await eventually(() => ended.length > 0)
  t.strictSame(ended, [4409])
})

t.test('a connection that is terminated has one onDisconnect', async t => {
  const ended: number[] = []
  const { app, url } = await start(t, { onDisconnect: (_connection, { code }) => { ended.push(code) } })
  const client = await connect(t, url + path)
  serverSideOf(app).terminate()
  await client.close()
  await eventually(() => app.websocketServer.clients.size === 0)
  t.strictSame(ended, [1006])
})

t.test('a pong that nobody asked for counts like a message, and any frame shows that the client is alive', async t => {
  const { app, port } = await start(t, { heartbeat: { interval: 300, timeout: 200 }, limits: { rate: 100, burst: 100 } })
  for (const [name, frame] of [['a message', rawFrame('{"type":"ping"}')], ['a ping', rawFrame('', { opcode: 9 })]] as const) {
    const client = await RawClient.open(t, port, path)
    const pings = () => client.frames.filter(({ opcode }) => opcode === 9).length
    for (let answered = 0; answered < 4; answered++) {
      await eventually(() => pings() > answered || client.isClosed)
      client.stream.write(frame)
    }
    t.notOk(client.isClosed, name)
    client.stream.destroy()
  }
  const flooding = await RawClient.open(t, port, '/ws/notifications/u2')
  await eventually(() => app.ws.isOnline('u2') === true)
  flooding.stream.write(Buffer.concat(Array.from({ length: 300 }, () => rawFrame('', { opcode: 10 }))))
  await eventually(() => flooding.closeCode !== undefined || flooding.isClosed)
  t.equal(flooding.closeCode, 4429)
})

t.test('why a connection is turned away is noted once, and not when it is ending already', async t => {
  const { lines, options } = logSink()
  const { app, url } = await start(t, {}, { logger: options })
  const noted = () => lines.filter(line => line.includes('"reason"')).map(line => JSON.parse(line).reason)
  const ending = await connect(t, url + path)
  const connection = serverSideOf(app)
  connection.close()
  connection.turnAway('stalled')
  connection.expel('binary')
  t.equal((await ending.close()).code, 4403)
  t.strictSame(noted(), [])
  const stalled = await connect(t, url + path)
  serverSideOf(app).turnAway('stalled')
  t.equal((await stalled.close()).code, 4430)
  t.strictSame(noted(), ['stalled'])
})

t.test('exactly as much as may wait, sent by onConnect, arrives', async t => {
  const frameSize = 50_000
  const beside = Buffer.byteLength(JSON.stringify({ type: 'n', data: '', timestamp: new Date().toISOString() })) + 4
  const { url } = await start(t, {
    limits: { lag: 2 * frameSize, message: frameSize },
    onConnect (connection) { for (let n = 0; n < 2; n++) connection.send({ type: 'n', data: 'x'.repeat(frameSize - beside) }) }
  })
  const client = await connect(t, url + path)
  for (let n = 0; n < 2; n++) t.equal((await client.next('n') as { data: string }).data.length, frameSize - beside)
})

t.test('a reason of exactly 123 bytes is sent whole', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, url + path)
  serverSideOf(app).close(4403, 'x'.repeat(123))
  t.equal((await client.close()).reason, 'x'.repeat(123))
  const next = await connect(t, url + path)
  serverSideOf(app).close(4403, 'x'.repeat(124))
  t.equal((await next.close()).reason, 'x'.repeat(41))
})

t.test('what is sent to a connection that is ending goes nowhere, however much it is', async t => {
  const { app, url } = await start(t, { limits: { lag: 100_000, message: 50_000 } })
  const client = await connect(t, url + path)
  const connection = serverSideOf(app)
  connection.close()
  for (let n = 0; n < 10; n++) connection.send({ type: 'n', data: 'x'.repeat(40_000) })
  await client.close()
  t.equal(app.ws.stats().stalls, 0)
  t.strictSame(client.received.map(({ type }) => type), ['connection_ack'])
})

t.test('a connection that is far behind lets others have their turn, and gets everything', async t => {
  const { app, url } = await start(t)
  const chat = app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'u1' })
  for (let n = 0; n < 50; n++) await chat.send({ type: 'n', data: 'x'.repeat(20_000) })
  const client = await connect(t, `${url}/ws/w/a/c/u1`)
  await client.until(() => client.received.length === 51)
  for (let n = 0; n < 50; n++) await chat.send({ type: 'n', data: 'x'.repeat(20_000) })
  t.equal(serverSideOf(app).flush(), true, 'more is left that it would take')
  await client.until(() => client.received.length === 101)
  t.equal(serverSideOf(app).flush(), false)
})

t.test('a connection that opens while its user is held is not read until the user is free', async t => {
  const { opened, open } = gate()
  const { app, url } = await start(t, {
    limits: { rate: 2, burst: 2, userRate: 2, userBurst: 2, strikes: 100 },
    onConnect: (_connection, { query }) => (query as { slow?: string }).slow === undefined ? undefined : opened
  })
  const first = await connect(t, url + path)
  const slow = new Client(`${url}${path}?slow=1`)
  t.teardown(() => slow.socket.terminate())
  await eventually(() => app.ws.stats().connections === 2)
  for (let n = 0; n < 4; n++) first.send({ type: 'ping' })
  const [held] = app.ws.connections('u1') as unknown as Connection[]
  await eventually(() => held.isPaused)
  open()
  await slow.next('connection_ack')
  const late = (app.ws.connections('u1') as unknown as Connection[]).find(({ id }) => id !== held.id)!
  t.equal(late.isPaused, true)
  late.close()
  let isOver = false
  late.whenFree().then(() => { isOver = true })
  await new Promise(resolve => setImmediate(resolve))
  t.ok(isOver, 'nothing waits for a connection that has ended')
  await eventually(() => !held.isPaused)
})

t.test('a client that connects while its user is held gets its connection_ack once the user is released', async t => {
  const { app, url } = await start(t, { limits: { rate: 2, burst: 2, userRate: 2, userBurst: 2, strikes: 100 } })
  const first = await connect(t, url + path)
  for (let n = 0; n < 4; n++) first.send({ type: 'ping' })
  const [held] = app.ws.connections('u1') as unknown as Connection[]
  await eventually(() => held.isPaused)
  const late = new Client(url + path)
  t.teardown(() => late.socket.terminate())
  await eventually(() => app.ws.stats().connections === 2)
  t.strictSame([app.ws.connections('u1').length, held.isPaused], [1, true])
  await late.next('connection_ack')
  t.equal(held.isPaused, false)
})

t.test('what a connection has planned for its end is done when it ends, once', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, url + path)
  let ends = 0
  serverSideOf(app).onEnd = () => { ends++ }
  client.socket.close()
  await eventually(() => app.ws.stats().connections === 0)
  t.equal(ends, 1)
})

t.test('a client that was behind and has caught up is not taken for one that does not read', async t => {
  const { app, port } = await start(t, { heartbeat: { interval: 100, timeout: 50 }, timeouts: { stall: 200 } })
  const accepted = once(app.server, 'connection')
  const client = await RawClient.open(t, port, path)
  const [socket] = await accepted
  await eventually(() => client.envelopes.length === 1)
  let pings = 0
  const { ping } = serverSideOf(app)
  serverSideOf(app).ping = function () {
    pings++
    ping.call(this)
    client.stream.write(rawFrame('', { opcode: 10 }))
  }
  client.stream.pause()
  for (let n = 0; n < 15; n++) app.ws.sendToUser('u1', { type: 'large', data: 'x'.repeat(1_000_000) })
  await eventually(() => socket.writableLength > 0)
  client.stream.resume()
  await eventually(() => client.envelopes.length === 16)
  const before = pings
  await eventually(() => pings >= before + 5)
  t.strictSame([app.ws.stats().stalls, client.closeCode], [0, undefined])
})
