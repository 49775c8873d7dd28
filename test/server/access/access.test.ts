import { createServer, request as forward } from 'node:http'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import Fastify from 'fastify'
import realtime from '../../../lib/index.js'
import type { Authenticate, Authorize, RealtimeOptions } from '../../../lib/index.js'
import { RawClient, as, authenticateByHeader, connect, outcome, rawFrame, start, upgrade } from '../../harness.js'
import { found } from '../../every.js'
import { logSink } from '../../log-sink.js'
import { eventually, gate, loopTurns } from '../../waiting.js'

type Expected = number | 'ack'
const path = '/ws/notifications/u1'

t.test('the first app in development mode emits a process warning with the cure, and apps with authenticate or insecure emit none', async t => {
  const warned: Array<Error & { code?: string }> = []
  const onWarning = (warning: Error) => { warned.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => { process.off('warning', onWarning) })
  const listen = async (options: RealtimeOptions) => {
    const log = logSink()
    const app = Fastify({ logger: log.options })
    t.teardown(() => app.close())
    await app.register(realtime, options)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    t.equal(await outcome(`ws://127.0.0.1:${port}${path}`, as('u1')), 'ack')
    t.strictSame(found(log.lines, line => JSON.parse(line).level === 50), [], 'no error is logged')
  }
  for (const options of [{ insecure: true }, { authenticate: authenticateByHeader }]) await listen(options)
  t.strictSame(warned.map(({ code }) => code), [])
  await listen({})
  await eventually(() => warned.length > 0)
  t.match(warned, [{ code: 'RT_WARN_DEVELOPMENT', message: /any client on this machine can connect as any user\. Pass 'authenticate'/ }])
})

t.test('development mode accepts only connections from the same machine', async t => {
  const { port, url } = await start(t)
  const own = `127.0.0.1:${port}`
  const rows: Array<[string, Record<string, string>, Expected]> = [
    ['no Origin', {}, 'ack'],
    ['its own Origin', { origin: `http://${own}` }, 'ack'],
    ['localhost', { host: `localhost:${port}`, origin: `http://localhost:${port}` }, 'ack'],
    ['an IPv6 loopback host', { host: `[::1]:${port}`, origin: `http://[::1]:${port}` }, 'ack'],
    ['a forged Host', { host: 'evil.example' }, 403],
    ['a Host that looks like loopback', { host: `127.0.0.1.evil.example:${port}` }, 403],
    ['a Host with a user in it', { host: 'localhost@evil.example' }, 403],
    ['DNS rebinding: Host and Origin agree', { host: `evil.example:${port}`, origin: `http://evil.example:${port}` }, 403],
    ['a foreign Origin', { origin: 'https://evil.example' }, 403],
    ['an Origin on another port', { origin: `http://127.0.0.1:${port + 1}` }, 403],
    ['another name for the same machine', { origin: `http://localhost:${port}` }, 403],
    ['an Origin of null', { origin: 'null' }, 403],
    ['an empty Origin', { origin: '' }, 403],
    ['an Origin of a file', { origin: 'file://' }, 403],
    ['Forwarded', { forwarded: 'for=1.2.3.4' }, 403],
    ['X-Forwarded-For', { 'x-forwarded-for': '127.0.0.1' }, 403],
    ['X-Forwarded-Proto', { 'x-forwarded-proto': 'https' }, 403],
    ['X-Forwarded-Host', { 'x-forwarded-host': own }, 403],
    ['Via', { via: '1.1 proxy' }, 403]
  ]
  for (const [name, headers, expected] of rows) t.equal(await outcome(url + path, { headers }), expected, name)
  const lifted = await start(t, { insecure: true })
  const allowed = rows.filter(([, headers]) => headers.origin === undefined)
  for (const [name, headers] of allowed) t.equal(await outcome(lifted.url + path, { headers }), 'ack', `insecure: ${name}`)
  t.equal(await outcome(lifted.url + path, { origin: 'https://evil.example' }), 403, 'insecure: a foreign Origin is still refused')
})

t.test('development mode refuses pages of other machines, also if allowedOrigins lists them', async t => {
  const { url } = await start(t, { allowedOrigins: ['https://app.example', 'http://localhost:5173'] })
  const rows: Array<[string, Expected]> = [['https://app.example', 403], ['http://localhost:5173', 'ack'], ['http://localhost:5174', 403]]
  for (const [origin, expected] of rows) t.equal(await outcome(url + path, { origin }), expected, origin)
  const lifted = await start(t, { allowedOrigins: ['https://app.example'], insecure: true })
  t.equal(await outcome(lifted.url + path, { origin: 'https://app.example' }), 'ack')
})

