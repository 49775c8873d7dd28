import { once } from 'node:events'
import t from 'tap'
import { every } from '../every.js'
import { connect, start } from '../harness.js'
import { eventually, within, loopTurns } from '../waiting.js'
import { AppProcess, rawConnect } from '../process.js'

const mib = 1024 * 1024

t.test('a client that never reads is disconnected and costs less than 16 MiB, and its neighbours get all messages in order', async t => {
  const app = await AppProcess.start(t, { timeouts: { stall: 2_000 } })
  const readers = await Promise.all(Array.from({ length: 20 }, (_, n) => connect(t, `${app.url}/ws/notifications/u${n}`)))
  const stalled = await rawConnect(t, app.port, '/ws/notifications/stalled')
  stalled.pause()
  const flood = { bytes: 16 * 1024, every: 2 }
  await app.post('/flood', { ...flood, count: 100 })
  const before = await app.usage()

  const count = 2_000
  const after = await app.post('/flood', { ...flood, count }) as { stalls: number, resyncs: number }
  for (const reader of readers) {
    await reader.until(() => reader.received.length === 1 + 100 + count)
    const flooded = reader.received.slice(101)
    t.ok(every(flooded, (envelope, at) => (envelope.data as { n: number }).n === at), 'complete and in order')
  }
  t.equal(after.resyncs, 0)
  t.equal(after.stalls, 1)
  const { memory, connections } = await app.usage()
  t.equal(connections, readers.length)
  t.ok(memory - before.memory < 16 * mib, `grew by ${((memory - before.memory) / mib).toFixed(1)} MiB`)
})

t.test('a stalled client is closed with 4430 and resumes from the history', async t => {
  const count = 1_000
  const { app, url, port } = await start(t, { timeouts: { stall: 200, close: 60_000 }, history: { size: count } })
  const socket = await rawConnect(t, port, '/ws/notifications/u1')
  socket.pause()
  await eventually(() => app.ws.isOnline('u1') === true)
  // 20 MB in all: more than the socket buffers of the system hold, and less than the history holds.
  const text = 'x'.repeat(20_000)
  for (let n = 1; n <= count; n++) {
    await app.ws.sendToUser('u1', { type: 'big', data: { n, text } })
    await loopTurns(1)
  }
  await eventually(() => app.ws.stats().stalls === 1)

  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk))
  socket.resume()
  const isClosed = () => Buffer.concat(chunks.slice(-2)).includes(Buffer.from([0x88, 0x02, 4430 >> 8, 4430 & 0xff]))
  while (!isClosed()) await within(once(socket, 'data'), 'a Close with 4430')
  const ids = [...Buffer.concat(chunks).toString('latin1').matchAll(/"id":"([^"]+)"/g)].map(match => match[1])

  const again = await connect(t, `${url}/ws/notifications/u1?since=${ids.at(-1)}`)
  t.ok(ids.length < count, `${ids.length} of ${count} came before the Close`)
  t.match(again.ack.data, { recovered: true, replayed: count - ids.length })
  for (let n = ids.length + 1; n <= count; n++) t.equal((await again.next()).id, ids.at(-1)!.replace(/\d+$/, String(n)))
})

t.test('a client that is behind by more than limits.lag gets a resync while connected and continues at the head', async t => {
  const { app, port } = await start(t, { limits: { lag: 1_000_000 }, history: { size: 5 } })
  const socket = await rawConnect(t, port, '/ws/notifications/u1')
  socket.pause()
  await eventually(() => app.ws.isOnline('u1') === true)
  const text = 'x'.repeat(50_000)
  const count = 400
  for (let n = 1; n <= count; n++) {
    await app.ws.sendToUser('u1', { type: 'big', data: { n, text } })
    await loopTurns(1)
  }
  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk))
  socket.resume()
  await eventually(() => app.ws.stats().resyncs === 1)
  await app.ws.sendToUser('u1', { type: 'last' })
  while (!Buffer.concat(chunks.slice(-2)).includes('"type":"last"')) await within(once(socket, 'data'), 'the last message')
  const all = Buffer.concat(chunks).toString('latin1')
  const numbers = [...all.matchAll(/"n":(\d+)/g)].map(match => Number(match[1]))
  t.ok(every(numbers, (n, at) => n === at + 1), 'the messages before the resync are complete')
  t.ok(numbers.length < count)
  t.match(all.slice(all.indexOf('"type":"resync"')), new RegExp(`"position":"u\\.\\w+\\.${count}".*"type":"last".*\\.${count + 1}"`, 's'))
})
