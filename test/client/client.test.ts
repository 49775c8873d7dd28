import { once } from 'node:events'
import { mock } from 'node:test'
import t from 'tap'
import { WebSocket } from 'ws'
import { closeCodes, tokenOf, type Envelope, type RealtimeConnection } from '../../lib/index.js'
import { createClient, type ClientOptions, type RealtimeClient, type Resume, type Status, type WebSocketConstructor } from '../../lib/client/index.js'
import { every, found } from '../every.js'
import { start } from '../harness.js'
import { logSink } from '../log-sink.js'
import { eventually, gate, loopTurns } from '../waiting.js'
import { AppProcess } from '../process.js'
import { FakeSocket } from './fake-socket.js'
import { OlderSocket } from './older-socket.js'
import { clockStart } from '../clock.js'

interface Scope {
  teardown (action: () => unknown): void
}

/** WebSocket of `ws`, which would otherwise wait 30 s for the answer to a Close. */
class Socket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols, { closeTimeout: 100 } as object)
  }
}

/** Connects a client to a real server, and closes it with the test. */
function connectTo (t: Scope, url: string, options: ClientOptions = {}): RealtimeClient {
  const client = createClient({ baseUrl: `${url}/ws`, userId: 'u1', WebSocket: Socket as WebSocketConstructor, onError: () => {}, ...options })
  t.teardown(() => client.close())
  return client
}

/** Creates a client with fake sockets and a clock that the test moves. */
function simulate (t: Scope, options: ClientOptions = {}): { client: RealtimeClient, statuses: Status[], resumes: Resume[] } {
  FakeSocket.made = []
  let now = clockStart
  mock.timers.enable({ apis: ['setTimeout'] })
  mock.method(performance, 'now', () => now)
  const tick = mock.timers.tick.bind(mock.timers)
  // In steps: what a timer starts is counted from the end of the step.
  mock.timers.tick = (ms = 1) => {
    for (let left = ms; left >= 0; left -= 20) {
      const step = Math.min(left, 20)
      now += step
      tick(step)
      if (step === 0) break
    }
  }
  t.teardown(() => {
    client.close()
    mock.timers.tick = tick
    mock.timers.reset()
    mock.restoreAll()
  })
  const client = createClient({ url: 'ws://a.example/ws/notifications/u1', WebSocket: FakeSocket, backoff: () => 1_000, onError: () => {}, ...options })
  const statuses: Status[] = []
  const resumes: Resume[] = []
  client.onStatus(status => statuses.push(status))
  client.onResume(resume => resumes.push(resume))
  return { client, statuses, resumes }
}

t.test('a client connects, receives messages, sends messages and closes', async t => {
  const heard: unknown[] = []
  const { app, url } = await start(t, { onMessage: { vote: ({ data }) => { heard.push(data) }, fails () { throw new Error('secret') } } })
  const client = connectTo(t, url)
  t.equal(client.status, 'connecting')
  const got: Envelope[] = []
  const unbind = client.on('notification', (data, envelope) => got.push({ ...envelope, data }))
  const all: string[] = []
  client.on('*', ({ type }) => all.push(type))
  const acks: unknown[] = []
  client.on('connection_ack', data => acks.push(data.user_id))
  await client.connected()
  t.equal(client.status, 'open')
  await app.ws.sendToUser('u1', { type: 'notification', data: { title: 'Hello' } })
  await eventually(() => got.length === 1)
  t.match(got[0], { type: 'notification', data: { title: 'Hello' }, id: /^u\./ })
  unbind()
  await app.ws.broadcast({ type: 'notification', data: { title: 'Again' } })
  await eventually(() => all.length === 3)
  t.strictSame([all, acks], [['connection_ack', 'notification', 'notification'], ['u1']], "'*' gets every envelope")
  t.equal(got.length, 1)
  await client.send('vote', { choice: 1 })
  t.strictSame(heard, [{ choice: 1 }])
  await t.rejects(client.send('fails'), { code: 'handler_failed' })
  await t.rejects(client.send('unheard'), { code: 'unknown_type' })
  client.close()
  t.equal(client.status, 'closed')
  t.match(client.closed, { code: 1000 })
  await t.rejects(client.send('vote'), { code: 'closed' })
  await t.rejects(client.connected(), { code: 'closed' })
  await eventually(() => app.ws.stats().connections === 0)
})

t.test('for await yields each message, and ends when the client is closed', async t => {
  const { app, url } = await start(t)
  const client = connectTo(t, url)
  await client.connected()
  const got: unknown[] = []
  const reading = (async () => { for await (const { data } of client) if (got.push(data) === 3) client.close() })()
  for (let n = 0; n < 3; n++) await app.ws.sendToUser('u1', { type: 'n', data: n })
  await reading
  t.strictSame(got, [0, 1, 2])
})

