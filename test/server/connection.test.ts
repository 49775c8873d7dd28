import t from 'tap'
import { Client, connect, eventually, start } from '../harness.js'
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
