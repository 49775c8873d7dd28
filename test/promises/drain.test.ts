import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import realtime, { parseDelay, type RealtimeOptions } from '../../lib/index.js'
import { every } from '../every.js'
import { Client, connect, start } from '../harness.js'
import { logSink } from '../log-sink.js'
import { gate } from '../waiting.js'
import { AppProcess, rawConnect, tcpConnect, upgradeRequest } from '../process.js'

/** Numbers of clients that read, and that do not. With `FULL=1` they are the promised ones. */
const [reading, ignoring] = process.env.FULL === '1' ? [980, 20] : [245, 5]

t.test(`on SIGTERM ${reading} clients get all accepted messages and spread retry delays, and ${ignoring} that ignore the Close do not block the exit`, async t => {
  const app = await AppProcess.start(t, { timeouts: { drain: 2_000, spread: 3_000, close: 60_000 }, limits: { connectionsPerUser: 2_000 } })
  const deaf = await Promise.all(Array.from({ length: ignoring }, () => rawConnect(t, app.port, '/ws/notifications/u1')))
  for (const socket of deaf) socket.resume()
  const clients = await Promise.all(Array.from({ length: reading }, () => connect(t, `${app.url}/ws/notifications/u1`)))

  const exited = once(app.child, 'exit')
  const count = 200
  await app.post('/send-and-close', { userId: 'u1', count })
  const delays = await Promise.all(clients.map(async client => {
    const { code, reason } = await client.close()
    t.equal(code, 1012)
    const numbers = client.received.slice(1).map(envelope => (envelope.data as { n: number }).n)
    t.equal(numbers.length, count, 'all messages that were accepted before the close arrive')
    t.ok(every(numbers, (n, at) => n === at))
    return parseDelay(reason) ?? -1
  }))
  t.ok(every(delays, delay => delay >= 0 && delay <= 3_000))
  t.ok(Math.max(...delays) - Math.min(...delays) > 2_000, 'the delays are spread')
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

t.test('an upgrade request that completes after the upgrade listeners are removed does not block the exit', async t => {
  const app = await AppProcess.start(t)
  const socket = await tcpConnect(t, app.port)
  const request = upgradeRequest(app.port, '/ws/notifications/u1').toString()
  socket.write(request.slice(0, 30))
  await app.stats()
  const exited = once(app.child, 'exit')
  app.child.kill('SIGTERM')
  socket.once('data', () => socket.resetAndDestroy())
  socket.write(request.slice(30))
  const [code] = await exited
  t.equal(code, 0)
})

t.test('an upgrade during a slow preClose hook gets 503', async t => {
  const app = Fastify()
  await app.register(realtime)
  const { opened, open } = gate()
  const begun = gate()
  app.addHook('preClose', async () => {
    begun.open()
    await opened
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const late = await tcpConnect(t, port)
  const closed = app.close()
  await begun.opened
  late.write(upgradeRequest(port, '/ws/notifications/u1'))
  const [answer] = await once(late, 'data')
  t.match(answer.toString(), /^HTTP\/1\.1 503 /)
  open()
  await closed
})

t.test('a client whose handler outlasts the drain is closed with 1012 and a retry delay', async t => {
  const { app, url } = await start(t, { timeouts: { drain: 200 }, onMessage: { hang: () => new Promise(() => {}) } })
  const client = await connect(t, `${url}/ws/notifications/u1`)
  client.send({ type: 'hang' })
  client.send({ type: 'ping' })
  await client.next('pong')
  const closing = app.close()
  const { code, reason } = await client.close()
  t.equal(code, 1012)
  t.type(parseDelay(reason), 'number')
  await closing
})

t.test("a save or onDisconnect that hangs does not delay app.close() beyond Fastify's pluginTimeout", async t => {
  for (const options of [{ chat: { save: () => new Promise<void>(() => {}) } }, { onDisconnect: () => new Promise<void>(() => {}) }]) {
    const { app, url } = await start(t, options, { pluginTimeout: 1_000 })
    const client = await connect(t, `${url}/ws/notifications/u`)
    app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' }).start(run => run.reply().end())
    client.socket.terminate()
    await t.resolves(app.close())
  }
})

/** A place where an app awaits its own close: how a client triggers it, and how the log names the pending work. */
interface Inside {
  options: (close: () => Promise<void>) => RealtimeOptions
  path?: string
  sends?: object
  leaves?: boolean
  names?: RegExp
}

const inChat = { path: '/ws/w/a/c/u', sends: { type: 'chat_message', ref: 'm1', data: { content: 'x' } } }

const insides: Record<string, Inside> = {
  'a handler of onMessage': {
    options: close => ({ onMessage: { stop: close } }),
    sends: { type: 'stop' },
    names: /for the handler 'stop' of connection \w+-1; 1 connection to close\./
  },
  onDisconnect: { options: close => ({ onDisconnect: close }), leaves: true, names: /for onDisconnect of connection \w+-1\./ },
  authenticate: {
    options: close => ({ authenticate: async () => { await close(); return null } }),
    names: /for authenticate or authorize of 1 handshake\./
  },
  'chat.save': {
    options: close => ({ chat: { onMessage () {}, save: close } }),
    ...inChat,
    names: /for the handler 'chat_message' of connection \w+-1; chat\.save of message m1;/
  },
  'chat.loadHistory': {
    options: close => ({ chat: { loadHistory: async () => { await close(); return [] } } }),
    path: inChat.path,
    sends: { type: 'chat_history', ref: 'h1' },
    names: /for the handler 'chat_history' of connection \w+-1;/
  },
  // The close does not wait for these.
  onConnect: { options: close => ({ onConnect: close }) },
  'a run': { options: close => ({ chat: { onMessage: close } }), ...inChat },
  'a tool of a run': { options: close => ({ chat: { onMessage: run => run.tool('stop', {}, close) } }), ...inChat }
}

/** Log lines about a slow close. */
function reportsIn (lines: string[]): Array<{ level: number, msg: string, connections: number }> {
  return lines.map(line => JSON.parse(line)).filter(({ msg }) => msg.includes('has been closing for'))
}

for (const [where, { options, path = '/ws/notifications/u', sends, leaves = false, names }] of Object.entries(insides)) {
  const how = names === undefined ? 'at once' : 'within the drain, and the log names the pending work'
  t.test(`app.close() that is awaited in ${where} ends ${how}`, async t => {
    const { lines, options: logger } = logSink()
    const app = Fastify({ logger })
    const asked = gate<number>()
    let closing: Promise<unknown> | undefined
    const close = async () => {
      asked.open(performance.now())
      closing ??= app.close()
      await closing
    }
    await app.register(realtime, { timeouts: { drain: 1_500, close: 100 }, ...options(close) })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const client = new Client(`ws://127.0.0.1:${(app.server.address() as AddressInfo).port}${path}`)
    t.teardown(() => client.socket.terminate())
    if (sends !== undefined || leaves) await client.next('connection_ack')
    if (sends !== undefined) client.send(sends)
    if (leaves) client.socket.close(1000)
    const began = await asked.opened
    await closing
    const ms = performance.now() - began
    const reports = reportsIn(lines).map(({ level, msg }) => [level, names?.test(msg) ?? msg])
    t.strictSame(reports, names === undefined ? [] : [[40, true]], lines.join(''))
    t.ok(ms < (names === undefined ? 1_000 : 2_500), `after ${Math.round(ms)} ms`)
  })
}

t.test('an app.close() that its handler does not await ends after the handler, without a log line', async t => {
  const { lines, options: logger } = logSink()
  const closed = gate()
  const app = Fastify({ logger })
  await app.register(realtime, { onMessage: { stop: () => { app.close().then(closed.open) } } })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const client = await connect(t, `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/ws/notifications/u`)
  client.send({ type: 'stop', ref: 's1' })
  t.match(await client.next(), { type: 'ack', ref: 's1' })
  t.equal((await client.close()).code, 1012)
  await closed.opened
  t.strictSame(reportsIn(lines), [])
})

t.test('a client that does not answer its Close is logged at info as one connection to close', async t => {
  const { lines, options: logger } = logSink()
  const { app, port } = await start(t, { timeouts: { drain: 1_200, close: 60_000 } }, { logger })
  await rawConnect(t, port, '/ws/notifications/deaf')
  await app.close()
  t.match(reportsIn(lines), [{ level: 30, connections: 1, msg: /for 1 connection to close$/ }])
})