t.test('an error of a listener is reported, and the others are called', async t => {
  const { app, url } = await start(t)
  const errors: unknown[] = []
  const client = connectTo(t, url, { onError: error => errors.push(error) })
  const got: unknown[] = []
  client.on('n', () => { throw new Error('of the app') })
  client.on('n', data => got.push(data))
  await client.connected()
  await app.ws.sendToUser('u1', { type: 'n', data: 1 })
  await eventually(() => got.length === 1)
  t.match(errors, [{ message: 'of the app' }])
})

t.test('a client whose connection is cut 100 times gets every message once and in order', async t => {
  const { app, url } = await start(t, { history: { size: 10_000 } })
  const client = connectTo(t, url, { backoff: () => 1 })
  const got: number[] = []
  const resumes: Resume[] = []
  client.on('n', data => got.push(data as number))
  client.onResume(resume => resumes.push(resume))
  await client.connected()
  let sent = 0
  for (let cut = 0; cut < 100; cut++) {
    for (let n = 0; n < 5; n++) await app.ws.sendToUser('u1', { type: 'n', data: sent++ })
    if (Math.random() < 0.5) await loopTurns()
    for (const connection of app.ws.connections('u1')) (connection as RealtimeConnection & { terminate (): void }).terminate()
    await app.ws.sendToUser('u1', { type: 'n', data: sent++ })
    await eventually(() => resumes.length === cut + 1)
  }
  await eventually(() => got.length >= sent)
  t.strictSame(got, Array.from({ length: sent }, (_, n) => n))
  t.ok(every(resumes, ({ recovered }) => recovered))
})

t.test('a client that reconnects to a server that was killed gets recovered: false', async t => {
  const first = await AppProcess.start(t)
  const client = connectTo(t, first.url, { backoff: () => 20 })
  const resumes: Resume[] = []
  client.onResume(resume => resumes.push(resume))
  await client.connected()
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  await AppProcess.start(t, {}, '127.0.0.1', first.port)
  await eventually(() => resumes.length === 1)
  t.strictSame(resumes, [{ recovered: false }])
})

t.test('a send whose connection is cut before the ack calls the handler once, and resolves', async t => {
  let runs = 0
  const running = gate()
  const finish = gate()
  const { app, url } = await start(t, { onMessage: { async order () { runs++; running.open(); await finish.opened } } })
  const client = connectTo(t, url, { backoff: () => 1 })
  await client.connected()
  const sent = client.send('order', { id: 7 })
  await running.opened
  ;(app.ws.connections('u1')[0] as RealtimeConnection & { terminate (): void }).terminate()
  await eventually(() => client.status === 'open')
  finish.open()
  await sent
  t.equal(runs, 1)
})

t.test('messages beyond the burst of the server are sent at its rate', async t => {
  let runs = 0
  const { url } = await start(t, { onMessage: { n: () => { runs++ } } })
  const client = connectTo(t, url)
  await Promise.all(Array.from({ length: 50 }, (_, n) => client.send('n', n)))
  t.equal(runs, 50)
})

t.test('a client never reconnects after a close code with the action stop', async t => {
  const stops = Object.values(closeCodes).filter(({ action }) => action === 'stop')
  t.ok(every([4400, 4403, 4409], code => stops.some(stop => stop.code === code)))
  for (const { code } of stops) {
    await t.test(`a client never reconnects after ${code}`, async t => {
      const { client, statuses } = simulate(t)
      await loopTurns()
      FakeSocket.last.ack()
      FakeSocket.last.lose(code, 'why')
      mock.timers.tick(3_600_000)
      await loopTurns()
      t.equal(FakeSocket.made.length, 1)
      t.match(client.closed, { code, reason: 'why' })
      t.strictSame(statuses, ['open', 'closed'])
    })
  }
})

t.test('a client reconnects after an unknown close code', async t => {
  const { client } = simulate(t)
  await loopTurns()
  FakeSocket.last.lose(4999)
  t.equal(client.status, 'waiting')
})

t.test('after 4401 a client reconnects once with a new credential, and stops when that is refused', async t => {
  let asked = 0
  const { client } = simulate(t, { getToken: async () => `token${++asked}` })
  await loopTurns()
  t.strictSame(FakeSocket.last.protocols, ['fastify-realtime', 'token.token1'])
  FakeSocket.last.ack()
  FakeSocket.last.lose(4401)
  mock.timers.tick(0)
  await loopTurns()
  t.strictSame(FakeSocket.last.protocols, ['fastify-realtime', 'token.token2'])
  FakeSocket.last.ack()
  FakeSocket.last.lose(4401)
  mock.timers.tick(1_000)
  await loopTurns()
  t.equal(asked, 3, 'the second credential was accepted, so a third is fetched')
  FakeSocket.last.lose(4401)
  mock.timers.tick(3_600_000)
  await loopTurns()
  t.equal(asked, 3)
  t.match(client.closed, { code: 4401 })
})

