import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { defineChannel, type RealtimeOptions } from '../../../lib/index.js'
import type { Connection } from '../../../lib/server/connection/connection.js'
import { Client, RawClient, connect, rawFrame, start } from '../../harness.js'
import { eventually, loopTurns } from '../../waiting.js'
import { rawConnect } from '../../process.js'
import { found } from '../../every.js'

const path = '/ws/notifications/u1'

/** Internal connection of a user on the server. */
function serverSideOf (app: FastifyInstance, userId = 'u1'): Connection {
  return app.ws.connections(userId)[0] as unknown as Connection
}

t.test('messages of all channels of a connection are sent in one write per turn', async t => {
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

t.test('channels take turns: one that is far behind lets the others of its connection through', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, url + path)
  for (let n = 0; n < 100; n++) app.ws.sendToUser('u1', { type: 'user', data: 'x'.repeat(4_000) })
  app.ws.broadcast({ type: 'broadcast', data: 1 })
  // One connection_ack before them.
  await client.until(() => client.received.length === 102)
  const at = client.received.findIndex(({ type }) => type === 'broadcast')
  t.ok(at > 0 && at < 10, `it is message ${at}`)
})

/** A raw client whose user channel is far behind. It answers no ping behind late frames. */
async function startLate (t: Test, options: RealtimeOptions = {}) {
  const board = defineChannel({ authorize: () => true })
  const { app, port } = await start(t, { channels: { board }, ...options })
  const client = await RawClient.open(t, port, path)
  await eventually(() => client.envelopes.length === 1)
  client.stream.write(rawFrame(JSON.stringify({ type: 'subscribe', ref: 1, data: { channels: [{ channel: 'board:b1' }] } })))
  const count = (type: string) => client.envelopes.filter(envelope => envelope.type === type).length
  await eventually(() => count('ack') === 1)
  for (let n = 0; n < 100; n++) app.ws.channel('board', 'b1').send({ type: 'late', data: 'x'.repeat(4_000) })
  await eventually(() => count('late') >= 16)
  return { app, client, count, pings: () => client.frames.filter(({ opcode }) => opcode === 9).map(({ payload }) => payload.toString()) }
}

t.test('a channel that is far behind waits for the pongs of its client, and the other channels of the connection do not', async t => {
  const { app, client, count, pings } = await startLate(t)
  app.ws.broadcast({ type: 'broadcast' })
  await eventually(() => count('broadcast') === 1)
  t.ok(count('late') <= 20, `${count('late')} late messages of 4 KB were written`)
  const answered = new Set<string>()
  await eventually(() => {
    for (const id of pings()) {
      if (answered.has(id)) continue
      answered.add(id)
      client.stream.write(rawFrame(id, { opcode: 10 }))
    }
    return count('late') === 100
  })
  t.ok(answered.size > 4)
})

t.test('a client that does not answer pings behind late frames gets them a heartbeat later', async t => {
  const { client, count, pings } = await startLate(t, { heartbeat: { interval: 100, timeout: 90 } })
  let answered = 0
  await eventually(() => {
    for (; answered < pings().filter(id => id === '').length; answered++) client.stream.write(rawFrame('', { opcode: 10 }))
    return count('late') === 100
  })
})