t.test('an upgrade with an empty Host is refused with 403 and a JSON body', async t => {
  const { port } = await start(t)
  const raw = await RawClient.open(t, port, path, { headers: { host: '' } })
  t.equal(raw.status, 403)
  t.match(raw.head, /application\/json/)
})

t.test('without insecure or authenticate, an app that other machines can reach refuses all clients, and logs and warns with the cure', async t => {
  const warned: Array<Error & { code?: string }> = []
  const onWarning = (warning: Error) => { warned.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => { process.off('warning', onWarning) })
  for (const [options, expected] of [[{}, 403], [{ insecure: true }, 'ack'], [{ authenticate: authenticateByHeader }, 'ack']] as const) {
    const log = logSink()
    const app = Fastify({ logger: log.options })
    t.teardown(() => app.close())
    await app.register(realtime, options)
    await app.listen({ port: 0, host: '0.0.0.0' })
    const { port } = app.server.address() as AddressInfo
    t.equal(await outcome(`ws://127.0.0.1:${port}${path}`, as('u1')), expected)
    const errors = log.lines.filter(line => JSON.parse(line).level === 50)
    t.equal(errors.length, expected === 403 ? 1 : 0)
    t.match(errors, expected === 403 ? [/listens on 0\.0\.0\.0.*Pass 'authenticate'/] : [])
    await app.close()
  }
  t.match(warned.filter(({ code }) => code === 'RT_WARN_EXPOSED'), [{ message: /listens on 0\.0\.0\.0.*Pass 'authenticate'/ }])
})