t.test('after 4401 a client without getToken reconnects once, because it may have a new cookie, and then stops', async t => {
  const errors: unknown[] = []
  const { client } = simulate(t, { onError: error => errors.push(error) })
  await loopTurns()
  FakeSocket.last.lose(4401)
  t.equal(client.status, 'waiting')
  t.strictSame(errors, [])
  mock.timers.tick(0)
  await loopTurns()
  FakeSocket.last.lose(4401)
  mock.timers.tick(3_600_000)
  await loopTurns()
  t.equal(FakeSocket.made.length, 2)
  t.strictSame(client.closed, { code: 4401, reason: '', name: 'UNAUTHENTICATED' })
  t.match(errors, [{ code: 'unauthenticated', closed: client.closed }])
  await t.rejects(client.send('n'), { code: 'unauthenticated' })
})

t.test('after disconnectUser with 4401 a client with a valid cookie reconnects, and one without stops', async t => {
  let cookie = 'session=1'
  class WithCookie extends WebSocket {
    constructor (url: string, protocols?: string[]) {
      super(url, protocols, { headers: { cookie } })
    }
  }
  const valid = new Set(['session=1', 'session=2'])
  const { app, url } = await start(t, { authenticate: ({ headers }) => valid.has(headers.cookie!) ? { userId: 'u1' } : null })
  const client = connectTo(t, url, { WebSocket: WithCookie as WebSocketConstructor })
  await client.connected()
  for (const next of ['session=1', 'session=2']) {
    cookie = next
    const [connection] = app.ws.connections('u1')
    app.ws.disconnectUser('u1', closeCodes.UNAUTHENTICATED.code)
    await eventually(() => client.status === 'open' && app.ws.connections('u1')[0] !== undefined && app.ws.connections('u1')[0] !== connection)
  }
  valid.clear()
  app.ws.disconnectUser('u1', closeCodes.UNAUTHENTICATED.code)
  await eventually(() => client.status === 'closed')
  t.match(client.closed, { code: 4401 })
})

t.test('an outage is reported once, and again when its reason changes', async t => {
  const errors: string[] = []
  const { client } = simulate(t, { onError: error => errors.push(`${(error as { code: string }).code}: ${(error as Error).message}`) })
  const fail = async (fault?: string, code?: number, reason?: string) => {
    await loopTurns()
    if (fault !== undefined) FakeSocket.last.onerror?.({ message: fault })
    FakeSocket.last.lose(code, reason)
    mock.timers.tick(6_000)
  }
  await fail('connect ECONNREFUSED')
  await fail('connect ECONNREFUSED')
  t.match(client.outage, { code: 'unreachable' })
  await fail('Unexpected server response: 503')
  await fail('Unexpected server response: 503')
  await fail(undefined, 4429)
  await fail(undefined, 4429)
  await loopTurns()
  FakeSocket.last.ack()
  t.equal(client.outage, undefined)
  await fail(undefined, 1013, 'busy')
  const at = ' at ws://a.example/ws/notifications/u1'
  t.strictSame(errors, [
    `unreachable: connect ECONNREFUSED${at}`,
    `unreachable: Unexpected server response: 503${at}`,
    `too_many: closed with 4429 TOO_MANY${at}`,
    `lost: closed with 1013 busy${at}`
  ])
})

t.test('a handshake without an answer is reported', async t => {
  const errors: unknown[] = []
  simulate(t, { onError: error => errors.push(error) })
  await loopTurns()
  mock.timers.tick(13_000)
  t.match(errors, [{ code: 'unreachable', message: /^no connection_ack at / }])
})

t.test('in Node the error of an outage has the error of the socket or the HTTP status', async t => {
  const errors: Error[] = []
  const onError = (error: unknown) => { errors.push(error as Error) }
  const { url } = await start(t)
  connectTo(t, 'ws://127.0.0.1:1', { onError })
  await eventually(() => errors.length === 1)
  t.match(errors[0], { code: 'unreachable', message: /ECONNREFUSED.* at ws:\/\/127/ })
  connectTo(t, `${url}/wrong`, { onError })
  await eventually(() => errors.length === 2)
  t.match(errors[1], { code: 'unreachable', message: /response: 404 at / })
})

