import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Connection } from '../../../lib/server/connection/connection.js'
import { closeCodes } from '../../../lib/protocol/close-codes.js'
import { Client, RawClient, connect, rawFrame, start } from '../../harness.js'
import { eventually, gate, loopTurns } from '../../waiting.js'

const path = '/ws/notifications/u1'

/** Internal connection of a user on the server. */
function serverSideOf (app: FastifyInstance, userId = 'u1'): Connection {
  return app.ws.connections(userId)[0] as unknown as Connection
}

/** Resolves when the server has read all frames that the client has sent. */
async function everythingRead ({ socket }: Client): Promise<void> {
  socket.ping()
  await once(socket, 'pong')
}

t.test('an invalid message and an unknown close code throw, and a long reason is truncated', async t => {
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

t.test('close() without a code closes a connection with 4403', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, url + path)
  app.ws.connections('u1')[0].close()
  t.equal((await client.close()).code, 4403)
})

t.test('a paused connection ends as soon as its client has answered the Close', async t => {
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

t.test('a gently closed connection finishes its running handler, and handles no further message', async t => {
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

t.test('a gently closed connection closes when its handler ends, and at once if no handler runs', async t => {
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

t.test('a gently closed connection sends all waiting messages first, also if its client does not read yet', async t => {
  const { app, port } = await start(t, { timeouts: { stall: 600_000 } })
  const client = await RawClient.open(t, port, path)
  await eventually(() => client.envelopes.length === 1)
  client.stream.pause()
  const connection = serverSideOf(app)
  for (let n = 0; n < 15; n++) app.ws.sendToUser('u1', { type: 'large', data: 'x'.repeat(1_000_000) })
  connection.closeGently(closeCodes.RESTART, '')
  await loopTurns(50)
  t.equal(connection.state, 'open', 'the connection waits for its client')
  client.stream.resume()
  await eventually(() => client.closeCode !== undefined)
  t.equal(client.closeCode, 1012)
  t.equal(client.envelopes.filter(({ type }) => type === 'large').length, 15)
})

t.test('a message that arrives after the Close of the server is not handled', async t => {
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

t.test('a hook that closes a connection during its close() determines the code, and onDisconnect is called once', async t => {
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

t.test('onDisconnect is called once for a terminated connection', async t => {
  const ended: number[] = []
  const { app, url } = await start(t, { onDisconnect: (_connection, { code }) => { ended.push(code) } })
  const client = await connect(t, url + path)
  serverSideOf(app).terminate()
  await client.close()
  await eventually(() => app.websocketServer.clients.size === 0)
  t.strictSame(ended, [1006])
})

t.test('a reason of 123 bytes is sent whole, and a reason of 124 bytes is truncated', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, url + path)
  serverSideOf(app).close(4403, 'x'.repeat(123))
  t.equal((await client.close()).reason, 'x'.repeat(123))
  const next = await connect(t, url + path)
  serverSideOf(app).close(4403, 'x'.repeat(124))
  t.equal((await next.close()).reason, 'x'.repeat(41))
})

t.test('onDisconnect gets the code of a connection that broke a rule, and no reason', async t => {
  const left = gate<object>()
  const { url } = await start(t, { onDisconnect: (_connection, closed) => left.open(closed) })
  const client = await connect(t, url + path)
  client.send(Buffer.from('binary'))
  t.strictSame(await client.close(), { code: 1003, reason: '' })
  t.strictSame(await left.opened, { code: 1003, reason: '' })
})
