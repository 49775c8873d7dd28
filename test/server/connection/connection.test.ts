import { mock } from 'node:test'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { defineChannel } from '../../../lib/index.js'
import type { Connection } from '../../../lib/server/connection/connection.js'
import { UserRates } from '../../../lib/server/inbound/user-rate.js'
import { Liveness } from '../../../lib/server/connection/liveness.js'
import { Client, RawClient, connect, rawFrame, start } from '../../harness.js'
import { found } from '../../every.js'
import { logSink } from '../../log-sink.js'
import { wallClockTimers } from '../../timers.js'
import { eventually, gate, loopTurns } from '../../waiting.js'

const path = '/ws/notifications/u1'

/** Internal connection of a user on the server. */
function serverSideOf (app: FastifyInstance, userId = 'u1'): Connection {
  return app.ws.connections(userId)[0] as unknown as Connection
}

t.test('an identity that expires closes its connection with 4401', async t => {
  const { url } = await start(t, { authenticate: () => ({ userId: 'u1', expiresAt: Date.now() + 100 }) })
  const client = await connect(t, url + path)
  t.equal((await client.close()).code, 4401)
})

t.test('a connection that has ended is a reader of no log', async t => {
  const { app, url } = await start(t)
  for (const end of ['close', 'terminate'] as const) {
    const client = await connect(t, url + path)
    const connection = serverSideOf(app)
    const logs = connection.subscriptions.map(({ log }) => log)
    t.strictSame(logs.map(({ readers }) => readers.length), [1, 1], 'it reads the log of the user and that of the broadcast')
    connection[end]()
    await client.close()
    await eventually(() => connection.state === 'closed')
    t.strictSame(logs.map(({ readers }) => readers.length), [0, 0], end)
    t.strictSame(connection.subscriptions, [])
  }
})

t.test('a client that reads again after a pause is no longer regarded as stalled', async t => {
  const { app, port } = await start(t, { timeouts: { stall: 600_000 }, limits: { message: 20_000_000 } })
  const client = await RawClient.open(t, port, path)
  await eventually(() => client.envelopes.length === 1)
  const [blocked, drained] = (['blocked', 'drained'] as const).map(name => mock.method(Liveness.prototype, name))
  t.teardown(() => mock.restoreAll())
  client.stream.pause()
  // More than the buffers of the system take.
  await app.ws.sendToUser('u1', { type: 'large', data: 'x'.repeat(15_000_000) })
  await eventually(() => blocked.mock.callCount() > 0)
  client.stream.resume()
  await eventually(() => client.envelopes.length === 2)
  await eventually(() => drained.mock.callCount() > 0)
  const [peers, others] = [blocked, drained].map(({ mock }) => mock.calls.map(call => call.arguments[0]))
  t.equal(others.length, peers.length, 'each block ends')
  t.strictSame(new Set([...peers, ...others]).size, 1)
})