t.test('reopen() connects a closed client again, and it resumes', async t => {
  const { app, url } = await start(t)
  const client = connectTo(t, url)
  const got: unknown[] = []
  const resumes: Resume[] = []
  client.on('n', data => got.push(data))
  client.onResume(resume => resumes.push(resume))
  const seen: unknown[] = []
  client.onStatus((status, closed) => seen.push([status, closed?.name]))
  await client.connected()
  await app.ws.sendToUser('u1', { type: 'n', data: 1 })
  await eventually(() => got.length === 1)
  const lost = client.send('unanswered', undefined, { timeout: 60_000 }).catch(error => error)
  app.ws.disconnectUser('u1', closeCodes.FORBIDDEN.code)
  await eventually(() => client.status === 'closed')
  await lost
  await t.rejects(client.connected(), { code: 'forbidden', closed: { name: 'FORBIDDEN' } })
  await app.ws.sendToUser('u1', { type: 'n', data: 2 })
  client.reopen()
  t.equal(client.closed, undefined)
  await client.connected()
  await eventually(() => got.length === 2)
  t.strictSame([got, resumes], [[1, 2], [{ recovered: true }]])
  t.strictSame(seen, [['open', undefined], ['closed', 'FORBIDDEN'], ['connecting', undefined], ['open', undefined]])
  client.close()
  await t.rejects(client.send('n'), { code: 'closed' })
  client.reopen()
  await client.connected()
})

t.test('after a frame that is too big for an older server, the client reconnects and refuses only that frame', async t => {
  const heard: unknown[] = []
  const first = gate()
  const { url } = await start(t, {
    limits: { frame: 10_000 },
    onMessage: { async n ({ data }) { await first.opened; heard.push((data as { size: number }).size) } }
  })
  const client = connectTo(t, url, { WebSocket: OlderSocket, backoff: () => 1 })
  await client.connected()
  const sizes = [10, 30_000, 200]
  const sent = sizes.map(size => client.send('n', { size, text: 'x'.repeat(size) }).then(() => 'handled', ({ code }) => code))
  t.equal(await sent[1], 'too_big')
  first.open()
  t.strictSame(await Promise.all(sent), ['handled', 'too_big', 'handled'])
  t.strictSame(heard, [10, 200])
})

t.test('rejections of listeners of messages, the status and resumes are reported', async t => {
  const errors: string[] = []
  const { client } = simulate(t, { onError: error => errors.push((error as Error).message) })
  client.on('n', async () => { throw new Error('message') })
  client.onStatus(async status => { if (status === 'open') throw new Error('status') })
  client.onResume(async () => { throw new Error('resume') })
  await loopTurns()
  FakeSocket.last.ack({ recovered: false })
  FakeSocket.last.receive({ type: 'n' })
  await loopTurns()
  t.strictSame(errors, ['status', 'resume', 'message'])
})

t.test('the client refuses a frame beyond the limit of the server, and the connection stays open', async t => {
  const { url } = await start(t, { onMessage: { n () {} }, limits: { frame: 10_000 } })
  const client = connectTo(t, url)
  const statuses: Status[] = []
  client.onStatus(status => statuses.push(status))
  const early = client.send('n', 'ü'.repeat(36_000))
  await t.rejects(early, { code: 'too_big', message: /^72\d{3} bytes, at most 10000$/ })
  await t.rejects(client.send('n', 'x'.repeat(10_000)), { code: 'too_big' })
  await client.send('n', 'x'.repeat(9_000))
  t.strictSame(statuses, ['open'])
})

t.test('after 1012 a client waits for exactly the delay in the reason', async t => {
  const { client } = simulate(t)
  await loopTurns()
  FakeSocket.last.ack()
  FakeSocket.last.lose(1012, 'retry_ms=2140')
  mock.timers.tick(2_139)
  t.equal(FakeSocket.made.length, 1)
  mock.timers.tick(1)
  t.equal(client.status, 'connecting')
})

t.test('after 4429 a client waits for 5 s in addition to the backoff', async t => {
  simulate(t)
  await loopTurns()
  FakeSocket.last.lose(4429)
  mock.timers.tick(5_999)
  await loopTurns()
  t.equal(FakeSocket.made.length, 1)
  mock.timers.tick(1)
  await loopTurns()
  t.equal(FakeSocket.made.length, 2)
})

t.test('after 4430 a client reconnects at once, and after a second 4430 with a backoff', async t => {
  simulate(t)
  await loopTurns()
  FakeSocket.last.ack()
  FakeSocket.last.lose(4430)
  mock.timers.tick(0)
  await loopTurns()
  t.equal(FakeSocket.made.length, 2)
  FakeSocket.last.ack()
  FakeSocket.last.lose(4430)
  mock.timers.tick(999)
  await loopTurns()
  t.equal(FakeSocket.made.length, 2)
  mock.timers.tick(1)
  await loopTurns()
  t.equal(FakeSocket.made.length, 3)
})

t.test('a client that a listener closes and opens again while it connects subscribes on the new connection alone', async t => {
  const errors: unknown[] = []
  const { client } = simulate(t, { onError: error => { errors.push(error) } })
  const limits = { frame: 65_536, nodes: 1_000, rate: 20, burst: 40, channels: 100 }
  client.channel('board', 'b1')
  const unbind = client.onStatus(status => {
    if (status !== 'open') return
    unbind()
    client.close()
    client.reopen()
  })
  await loopTurns()
  FakeSocket.last.ack({ limits })
  await loopTurns()
  FakeSocket.last.ack({ limits })
  await loopTurns()
  t.strictSame(errors, [])
  t.match(FakeSocket.made.map(({ sent }) => sent), [[], [{ type: 'subscribe', data: { channels: [{ channel: 'board:b1' }] } }]])
})

