import { once } from 'node:events'
import t from 'tap'
import { parseDelay } from '../../lib/index.js'
import { Client, connect, start } from '../harness.js'
import { AppProcess, rawConnect, tcpConnect, upgradeRequest } from '../process.js'

t.test('SIGTERM with 1,000 clients, some of which ignore Close', async t => {
  const app = await AppProcess.start(t, { timeouts: { drain: 2_000, spread: 3_000, close: 60_000 }, limits: { connectionsPerUser: 2_000 } })
  const deaf = await Promise.all(Array.from({ length: 20 }, () => rawConnect(t, app.port, '/ws/notifications/u1')))
  for (const socket of deaf) socket.resume()
  const clients = await Promise.all(Array.from({ length: 980 }, () => connect(t, `${app.url}/ws/notifications/u1`)))

  const exited = once(app.child, 'exit')
  const count = 200
  await app.post('/send-and-close', { userId: 'u1', count })
  const delays = await Promise.all(clients.map(async client => {
    const { code, reason } = await client.close()
    t.equal(code, 1012)
    const numbers = client.received.slice(1).map(envelope => (envelope.data as { n: number }).n)
    t.equal(numbers.length, count, 'all that was accepted before has arrived')
    t.ok(numbers.every((n, at) => n === at))
    return parseDelay(reason) ?? -1
  }))
  t.ok(delays.every(delay => delay >= 0 && delay <= 3_000))
  t.ok(Math.max(...delays) - Math.min(...delays) > 2_000, 'they do not all come back at once')
  const [code] = await exited
  t.equal(code, 0)
})

t.test('an upgrade during the drain gets 503 and does not keep the server from closing', async t => {
  const { app, port } = await start(t, { timeouts: { drain: 500, close: 60_000 } })
  await rawConnect(t, port, '/ws/notifications/deaf')
  const held = new Client(`ws://127.0.0.1:${port}/ws/notifications/u1`)
  await held.next()
  const late = await tcpConnect(t, port)
  const closing = app.close()
  await held.close()
  late.write(upgradeRequest(port, '/ws/notifications/u2'))
  const [answer] = await once(late, 'data')
  t.match(answer.toString(), /^HTTP\/1\.1 503 /)
  await closing
})