t.test('a client gets late frames before its connection is closed, and before a removal from the channel', async t => {
  for (const end of ['close', 'remove'] as const) {
    const { app, client, count } = await startLate(t)
    if (end === 'close') app.ws.connections('u1')[0].close(1000)
    else await app.ws.channel('board', 'b1').remove('u1')
    await eventually(() => end === 'close' ? client.closeCode === 1000 : count('unsubscribed') === 1)
    t.equal(count('late'), 100)
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

t.test('a connection whose waiting messages exceed limits.lag is stalled', async t => {
  const { app, port } = await start(t, { limits: { message: 10_000, lag: 20_000 } })
  const socket = await rawConnect(t, port, path)
  socket.pause()
  await eventually(() => app.ws.isOnline('u1') === true)
  const [connection] = app.ws.connections('u1')
  for (let n = 0; n < 100_000 && app.ws.isOnline('u1'); n++) {
    connection.send({ type: 'alone', data: 'x'.repeat(9_000) })
    if (n % 2 === 0) await loopTurns(1)
  }
  t.equal(app.ws.stats().stalls, 1)
  connection.send({ type: 'too_late' })
  connection.close()
})

t.test('messages that exceed limits.lag in one turn reach a client that reads', async t => {
  const { app, url } = await start(t, { limits: { lag: 100_000, message: 50_000 } })
  const client = await connect(t, `${url}/ws/notifications/u1`)
  const [connection] = app.ws.connections('u1')
  for (let n = 0; n < 60; n++) connection.send({ type: 'n', data: { n, text: 'x'.repeat(40_000) } })
  connection.close(1000)
  for (let n = 0; n < 60; n++) t.equal((await client.next('n') as { data: { n: number } }).data.n, n)
  t.equal((await client.close()).code, 1000)
  t.equal(app.ws.stats().stalls, 0)
})

t.test('messages of onConnect that exceed limits.lag close the connection with 1011', async t => {
  const { url } = await start(t, {
    limits: { lag: 100_000, message: 50_000 },
    onConnect (connection) { for (let n = 0; n < 60; n++) connection.send({ type: 'n', data: 'x'.repeat(40_000) }) }
  })
  t.equal((await new Client(`${url}/ws/notifications/u1`).close()).code, 1011)
})

t.test('messages of onConnect of exactly limits.lag reach the client, and of twice limits.message if that is more', async t => {
  const frameSize = 50_000
  const beside = Buffer.byteLength(JSON.stringify({ type: 'n', data: '', timestamp: new Date().toISOString() })) + 4
  for (const [lag, count] of [[1, 2], [2 * frameSize, 2], [3 * frameSize, 3]]) {
    const { url } = await start(t, {
      limits: { lag, message: frameSize },
      onConnect (connection) { for (let n = 0; n < count; n++) connection.send({ type: 'n', data: 'x'.repeat(frameSize - beside) }) }
    })
    const client = await connect(t, url + path)
    for (let n = 0; n < count; n++) t.equal((await client.next('n') as { data: string }).data.length, frameSize - beside)
  }
})

t.test('messages to an ending connection are dropped, also if they exceed limits.lag', async t => {
  const { app, url } = await start(t, { limits: { lag: 100_000, message: 50_000 } })
  const client = await connect(t, url + path)
  const connection = serverSideOf(app)
  connection.close()
  for (let n = 0; n < 10; n++) connection.send({ type: 'n', data: 'x'.repeat(40_000) })
  await client.close()
  t.equal(app.ws.stats().stalls, 0)
  t.strictSame(client.received.map(({ type }) => type), ['connection_ack'])
})

t.test('a flush of a connection that is far behind writes only a part, and the client gets all messages', async t => {
  const { app, url } = await start(t)
  const chat = app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'u1' })
  for (let n = 0; n < 50; n++) await chat.send({ type: 'n', data: 'x'.repeat(20_000) })
  const client = await connect(t, `${url}/ws/w/a/c/u1`)
  await client.until(() => client.received.length === 51)
  for (let n = 0; n < 50; n++) await chat.send({ type: 'n', data: 'x'.repeat(20_000) })
  t.equal(serverSideOf(app).flush(), true, 'messages are left for another flush')
  await client.until(() => client.received.length === 101)
  t.equal(serverSideOf(app).flush(), false)
})

t.test('a client that was behind and has caught up is not stalled', async t => {
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

t.test('a subscription that has ended is no reader of its log, its publications are not sent, and those of the other ones are', async t => {
  const { app, url } = await start(t, { channels: { k: defineChannel({ authorize: () => true }) } })
  const client = await connect(t, url + path)
  const channels = ['k:a', 'k:b', 'k:c', 'k:d']
  client.send({ type: 'subscribe', data: { channels: channels.map(channel => ({ channel })) } })
  await client.until(() => client.received.filter(({ type }) => type === 'subscribed').length === 4)
  const connection = serverSideOf(app)
  for (const ended of [['k:a'], ['k:c', 'k:d'], ['k:b']]) {
    const { length } = client.received
    // The channels wait in this order.
    for (const channel of [...channels].reverse()) app.ws.channel('k', channel.slice(2)).send({ type: 'note' })
    const endedOnes = ended.map(channel => connection.find(channel)!)
    for (const subscription of endedOnes) connection.unsubscribe(subscription)
    t.strictSame(endedOnes.map(({ log }) => log.readers.length), ended.map(() => 0))
    app.ws.sendToUser('u1', { type: 'last' })
    await client.next('last')
    channels.splice(0, channels.length, ...channels.filter(channel => !ended.includes(channel)))
    const notes = client.received.slice(length).filter(({ type }) => type === 'note').map(({ channel }) => channel)
    t.strictSame(notes, [...channels].reverse())
    t.strictSame(connection.subscriptions.map(({ channel }) => channel), ['user:u1', 'broadcast', ...channels])
  }
})

t.test('a resync names its channel, except for the notifications of a user', async t => {
  const { app, url } = await start(t, { channels: { k: defineChannel({ authorize: () => true }) } })
  const client = await connect(t, url + path)
  client.send({ type: 'subscribe', data: { channels: [{ channel: 'k:a' }] } })
  await client.next('subscribed')
  // As if the connection had read another incarnation of the log.
  for (const channel of ['k:a', 'user:u1']) Object.assign(serverSideOf(app).find(channel)!, { epoch: 'other' })
  app.ws.channel('k', 'a').send({ type: 'lost' })
  app.ws.sendToUser('u1', { type: 'lost' })
  const [first, second] = [await client.next('resync'), await client.next('resync')]
  t.strictSame([first.channel, second.channel], ['k:a', undefined])
  t.match([first.data.position, second.data.position], [/^k\.\w+\.1$/, /^u\.\w+\.1$/])
  t.strictSame(found(client.received, ({ type }) => type === 'lost'), [])
  t.equal(app.ws.stats().resyncs, 2)
})