t.test('a backoff that throws, or returns no delay, is reported and replaced by the default, and the client reconnects', async t => {
  const failure = new Error('no backoff')
  const wrong: Array<() => any> = [() => { throw failure }, () => NaN, () => undefined, () => -1, () => 'soon']
  for (const backoff of wrong) {
    await t.test(String(backoff), async t => {
      const reported: unknown[] = []
      const { client } = simulate(t, { backoff, onError: error => { reported.push(error) } })
      // The first delay of the default is half of 0.5 s then.
      mock.method(Math, 'random', () => 0.5)
      await loopTurns()
      FakeSocket.last.lose(1006)
      t.equal(client.status, 'waiting')
      t.equal(reported.includes(failure), backoff === wrong[0])
      mock.timers.tick(249)
      await loopTurns()
      t.equal(FakeSocket.made.length, 1)
      mock.timers.tick(1)
      await loopTurns()
      t.equal(FakeSocket.made.length, 2)
    })
  }
})

t.test('after an outage of an hour a client reconnects by itself, and resumes', async t => {
  const { client, resumes, statuses } = simulate(t, { backoff: attempt => Math.min(20_000, 500 * 2 ** attempt) })
  await loopTurns()
  FakeSocket.last.ack({ position: 'u.e.5,b.f.0' })
  FakeSocket.last.receive({ type: 'n', data: 1, id: 'u.e.6' })
  FakeSocket.last.lose()
  for (let passed = 0; passed < 3_600_000; passed += 20_000) {
    mock.timers.tick(20_000)
    await loopTurns()
    if (client.status === 'connecting') FakeSocket.last.lose()
  }
  t.ok(FakeSocket.made.length > 150)
  mock.timers.tick(20_000)
  await loopTurns()
  t.equal(new URL(FakeSocket.last.url).searchParams.get('since'), 'u.e.6,b.f.0')
  FakeSocket.last.ack({ position: 'u.e.6,b.f.0', recovered: true })
  t.equal(client.status, 'open')
  t.strictSame(resumes, [{ recovered: true }])
  t.strictSame(statuses.slice(0, 4), ['open', 'waiting', 'connecting', 'waiting'])
})

t.test('repeated publications are skipped, and a resync is reported as recovered: false', async t => {
  const { client, resumes } = simulate(t)
  const got: unknown[] = []
  client.on('n', data => got.push(data))
  await loopTurns()
  FakeSocket.last.ack()
  for (const offset of [1, 2, 2, 1, 3]) FakeSocket.last.receive({ type: 'n', data: offset, id: `u.e.${offset}` })
  t.strictSame(got, [1, 2, 3])
  FakeSocket.last.receive({ type: 'resync', data: { position: 'u.e.9' } })
  t.strictSame(resumes, [{ recovered: false }])
  FakeSocket.last.receive({ type: 'n', data: 10, id: 'u.e.10' })
  FakeSocket.last.receive({ type: 'n', data: 'alone' })
  for (const rubbish of ['{', '5', 'null', '{"type":5}']) FakeSocket.last.onmessage?.({ data: rubbish })
  t.strictSame(got, [1, 2, 3, 10, 'alone'])
})

t.test('a dead connection is detected and replaced', async t => {
  const { client } = simulate(t)
  await loopTurns()
  FakeSocket.last.ack()
  mock.timers.tick(30_000)
  FakeSocket.last.receive({ type: 'n' })
  mock.timers.tick(37_000)
  t.strictSame(FakeSocket.last.sent, [], 'a message arrived')
  mock.timers.tick(500)
  t.match(FakeSocket.last.sent, [{ type: 'ping' }])
  FakeSocket.last.receive({ type: 'pong' })
  mock.timers.tick(37_000)
  t.equal(client.status, 'open')
  t.equal(FakeSocket.last.sent.length, 1)
  mock.timers.tick(500)
  t.equal(FakeSocket.last.sent.length, 2)
  const dead = FakeSocket.last
  mock.timers.tick(10_000)
  t.equal(client.status, 'connecting')
  await loopTurns()
  t.equal(FakeSocket.made.length, 2)
  t.equal(dead.isClosed, true)
})

t.test('an attempt whose credential never arrives is given up', async t => {
  let asked = 0
  const { client } = simulate(t, { getToken: () => { asked++; return new Promise(() => {}) } })
  mock.timers.tick(7_400)
  t.equal(client.status, 'connecting')
  mock.timers.tick(6_200)
  t.equal(asked, 2)
  t.equal(FakeSocket.made.length, 0)
})