t.test('development mode rejects every connection on a Unix socket, because the peer may be a proxy', async t => {
  const log = logSink()
  const app = Fastify({ logger: log.options })
  t.teardown(() => app.close())
  await app.register(realtime)
  // Not in `t.testdir()`: the path of a socket is limited to 107 bytes.
  const folder = mkdtempSync(join(tmpdir(), 'realtime-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'app.sock')
  await app.listen({ path: file })
  t.equal(await outcome(`ws+unix:${file}:${path}`), 403)
  t.match(log.lines.filter(line => JSON.parse(line).level === 50), [new RegExp(`listens on ${file}`)])
})

t.test('production requires authenticate or insecure', async t => {
  const before = process.env.NODE_ENV
  t.teardown(() => { if (before === undefined) delete process.env.NODE_ENV; else process.env.NODE_ENV = before })
  process.env.NODE_ENV = 'production'
  const refused = Fastify()
  await t.rejects(async () => { await refused.register(realtime) }, { code: 'RT_ERR_AUTHENTICATE_REQUIRED' })
  for (const options of [{ insecure: true }, { authenticate: authenticateByHeader }]) {
    const { url } = await start(t, options)
    t.equal(await outcome(url + path, as('u1')), 'ack')
  }

  t.test('a client behind a proxy on the same host must authenticate, although its peer address is loopback', async t => {
    const { port } = await start(t, { authenticate: authenticateByHeader })
    const proxy = createServer().on('upgrade', (request, client, head) => {
      const upstream = forward({ port, path: request.url, headers: request.headers }).end()
      upstream.on('error', () => client.destroy())
      upstream.on('upgrade', (response, socket, first) => {
        const lines = response.rawHeaders.map((text, at) => at % 2 === 0 ? `${text}: ` : `${text}\r\n`)
        client.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`)
        client.write(first)
        socket.write(head)
        socket.on('error', () => {}).pipe(client).on('error', () => {}).pipe(socket)
      })
    }).listen(0, '127.0.0.1')
    t.teardown(() => proxy.close())
    await once(proxy, 'listening')
    const through = `ws://127.0.0.1:${(proxy.address() as AddressInfo).port}${path}`
    t.equal(await outcome(through), 4401)
    t.equal(await outcome(through, as('u2')), 4403)
    t.equal(await outcome(through, as('u1')), 'ack')
  })
})

const unauthorized = Object.assign(new Error('secret detail'), { statusCode: 401 })
const never = new Promise<never>(() => {})

t.test('each result of authenticate connects the client, or refuses it with its code', async t => {
  const rows: Array<[string, Authenticate, Expected]> = [
    ['the user', () => ({ userId: 'u1' }), 'ack'],
    ['a promise of the user', async () => ({ userId: 'u1' }), 'ack'],
    ['null', () => null, 4401],
    ['undefined', async () => undefined, 4401],
    ['throws 401', () => { throw unauthorized }, 4401],
    ['rejects with 403', async () => { throw Object.assign(new Error('x'), { statusCode: 403 }) }, 4401],
    ['throws 400', () => { throw Object.assign(new Error('secret detail'), { statusCode: 400 }) }, 4401],
    ['throws 499', () => { throw Object.assign(new Error('secret detail'), { statusCode: 499 }) }, 4401],
    ['throws 399', () => { throw Object.assign(new Error('x'), { statusCode: 399 }) }, 1011],
    ['throws 500', () => { throw Object.assign(new Error('x'), { statusCode: 500 }) }, 1011],
    ['throws a TypeError', () => { throw new TypeError('x') }, 1011],
    ['throws null', () => { throw null }, 1011], // eslint-disable-line no-throw-literal
    ['never settles', () => never, 4408],
    ['a string', (() => 'u1') as unknown as Authenticate, 4401],
    ['true', (() => true) as unknown as Authenticate, 4401],
    ['no userId', (() => ({})) as unknown as Authenticate, 4401],
    ['a number as userId', (() => ({ userId: 1 })) as unknown as Authenticate, 4401],
    ['an array as userId', (() => ({ userId: ['u1'] })) as unknown as Authenticate, 4401],
    ['a String object as userId', (() => ({ userId: Object('u1') })) as unknown as Authenticate, 4401],
    ['a getter that throws', () => ({ get userId (): string { throw new Error('x') } }), 4401],
    ['expired', () => ({ userId: 'u1', expiresAt: Date.now() - 1 }), 4401],
    ['expired as a Date', () => ({ userId: 'u1', expiresAt: new Date(0) }), 4401],
    ['expires at NaN', () => ({ userId: 'u1', expiresAt: NaN }), 4401],
    ['expires at an invalid Date', () => ({ userId: 'u1', expiresAt: new Date('x') }), 4401],
    ['expires in 1e12 ms', () => ({ userId: 'u1', expiresAt: Date.now() + 1e12 }), 'ack'],
    ['never expires', () => ({ userId: 'u1', expiresAt: Infinity }), 'ack']
  ]
  const log = logSink()
  for (const [name, authenticate, expected] of rows) {
    const { app, url } = await start(t, { authenticate, timeouts: { authenticate: 50 } }, { logger: log.options })
    t.equal(await outcome(url + path), expected, name)
    await app.close()
  }
  t.notMatch(log.lines.join(''), 'secret detail', 'the error of a refused credential is not logged')
})

t.test('a credential in the message of an error that authenticate throws is redacted in the log', async t => {
  const log = logSink()
  const { url } = await start(t, {
    authenticate: request => { throw new Error(`no key for ${(request.query as { token: string }).token} and ${request.headers.authorization}`) }
  }, { logger: log.options })
  const headers = { authorization: 'Bearer in-the-header' }
  t.equal(await outcome(`${url}${path}?token=in-the-query`, { headers }), 1011)
  t.equal(log.lines.filter(line => line.includes('no key for')).length, 1)
  t.notMatch(log.lines.join(''), /in-the-query|in-the-header/)
})

t.test('the userId of the identity must equal the user of the path byte for byte', async t => {
  const rows: Array<[string, string, Expected]> = [
    ['alice', 'alice', 'ack'],
    ['alice', '%61lice', 'ack'],
    ['alice', 'Alice', 4403],
    ['Alice', 'alice', 4403],
    ['alice ', 'alice', 4401],
    ['alice\0', 'alice', 4401],
    ['', 'alice', 4401],
    ['%61lice', 'alice', 4401],
    ['аlice', 'alice', 4401],
    ['cafe\u0301', 'caf%C3%A9', 400],
    ['a|b', 'a%7Cb', 'ack'],
    ['a+b', 'a+b', 'ack'],
    ['a b', 'a+b', 4401],
    ['a b', 'a%20b', 400]
  ]
  let userId = ''
  const { url } = await start(t, { authenticate: () => ({ userId }) })
  for (const [identity, segment, expected] of rows) {
    userId = identity
    t.equal(await outcome(`${url}/ws/notifications/${segment}`), expected, `${identity} at ${segment}`)
    t.equal(await outcome(`${url}/ws/flow/app/chat/${segment}`), expected, `${identity} at the chat of ${segment}`)
  }
})

t.test('each result of authorize connects or refuses the client, on its own channel and on that of another user', async t => {
  const rows: Array<[string, Authorize, Expected, Expected]> = [
    ['true', () => true, 'ack', 'ack'],
    ['a promise of true', async () => true, 'ack', 'ack'],
    ['false', () => false, 4403, 4403],
    ['a promise of false', async () => false, 4403, 4403],
    ['undefined', () => undefined, 'ack', 4403],
    ['a promise of undefined', async () => undefined, 'ack', 4403],
    ['a truthy value that is not true', (() => 'yes') as unknown as Authorize, 4403, 4403],
    ['throws 403', () => { throw Object.assign(new Error('x'), { statusCode: 403 }) }, 4401, 4401],
    ['throws', () => { throw new Error('x') }, 1011, 1011],
    ['rejects', async () => { throw new Error('x') }, 1011, 1011],
    ['never settles', () => never, 4408, 4408]
  ]
  for (const [name, authorize, own, foreign] of rows) {
    const { app, url } = await start(t, { authenticate: authenticateByHeader, authorize, timeouts: { authenticate: 50 } })
    t.equal(await outcome(url + path, as('u1')), own, `${name}: own channel`)
    t.equal(await outcome(url + path, as('admin')), foreign, `${name}: channel of another user`)
    await app.close()
  }
})

t.test('a credential that expires closes its connection with 4401', async t => {
  for (const toTime of [(time: number) => time, (time: number) => new Date(time)]) {
    let disconnected: number | undefined
    const { app, url } = await start(t, {
      authenticate: () => ({ userId: 'u1', expiresAt: toTime(Date.now() + 60) }),
      onDisconnect: (_connection, { code }) => { disconnected = code }
    })
    const client = await connect(t, url + path)
    t.equal((await client.close()).code, 4401)
    await eventually(() => disconnected === 4401)
    t.notOk(app.ws.isOnline('u1'))
  }
})

t.test("an upgrade from an origin that is neither the server's own nor allowed is refused with 403", async t => {
  const same: Array<[string, string, Expected]> = [
    ['http://app.example', 'app.example', 'ack'],
    ['http://app.example', 'app.example:80', 'ack'],
    ['http://app.example', 'APP.example', 'ack'],
    ['https://app.example', 'app.example', 'ack'],
    ['https://app.example', 'app.example:443', 'ack'],
    ['https://app.example', 'app.example:80', 403],
    ['http://app.example:8080', 'app.example', 403],
    ['http://sub.app.example', 'app.example', 403],
    ['http://app.example.evil.example', 'app.example', 403],
    ['http://app.example@evil.example', 'app.example', 403],
    ['null', 'app.example', 403],
    ['not an origin', 'app.example', 403]
  ]
  const listed: Array<[string, string, Expected]> = [
    ['https://app.example', 'api.example', 'ack'],
    ['https://app.example:443', 'api.example', 403],
    ['https://app.example/', 'api.example', 403],
    ['http://app.example', 'api.example', 403],
    ['https://api.example', 'api.example', 403],
    ['null', 'api.example', 403]
  ]
  const tables: Array<[RealtimeOptions, typeof same]> = [[{}, same], [{ allowedOrigins: ['https://app.example'] }, listed]]
  for (const [options, rows] of tables) {
    const { url } = await start(t, { authenticate: authenticateByHeader, ...options })
    for (const [origin, host, expected] of rows) {
      t.equal(await outcome(url + path, { headers: { 'x-user': 'u1', origin, host } }), expected, `${origin} at ${host}`)
    }
    t.equal(await outcome(url + path, as('u1')), 'ack', 'no Origin')
  }
})

t.test('handshakes beyond the pending places of their address get 503, and other addresses have places left', async t => {
  const go = gate()
  let asked = 0
  const { app, url } = await start(t, {
    authenticate: async request => { asked++; await go.opened; return authenticateByHeader(request) },
    limits: { pending: 6 }
  })
  const waiting = [1, 2, 3].map(async () => outcome(url + path, as('u1')))
  await eventually(() => asked === 3)
  t.equal(await outcome(url + path, as('u1')), 503, 'one address gets half of the places')
  t.equal(asked, 3, 'authenticate is not called for the refused handshake')
  waiting.push(outcome(url + path, { ...as('u2'), localAddress: '127.0.0.2' }))
  await eventually(() => asked === 4)
  go.open()
  t.same(await Promise.all(waiting), ['ack', 'ack', 'ack', 4403])
  await eventually(() => app.ws.stats().connections === 0)
  for (let again = 0; again < 8; again++) t.equal(await outcome(url + path, as('u1')), 'ack', 'every place is free again')
})

t.test('one address gets half of the pending places while a hook of the app is slow', async t => {
  const go = gate()
  let waiting = 0
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(realtime, { authenticate: authenticateByHeader, limits: { pending: 10 } })
  app.addHook('onRequest', async request => {
    if (request.ip !== '127.0.0.1') return
    waiting++
    await go.opened
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const url = `ws://127.0.0.1:${port}`
  const mine = Array.from({ length: 30 }, () => outcome(url + path, as('u1')))
  await eventually(() => waiting === 5)
  t.equal(await outcome(url + path, { ...as('u1'), localAddress: '127.0.0.2' }), 'ack')
  go.open()
  const outcomes = await Promise.all(mine)
  t.same([outcomes.filter(each => each === 'ack').length, outcomes.filter(each => each === 503).length, waiting], [5, 25, 5])
})

t.test('every way in which a handshake ends frees its place among the pending handshakes', async t => {
  const rows: Array<[string, number, (stream: Socket) => void]> = [
    ['the client resets', 60_000, stream => stream.resetAndDestroy()],
    ['the client resets after it has sent more data', 50, stream => { stream.write('x'.repeat(1000)); stream.resetAndDestroy() }],
    ['the client ends and authenticate never settles', 50, stream => stream.end()],
    ['authenticate never settles', 50, () => {}]
  ]
  for (const [name, timeout, end] of rows) {
    let asked = 0
    const { app, port, url } = await start(t, {
      authenticate: async () => ++asked === 1 ? never : { userId: 'u1' },
      limits: { pending: 1 },
      timeouts: { authenticate: timeout }
    })
    const stream = upgrade(t, port, path)
    await eventually(() => asked === 1)
    t.equal(await outcome(url + path), 503)
    end(stream)
    let last: Expected = 503
    for (let attempt = 0; attempt < 1000 && last === 503; attempt++) last = await outcome(url + path)
    t.equal(last, 'ack', name)
    stream.destroy()
    await app.close()
  }
})

t.test('a connection beyond the limit of its user is closed with 4429, and one beyond the limit of the server gets 503', async t => {
  const { app, url } = await start(t, { authenticate: authenticateByHeader, limits: { connections: 3, connectionsPerUser: 2 } })
  const first = await connect(t, url + path, as('u1'))
  await connect(t, `${url}/ws/flow/app/chat/u1`, as('u1'))
  t.equal(await outcome(url + path, as('u1')), 4429)
  t.equal(app.ws.connections('u1').length, 2)
  const other = await connect(t, `${url}/ws/notifications/u2`, as('u2'))
  t.equal(await outcome(`${url}/ws/notifications/u3`, as('u3')), 503)
  other.socket.close()
  first.socket.close()
  await eventually(() => app.ws.stats().connections === 1)
  t.equal(await outcome(url + path, as('u1')), 'ack')
  t.equal(await outcome(`${url}/ws/notifications/u3`, as('u3')), 'ack')
})

t.test('handshakes waiting for authenticate count against limits.connections', async t => {
  const go = gate()
  let asked = 0
  const { url } = await start(t, {
    authenticate: async request => { asked++; await go.opened; return authenticateByHeader(request) },
    limits: { connections: 2, pending: 100 }
  })
  const waiting = [outcome(url + path, as('u1')), outcome(url + path, as('u1'))]
  await eventually(() => asked === 2)
  t.equal(await outcome(url + path, as('u1')), 503)
  go.open()
  t.same(await Promise.all(waiting), ['ack', 'ack'])
})

t.test('the log has the address of a refused client that disconnected before the result of authenticate', async t => {
  const { lines, options } = logSink()
  const asked = gate()
  const verdict = gate()
  const authenticate = async () => {
    asked.open()
    await verdict.opened
    return null
  }
  const { app, port } = await start(t, { authenticate }, { logger: options, disableRequestLogging: true })
  const gone = new Promise(resolve => app.server.on('connection', socket => socket.on('close', resolve)))
  const stream = upgrade(t, port, path)
  await asked.opened
  // Waits for the end of the turn in which authenticate is called.
  await loopTurns()
  stream.resetAndDestroy()
  await gone
  verdict.open()
  await eventually(() => lines.some(line => JSON.parse(line).reason === 'unauthenticated'))
  t.match(lines.map(line => JSON.parse(line)).filter(({ reason }) => reason === 'unauthenticated'), [{ userId: 'u1', remoteAddress: '127.0.0.1' }])
})

t.test('a refused client is not registered, gets no connection_ack, and its messages are not handled', async t => {
  const calls: string[] = []
  const { app, port } = await start(t, {
    authenticate: authenticateByHeader,
    limits: { connectionsPerUser: 1 },
    onConnect: () => { calls.push('onConnect') },
    onDisconnect: () => { calls.push('onDisconnect') },
    onMessage: { hit: () => { calls.push('onMessage') } }
  })
  const early = rawFrame('{"type":"hit","ref":1}')
  const neighbour = await RawClient.open(t, port, '/ws/notifications/full', { headers: { 'x-user': 'full' } })
  await eventually(() => neighbour.envelopes.length === 1)
  t.same(calls.splice(0), ['onConnect'])
  for (const [user, target, code] of [[undefined, 'u1', 4401], ['u2', 'u1', 4403], ['full', 'full', 4429]] as const) {
    const headers: Record<string, string> = user === undefined ? {} : { 'x-user': user }
    const raw = await RawClient.open(t, port, `/ws/notifications/${target}`, { headers, early: Buffer.concat([early, early]) })
    raw.stream.write(early)
    await eventually(() => raw.closeCode !== undefined)
    t.equal(raw.status, 101)
    t.equal(raw.closeCode, code)
    await app.ws.sendToUser(target, { type: 'notification', data: { title: 'x' } })
    t.equal(app.ws.connections().length, 1)
    raw.stream.write(Buffer.concat([early, rawFrame(Buffer.from([0x0f, 0xa0]), { opcode: 8 })]))
    await eventually(() => raw.isClosed)
    t.same(raw.envelopes, [])
  }
  t.same(calls, [])
})

t.test('a user can connect to no channel of another user, and receives none of its messages', async t => {
  const users = ['ann', 'bob']
  const ids = ['x', 'y']
  const { app, url } = await start(t, { authenticate: authenticateByHeader, limits: { connectionsPerUser: 100 } })
  const chats = users.flatMap(userId => ids.flatMap(workflow => ids.flatMap(appId =>
    ids.map(chatId => ({ workflow, appId, chatId, userId })))))
  const paths = [
    ...users.map(userId => ({ owner: userId, path: `/ws/notifications/${userId}`, marks: [`user ${userId}`, 'all'] })),
    ...chats.map(({ workflow, appId, chatId, userId }) => {
      const key = `${workflow}/${appId}/${chatId}/${userId}`
      return { owner: userId, path: `/ws/${key}`, marks: [key] }
    })
  ]
  const others = users.flatMap(identity => paths.filter(({ owner }) => owner !== identity).map(({ path }) => ({ identity, path })))
  t.equal(others.length, paths.length, 'every path has one user who is not its owner')
  const since = (path: string) => `${url}${path}?since=0`
  for (const { identity, path } of others) t.equal(await outcome(since(path), as(identity)), 4403, `${identity} at ${path}`)
  const admitted = []
  for (const { owner, path, marks } of paths) admitted.push({ client: await connect(t, since(path), as(owner)), marks, path })
  const say = (title: string) => ({ type: 'notification', data: { title } } as const)
  for (const userId of users) await app.ws.sendToUser(userId, say(`user ${userId}`))
  await app.ws.broadcast(say('all'))
  for (const chat of chats) await app.ws.chat(chat).send(say(`${chat.workflow}/${chat.appId}/${chat.chatId}/${chat.userId}`))
  for (const { client } of admitted) client.send({ type: 'ping' })
  for (const { client, marks, path } of admitted) {
    await client.until(() => client.received.some(({ type }) => type === 'pong') && client.received.length >= 2 + marks.length)
    const titles = client.received.filter(({ type }) => type === 'notification').map(({ data }) => (data as { title: string }).title)
    t.same(titles.sort(), [...marks].sort(), path)
  }
  // A position in a channel of another user recovers nothing.
  const stolen = admitted[0].client.received.find(({ id }) => id?.startsWith('u.'))!.id!
  const thief = await connect(t, `${url}/ws/notifications/bob?since=${stolen.replace(/\d+$/, '0')}`, as('bob'))
  t.match(thief.ack.data, { recovered: false, replayed: 0 })
})