t.test('an unsolicited pong counts like a message, and any frame shows that the client is alive', async t => {
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

t.test('the reason of a refused connection is logged once, and not if the connection is already ending', async t => {
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

t.test('a connection that opens while its user is held is not read', async t => {
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
  await loopTurns()
  t.ok(isOver, 'whenFree() of an ended connection resolves')
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

t.test('the timer for the expiry of a credential is removed when its connection ends', async t => {
  const timers = wallClockTimers(t)
  const { app, url } = await start(t, { authenticate: () => ({ userId: 'u1', expiresAt: Date.now() + 60_000 }) })
  const client = await connect(t, url + path)
  t.equal(timers.waiting, 1)
  client.socket.close()
  await eventually(() => app.ws.stats().connections === 0)
  t.equal(timers.waiting, 0)
})

t.test('a credential without an end has no timer', async t => {
  const timers = wallClockTimers(t)
  const { url } = await start(t, { authenticate: () => ({ userId: 'u1' }) })
  await connect(t, url + path)
  t.equal(timers.waiting, 0)
})

t.test('the types of the messages that are being handled are known', async t => {
  const { app, url } = await start(t, { onMessage: { work: () => new Promise(() => {}) } })
  const client = await connect(t, url + path)
  t.strictSame(serverSideOf(app).handling, [])
  client.send({ type: 'work' })
  await eventually(() => serverSideOf(app).handling.length > 0)
  t.strictSame(serverSideOf(app).handling, ['work'])
})

t.test('the JSON of a connection contains nothing of its socket', async t => {
  let written = ''
  const { url } = await start(t, { onMessage: { log: (_message, connection) => { written = JSON.stringify(connection) } } })
  const client = await connect(t, url + path)
  client.send({ type: 'log', ref: 1 })
  t.match(await client.next(), { type: 'ack', ref: 1 })
  t.match(JSON.parse(written), { userId: 'u1', target: { kind: 'notifications' } })
  t.notMatch(written, /socket|stream/)
})

t.test('pongs that the server has requested do not count like messages', async t => {
  const { app, url } = await start(t, { limits: { rate: 1, burst: 1 }, channels: { board: defineChannel({ authorize: () => true }) } })
  const client = await connect(t, url + path)
  const connection = serverSideOf(app)
  for (let n = 0; n < 10; n++) {
    connection.ping()
    t.equal(connection.isAwaitingPong, true)
    await eventually(() => !connection.isAwaitingPong)
  }
  client.send({ type: 'subscribe', data: { channels: [{ channel: 'board:b1' }] } })
  await client.next('subscribed')
  let probes = 0
  client.socket.on('ping', payload => { if (payload.length > 0) probes++ })
  // So much that the server waits for pongs behind the messages.
  const count = 200
  for (let n = 0; n < count; n++) app.ws.channel('board', 'b1').send({ type: 'late', data: 'x'.repeat(4_000) })
  await client.until(() => client.received.filter(({ type }) => type === 'late').length === count)
  await eventually(() => !connection.isAwaitingPong)
  t.ok(probes > 5, `${probes} pings behind late messages`)
  t.equal(connection.state, 'open')
  t.strictSame(found(client.received, ({ type }) => type === 'error'), [])
})

t.test('frames that arrive after the Close of the server are not counted for the user', async t => {
  const { app, port } = await start(t, { limits: { rate: 1, burst: 1, userRate: 1, userBurst: 2 } })
  const client = await RawClient.open(t, port, path)
  await eventually(() => client.envelopes.length === 1)
  const connection = serverSideOf(app)
  connection.close()
  await eventually(() => client.closeCode !== undefined)
  client.stream.write(Buffer.concat(Array.from({ length: 10 }, () => rawFrame('', { opcode: 9 }))))
  client.stream.end()
  await eventually(() => connection.state === 'closed')
  t.equal(app.ws.stats().holds, 0)
})

t.test('setReading() pauses and resumes an open connection, and has no effect on an ended one', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, url + path)
  const connection = serverSideOf(app)
  t.strictSame([connection.setReading(false), connection.isPaused], [true, true])
  t.strictSame([connection.setReading(true), connection.isPaused], [true, false])
  connection.close()
  t.strictSame([connection.setReading(false), connection.isPaused], [false, false])
  await client.close()
})

t.test('a connection opens although its user was forgotten while onConnect ran', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const of = mock.method(UserRates.prototype, 'of')
  t.teardown(() => of.mock.restore())
  const { opened, open } = gate()
  // onConnect has much time, because the tokens are refilled in real time.
  const { url } = await start(t, { limits: { userRate: 10_000 }, timeouts: { connect: 3_600_000 }, onConnect: () => opened })
  const client = new Client(url + path)
  t.teardown(() => client.socket.terminate())
  await eventually(() => of.mock.callCount() > 0)
  const userRates = of.mock.calls[0].this as UserRates
  await eventually(() => {
    mock.timers.tick(1_000)
    return userRates.size === 0
  })
  open()
  await client.next('connection_ack')
})