t.test('a credential that arrives after the client was closed opens no socket', async t => {
  const token = gate<string>()
  const { client } = simulate(t, { getToken: () => token.opened })
  client.close()
  token.open('late')
  await loopTurns()
  t.equal(FakeSocket.made.length, 0)
})

t.test('errors of getToken and of the WebSocket constructor are reported, and the client tries again', async t => {
  const errors: unknown[] = []
  class Throws extends FakeSocket {
    constructor (url: string) {
      super(url)
      throw new Error('of the socket')
    }
  }
  let isBroken = true
  const { client } = simulate(t, {
    WebSocket: Throws,
    onError: error => errors.push(error),
    getToken: () => { if (isBroken) throw new Error('of the app'); return 'token' }
  })
  await loopTurns()
  t.match(errors, [{ message: 'of the app' }])
  isBroken = false
  mock.timers.tick(1_000)
  await loopTurns()
  t.match(errors[1], { message: 'of the socket' })
  t.equal(client.status, 'waiting')
})

/** Gives this process the globals of a page. */
function pageOf (t: Scope) {
  const page = new EventTarget()
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  const parts = { document, addEventListener: page.addEventListener.bind(page), removeEventListener: page.removeEventListener.bind(page) }
  Object.assign(globalThis, parts)
  t.teardown(() => { for (const name of Object.keys(parts)) Reflect.deleteProperty(globalThis, name) })
  return {
    page,
    document,
    hide: (isHidden: boolean) => {
      document.visibilityState = isHidden ? 'hidden' : 'visible'
      document.dispatchEvent(new Event('visibilitychange'))
    }
  }
}

for (const [asleep, awake, of] of [['freeze', 'resume', 'document'], ['pagehide', 'pageshow', 'page']] as const) {
  t.test(`a page that sleeps (${asleep}) has no connection and makes no attempt, and reconnects when it wakes (${awake})`, async t => {
    const host = pageOf(t)
    const errors: unknown[] = []
    const { client, resumes } = simulate(t, { onError: error => errors.push(error) })
    for (const status of ['connecting', 'open', 'waiting'] as const) {
      await loopTurns()
      if (status !== 'connecting') FakeSocket.last.ack({ recovered: true })
      if (status === 'waiting') FakeSocket.last.lose(1012, 'retry_ms=1')
      t.equal(client.status, status)
      const { length } = FakeSocket.made
      host[of].dispatchEvent(new Event(asleep))
      t.equal(client.status, 'waiting')
      t.equal(FakeSocket.last.isClosed, status !== 'waiting', 'a connection that was lost is not closed again')
      t.equal(FakeSocket.last.closedWith, undefined, 'no goodbye, because the page may be loaded again')
      mock.timers.tick(3_600_000)
      await loopTurns()
      t.equal(FakeSocket.made.length, length)
      host[of].dispatchEvent(new Event(awake))
      t.equal(client.status, 'connecting')
      await loopTurns()
      t.equal(FakeSocket.made.length, length + 1)
    }
    FakeSocket.last.ack({ recovered: true })
    t.strictSame(resumes.at(-1), { recovered: true })
    t.equal(errors.length, 1, 'only the restart of the server')
    client.close()
    t.equal(FakeSocket.last.closedWith, 1000)
    host[of].dispatchEvent(new Event(awake))
    t.equal(client.status, 'closed')
  })
}

t.test('a page that wakes waits for the delay that the server demanded', async t => {
  const { document } = pageOf(t)
  const { client } = simulate(t)
  await loopTurns()
  FakeSocket.last.ack()
  FakeSocket.last.lose(1012, 'retry_ms=60000')
  document.dispatchEvent(new Event('freeze'))
  mock.timers.tick(20_000)
  document.dispatchEvent(new Event('resume'))
  t.equal(client.status, 'waiting')
  mock.timers.tick(39_500)
  t.equal(client.status, 'waiting')
  mock.timers.tick(500)
  t.equal(client.status, 'connecting')
})

t.test('a hidden page reconnects at once, then at most every 20 s, and at once when it becomes visible', async t => {
  const { hide } = pageOf(t)
  const { client } = simulate(t, { backoff: () => 0 })
  await loopTurns()
  FakeSocket.last.ack()
  hide(true)
  for (let second = 0; second < 60; second++) {
    if (client.status !== 'waiting') FakeSocket.last.lose()
    mock.timers.tick(1_000)
    await loopTurns()
  }
  t.ok(FakeSocket.made.length <= 5, `${FakeSocket.made.length} sockets in a minute`)
  if (client.status !== 'waiting') FakeSocket.last.lose()
  const { length } = FakeSocket.made
  hide(false)
  await loopTurns()
  t.equal(FakeSocket.made.length, length + 1)
})

