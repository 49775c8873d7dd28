import t from 'tap'
import { connect, start } from '../harness.js'

const messages = 10_000

t.test('10,000 messages to one user in one turn arrive complete and in order on each of three connections', async t => {
  const { app, url } = await start(t)
  const clients = await Promise.all([1, 2, 3].map(() => connect(t, `${url}/ws/notifications/u1`)))
  const writesBefore = app.ws.stats().writes

  const sent = Array.from({ length: messages }, (_, n) => app.ws.sendToUser('u1', { type: 'count', data: { n } }))
  const ids = (await Promise.all(sent)).map(receipt => receipt.id)

  for (const client of clients) {
    await client.until(() => client.received.length === messages + 1)
    t.strictSame(client.received.slice(1).map(envelope => envelope.id), ids)
    t.strictSame(client.received.slice(1).map(envelope => (envelope.data as { n: number }).n), ids.map((_, n) => n))
  }
  const { writes, resyncs } = app.ws.stats()
  t.ok(writes - writesBefore < messages * 3 / 50, `${writes - writesBefore} writes for ${messages * 3} deliveries`)
  t.equal(resyncs, 0)
})

t.test('a connection receives every message of one turn even when together they exceed the lag of the channel', async t => {
  const { app, url } = await start(t, { limits: { lag: 10_000 } })
  const client = await connect(t, `${url}/ws/notifications/u1`)
  for (let n = 0; n < 2_000; n++) app.ws.sendToUser('u1', { type: 'count', data: { n } })
  await client.until(() => client.received.length === 2_001)
  t.equal(app.ws.stats().resyncs, 0)
})
