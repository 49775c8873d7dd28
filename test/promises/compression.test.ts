import t from 'tap'
import { connect, start, type Client } from '../harness.js'

const path = '/ws/notifications/u1'
const rows = (count: number) => Array.from({ length: count }, (_, n) => ({ id: n, name: `row ${n} 漢 👋`, amount: n * 17.25 }))

/** Bytes received on the socket, with the headers of the handshake. */
const bytesOf = ({ socket }: Client) => (socket as unknown as { _socket: { bytesRead: number } })._socket.bytesRead

t.test('clients with and without compression get the same messages', async t => {
  const { app, url } = await start(t, { compression: true })
  const deflated = await Promise.all([
    connect(t, url + path),
    connect(t, url + path, { perMessageDeflate: { serverNoContextTakeover: true } })
  ])
  const plain = await Promise.all([
    connect(t, url + path, { perMessageDeflate: false }),
    connect(t, url + path, { perMessageDeflate: { serverMaxWindowBits: 10 } })
  ])
  for (const { socket } of deflated) t.match(socket.extensions, /permessage-deflate/)
  t.equal(plain[0].socket.extensions, '')
  const sent = [5, 1, 30, 60, 500, 3, 3_000, 2].map(count => ({ type: 'rows', data: rows(count) }))
  // One turn, so that short and long messages, strings and buffers, are joined.
  await Promise.all(sent.map((message, n) => n % 2 === 0 ? app.ws.sendToUser('u1', message) : app.ws.broadcast(message)))
  for (const client of [...deflated, ...plain]) {
    const got = await Promise.all(sent.map(async () => client.next()))
    t.strictSame(got.map(({ data }) => (data as object[]).length).toSorted(), sent.map(({ data }) => data.length).toSorted())
    for (const { data } of got) t.strictSame(data, rows((data as object[]).length))
  }
  t.ok(bytesOf(deflated[0]) * 2 < bytesOf(plain[0]))
  t.ok(bytesOf(plain[1]) >= bytesOf(plain[0]), 'a client with a smaller window gets plain frames')
})

t.test('a resume replays missed publications in compressed form', async t => {
  const { app, url } = await start(t, { compression: true })
  const first = await connect(t, url + path)
  first.socket.terminate()
  for (let n = 0; n < 5; n++) await app.ws.sendToUser('u1', { type: 'rows', data: rows(40 + n) })
  const second = await connect(t, `${url}${path}?since=${first.ack.data!.position}`)
  for (let n = 0; n < 5; n++) t.strictSame((await second.next()).data, rows(40 + n))
  t.ok(bytesOf(second) < 6_000)
})

t.test('a compressed message of a client is read, and a compression bomb closes the connection with 1009', async t => {
  const heard: unknown[] = []
  const { url } = await start(t, { compression: true, onMessage: { rows: ({ data }) => { heard.push(data) } } })
  const options = { perMessageDeflate: { threshold: 0 } }
  const client = await connect(t, url + path, options)
  client.send({ type: 'rows', ref: 1, data: rows(100) })
  t.match(await client.next(), { type: 'ack', ref: 1 })
  t.strictSame(heard, [rows(100)])
  client.send('x'.repeat(20_000_000))
  t.equal((await client.close()).code, 1009)
})

t.test('without the option compression, no extension is negotiated', async t => {
  const { url } = await start(t)
  t.equal((await connect(t, url + path)).socket.extensions, '')
})