t.test('a page that is online again reconnects at once, and one that becomes visible checks its connection', async t => {
  const { page, document } = pageOf(t)
  const { client } = simulate(t, { backoff: () => 20_000 })
  await loopTurns()
  FakeSocket.last.ack()
  FakeSocket.last.lose()
  page.dispatchEvent(new Event('online'))
  t.equal(client.status, 'connecting')
  await loopTurns()
  FakeSocket.last.ack()
  document.visibilityState = 'hidden'
  document.dispatchEvent(new Event('visibilitychange'))
  t.strictSame(FakeSocket.last.sent, [])
  document.visibilityState = 'visible'
  document.dispatchEvent(new Event('visibilitychange'))
  t.match(FakeSocket.last.sent, [{ type: 'ping' }])
  mock.timers.tick(500)
  t.equal(client.status, 'connecting', 'the connection was dead')
  FakeSocket.made = []
  client.close()
  page.dispatchEvent(new Event('online'))
  await loopTurns()
  t.equal(FakeSocket.made.length, 0)
})

t.test('a credential of the same user renews the connection, and one of another user does not', async t => {
  const tokens: string[] = []
  let next = 0
  const { app, url } = await start(t, {
    authenticate: request => ({ userId: 'u1', expiresAt: Date.now() + Number(tokenOf(request)!.split(':')[1]) }),
    renew: token => ({ userId: token.split(':')[0], expiresAt: Date.now() + Number(token.split(':')[1]) })
  })
  const client = connectTo(t, url, { onError: () => {}, getToken: () => { tokens.push(['u1:2000', 'u1:100000'][next++]); return tokens.at(-1) } })
  await client.connected()
  const [connection] = app.ws.connections('u1')
  await eventually(() => tokens.length === 2 && Number(connection.identity.expiresAt) > Date.now() + 50_000)
  t.equal(app.ws.connections('u1')[0], connection, 'the connection is the same')
  t.equal(client.status, 'open')

  let asked = 0
  const stranger = connectTo(t, url, { onError: () => {}, getToken: () => ++asked === 1 ? 'u1:300' : 'u2:100000' })
  const statuses: Status[] = []
  stranger.onStatus(status => statuses.push(status))
  await stranger.connected()
  await eventually(() => statuses.includes('waiting') || statuses.includes('closed'))
  t.ok(asked >= 2, 'the client tried')
})

t.test('a credential in the query or the subprotocol is read, and not logged', async t => {
  const sink = logSink()
  const seen: unknown[] = []
  const { url } = await start(t, { authenticate: request => { seen.push(tokenOf(request)); return { userId: 'u1' } } }, { logger: sink.options })
  for (const tokenIn of ['protocol', 'query'] as const) await connectTo(t, url, { getToken: () => 'se(cr)et', tokenIn }).connected()
  t.strictSame(seen, ['se(cr)et', 'se(cr)et'])
  t.ok(sink.lines.length > 1)
  t.strictSame(found(sink.lines, line => /se(\(|%28)cr/.test(line)), [])
})

t.test('a client without an address or a WebSocket throws a TypeError', async t => {
  t.throws(() => createClient({ url: 'ws://a.example' }), { name: 'TypeError', message: /WebSocket/ })
  t.throws(() => createClient({ WebSocket: FakeSocket }), { name: 'TypeError', message: /userId/ })
})

for (const at of ['waiting', 'connecting', 'open', 'resume'] as const) {
  t.test(`a client that a listener closes at '${at}' stays closed`, async t => {
    let asked = 0
    const { client, statuses } = simulate(t, { getToken: () => { asked++; return 'token' } })
    if (at === 'resume') client.onResume(() => client.close())
    await loopTurns()
    FakeSocket.last.ack({ expires_in_ms: 1_000 })
    client.onStatus(status => { if (status === at) client.close() })
    FakeSocket.last.lose()
    mock.timers.tick(1_000)
    await loopTurns()
    if (client.status === 'connecting') FakeSocket.last.ack({ recovered: true, expires_in_ms: 1_000 })
    t.equal(client.status, 'closed')
    const before = [asked, FakeSocket.made.length]
    mock.timers.tick(3_600_000)
    await loopTurns()
    t.strictSame([asked, FakeSocket.made.length], before)
    t.equal(statuses.at(-1), 'closed')
  })
}

t.test('100 messages to a slow handler are all handled, and the connection stays open', async t => {
  let runs = 0
  // Duration of the handler.
  const slow = () => new Promise(resolve => setTimeout(resolve, 30))
  const { url } = await start(t, { onMessage: { async n () { runs++; await slow() } } })
  const client = connectTo(t, url)
  const statuses: Status[] = []
  client.onStatus(status => statuses.push(status))
  await Promise.all(Array.from({ length: 100 }, (_, n) => client.send('n', { n, text: 'x'.repeat(1_000) })))
  t.equal(runs, 100)
  t.strictSame(statuses, ['open'])
})

t.test('a client starts at the positions in its URL, for every label', async t => {
  simulate(t, { url: 'ws://a.example/ws/notifications/u1?a=1&since=u.e.5,b.f.3&b=2' })
  await loopTurns()
  FakeSocket.last.ack({ position: 'u.e.5,b.f.3', recovered: true })
  FakeSocket.last.receive({ type: 'n', id: 'u.e.6' })
  FakeSocket.last.lose()
  mock.timers.tick(1_000)
  await loopTurns()
  t.strictSame([...new URL(FakeSocket.last.url).searchParams], [['a', '1'], ['b', '2'], ['since', 'u.e.6,b.f.3']])
})

for (const prefix of ['/ws', '/behind/a/proxy/ws']) {
  t.test(`a client on the path of a chat under ${prefix} gets the frames of this chat, and none of another one`, async t => {
    const { client } = simulate(t, { url: `ws://a.example${prefix}/support/shop/c%401/ada?a=1` })
    const got: unknown[] = []
    client.on('n', data => got.push(data))
    await loopTurns()
    FakeSocket.last.ack({ position: 'c.e.0' })
    FakeSocket.last.receive({ type: 'n', data: 'named', channel: 'chat:support/shop/c@1/ada' })
    FakeSocket.last.receive({ type: 'n', data: 'of another chat', channel: 'chat:support/shop/c@2/ada' })
    FakeSocket.last.receive({ type: 'n', data: 'unnamed' })
    t.strictSame(got, ['named', 'unnamed'])
  })
}

t.test('close() of a client that the server has closed keeps the reason of the server', async t => {
  const { client, statuses } = simulate(t)
  await loopTurns()
  FakeSocket.last.ack()
  FakeSocket.last.lose(4403, 'no access')
  client.close()
  t.match(client.closed, { code: 4403, reason: 'no access' })
  t.strictSame(statuses, ['open', 'closed'])
})

t.test('a credential that was renewed is renewed again before it expires', async t => {
  const tokens = ['first', 'second', 'third']
  simulate(t, { getToken: () => tokens.shift() })
  await loopTurns()
  FakeSocket.last.ack({ expires_in_ms: 10_000 })
  mock.timers.tick(8_000)
  await loopTurns()
  t.match(FakeSocket.last.sent, [{ type: 'renew', data: { token: 'second' } }])
  FakeSocket.last.receive({ type: 'renewed', data: { expires_in_ms: 20_000 } })
  mock.timers.tick(15_999)
  await loopTurns()
  t.equal(FakeSocket.last.sent.length, 1)
  mock.timers.tick(1)
  await loopTurns()
  t.match(FakeSocket.last.sent[1], { type: 'renew', data: { token: 'third' } })
})

t.test('messages that the server dropped for their rate are sent again, and not after another error without a ref', async t => {
  const { client } = simulate(t)
  await loopTurns()
  FakeSocket.last.ack()
  client.send('n', 1).catch(() => {})
  const frame = FakeSocket.last.sent[0]
  FakeSocket.last.receive({ type: 'error', data: { code: 'bad_json', message: '' } })
  mock.timers.tick(2_000)
  t.strictSame(FakeSocket.last.sent, [frame])
  FakeSocket.last.receive({ type: 'error', data: { code: 'rate_limited', message: '' } })
  mock.timers.tick(2_000)
  t.strictSame(FakeSocket.last.sent, [frame, frame])
})

t.test('for await yields the messages since the call, and throws too_slow for a loop that is too slow', async t => {
  const { client } = simulate(t)
  await loopTurns()
  FakeSocket.last.ack()
  const iterator = client[Symbol.asyncIterator]()
  FakeSocket.last.receive({ type: 'n', data: 1 })
  t.match(await iterator.next(), { value: { data: 1 } })
  for (let n = 0; n < 10_002; n++) FakeSocket.last.receive({ type: 'n', data: n })
  await t.rejects(iterator.next(), { code: 'too_slow' })
})

t.test('a send of data that is not JSON rejects, and an error of onError has no effect', async t => {
  const { client } = simulate(t, { onError () { throw new Error('of onError') }, getToken () { throw new Error('of getToken') } })
  await t.rejects(client.send('n', 1n))
  await loopTurns()
  t.equal(client.status, 'waiting')
})

t.test('a probe in progress is not postponed by further ones', async t => {
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  Object.assign(globalThis, { document })
  t.teardown(() => { delete (globalThis as { document?: unknown }).document })
  const { client } = simulate(t)
  await loopTurns()
  FakeSocket.last.ack()
  for (let n = 0; n < 11; n++) {
    document.dispatchEvent(new Event('visibilitychange'))
    mock.timers.tick(1_000)
  }
  t.not(client.status, 'open')
  t.equal(FakeSocket.made[0].sent.length, 1)
})
