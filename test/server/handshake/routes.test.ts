import { once } from 'node:events'
import { METHODS } from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import swagger from '@fastify/swagger'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import t from 'tap'
import realtime from '../../../lib/index.js'
import { cert, key } from '../../fixtures/certificate.js'
import { Client, RawClient, connect, refusedWith, start } from '../../harness.js'
import { eventually, loopTurns } from '../../waiting.js'
import { Talk, request } from '../../servers.js'
import { found } from '../../every.js'

const long = 'x'.repeat(128)

t.test('a plain request to a channel gets 426, one with a wrong id 400, and any other path 404', async t => {
  const { app } = await start(t)
  const answers: Array<[string, number]> = [
    ['/ws/notifications/u1', 426], ['/ws/w/a/c/u1', 426], [`/ws/notifications/${long}`, 426], [`/ws/w/a/${long}/u1`, 426],
    [`/ws/notifications/${long}x`, 400], [`/ws/w/${long}x/c/u`, 400], ['/ws/notifications/a%2Fb', 400], ['/ws/notifications/%00', 400],
    ['/ws/notifications/a%20b', 400], ['/ws/notifications/%C3%A9', 400], ['/ws/notifications/a/b/c', 400], [`/ws/w%2Fa/${long}/c`, 400], [`/ws/w%2fa/${long}/c`, 400],
    ['/ws/notifications/a%7Cb:c@d+e~f-g_h.i', 426], ['/ws/other', 404], ['/ws', 404], ['/ws/a/b', 404], ['/ws/notifications/', 400]
  ]
  for (const [url, status] of answers) {
    const response = await app.inject(url)
    t.equal(response.statusCode, status, url.slice(0, 60))
    t.type(response.json().message, 'string')
  }
  for (const url of ['/ws/notifications/a%20b', '/ws/notifications/a%2Fb']) {
    t.match((await app.inject(url)).json(), { code: 'RT_ERR_INVALID_ID', message: /^A part of this path is not a valid id/ })
  }
  const { headers, json } = await app.inject('/ws/notifications/u1')
  t.equal(headers.upgrade, 'websocket')
  t.match(json(), { code: 'RT_ERR_UPGRADE_REQUIRED', statusCode: 426 })
})

t.test('an upgrade to a path with a dot segment gets 400, and a dot segment as an id throws RT_ERR_INVALID_ID', async t => {
  const { app, port } = await start(t)
  for (const dots of ['.', '..', '%2e', '%2E%2e', '.%2e', '%2e.']) {
    for (const path of [`/ws/notifications/${dots}`, `/ws/w/a/c/${dots}`, `/ws/w/${dots}/c/u`, `/ws/${dots}/a/c/u`]) {
      t.equal((await RawClient.open(t, port, path)).status, 400, path)
    }
  }
  for (const id of ['.', '..']) {
    await t.rejects(app.ws.sendToUser(id, { type: 'x' }), { code: 'RT_ERR_INVALID_ID', message: new RegExp(`^"${id.replaceAll('.', '\\.')}" is not`) })
    t.throws(() => app.ws.chat({ workflow: 'w', appId: 'a', chatId: id, userId: 'u' }), { code: 'RT_ERR_INVALID_ID' })
  }
})

t.test('an upgrade with ids of 128 characters is connected, one with a longer id gets 400', async t => {
  const { url } = await start(t)
  await connect(t, `${url}/ws/notifications/${long}`)
  await connect(t, `${url}/ws/${long}/${long}/${long}/${long}`)
  t.equal(await refusedWith(`${url}/ws/notifications/${long}x`), 400)
  t.equal(await refusedWith(`${url}/ws/other`), 404)
})

t.test('the routes have the given prefix, also if a plugin of the app registers them', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fp(async scope => { await scope.register(realtime, { prefix: '/api/live' }) }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  await connect(t, `${app.listeningOrigin.replace('http', 'ws')}/api/live/notifications/u1`)
})

t.test("an app's own WebSocket route works beside the plugin, and its errors are logged", async t => {
  const lines: string[] = []
  const stream = new PassThrough()
  stream.on('data', line => lines.push(line.toString()))
  const app = Fastify({ logger: { stream } })
  t.teardown(() => app.close())
  await app.register(realtime)
  app.get('/echo', { websocket: true }, socket => { socket.on('message', data => socket.send(data.toString())) })
  app.get('/fails', { websocket: true }, async () => { throw new Error('of the app') })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const origin = app.listeningOrigin.replace('http', 'ws')
  const echo = new Client(`${origin}/echo`)
  echo.socket.on('open', () => echo.send({ type: 'hello' }))
  t.match(await echo.next(), { type: 'hello' })
  echo.socket.terminate()
  await new Client(`${origin}/fails`).close()
  t.ok(lines.some(line => line.includes('of the app')))
})

t.test('a second registration and a registration after @fastify/websocket reject', async t => {
  const twice = Fastify()
  await twice.register(realtime)
  await t.rejects(async () => twice.register(realtime), { code: 'RT_ERR_ALREADY_REGISTERED' })
  const after = Fastify()
  await after.register(websocket)
  await t.rejects(async () => after.register(realtime), { code: 'RT_ERR_WEBSOCKET_REGISTERED', message: /register fastify-realtime first/ })
  await Promise.allSettled([twice.close(), after.close()])
})

t.test('an upgrade that a plain route answers, at once or later, ends with the answer', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/at-once', async () => 'at once')
  app.get('/later', async () => {
    await loopTurns(3)
    return 'later'
  })
  await app.register(realtime)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const answerTo = async (path: string) => {
    const client = await RawClient.open(t, port, path)
    await eventually(() => client.isClosed)
    return client.status
  }
  t.equal(await answerTo('/at-once'), 200)
  t.equal(await answerTo('/later'), 200)
  const nowhere = await RawClient.open(t, port, '/nowhere')
  t.equal(nowhere.status, 404)
  await eventually(() => nowhere.isClosed)
})

t.test('the answer to the upgrade and the connection_ack are sent in one write', async t => {
  const { app, port } = await start(t)
  let writes = 0
  app.server.on('connection', (socket: Socket & { _handle?: Record<string, (...args: unknown[]) => unknown> }) => {
    const handle = socket._handle!
    for (const name of ['writev', 'writeUtf8String', 'writeLatin1String', 'writeBuffer']) {
      const write = handle[name]
      handle[name] = (...args) => { writes++; return write.apply(handle, args) }
    }
  })
  const client = await RawClient.open(t, port, '/ws/notifications/u1')
  await eventually(() => client.envelopes.length === 1)
  t.equal(writes, 1)
})

t.test('the 426 to a request with Connection: close ends the connection', async t => {
  const { port } = await start(t)
  for (const [headers, connection] of [[{}, 'upgrade'], [{ connection: 'close' }, 'upgrade, close']] as const) {
    const client = new Talk(t, port, request('GET', '/ws/notifications/u1', headers))
    await eventually(() => client.received.includes('RT_ERR_UPGRADE_REQUIRED'))
    t.match(client.received, new RegExp(`^connection: ${connection}\r$`, 'm'))
    t.match(client.received, /^upgrade: websocket\r$/m)
    client.socket.write(request('GET', '/ws/other', { connection: 'close' }))
    await eventually(() => client.isClosed)
    t.equal(client.statuses.length, connection === 'upgrade' ? 2 : 1)
  }
})

/** Connection-specific fields, which HTTP/2 does not have (RFC 9113 section 8.2.2). */
const hopByHop = ['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'te', 'http2-settings']

const http2Kinds: Record<string, { options: object, scheme: string }> = {
  'without TLS': { options: { http2: true }, scheme: 'http' },
  'with TLS': { options: { http2: true, https: { key, cert } }, scheme: 'https' },
  'with TLS and allowHTTP1': { options: { http2: true, https: { key, cert, allowHTTP1: true } }, scheme: 'https' },
  // Like an app with its own WebSockets over HTTP/2.
  'with extended CONNECT': { options: { http2: true, https: { key, cert, settings: { enableConnectProtocol: true } } }, scheme: 'https' }
}

for (const [name, { options, scheme }] of Object.entries(http2Kinds)) {
  t.test(`HTTP/2 ${name}: every request under the prefix gets an answer without hop-by-hop headers, and the server stays up`, async t => {
    const app = Fastify(options) as FastifyInstance
    t.teardown(() => app.close())
    await app.register(realtime)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const session = http2.connect(`${scheme}://127.0.0.1:${(app.server.address() as AddressInfo).port}`, { rejectUnauthorized: false })
    t.teardown(() => session.destroy())
    await once(session, 'remoteSettings')
    const answerTo = async (headers: http2.OutgoingHttpHeaders, body = '') => {
      const stream = session.request(headers, { endStream: body === '' })
      stream.on('error', () => {})
      if (body !== '') stream.end(body)
      let answer: http2.IncomingHttpHeaders = {}
      let text = ''
      stream.on('response', headers => { answer = headers })
      stream.on('data', data => { text += data })
      await new Promise(resolve => stream.on('close', resolve))
      return { answer, text }
    }
    const paths: Array<[string, number]> = [
      ['/ws/notifications/u1', 426], ['/ws/w/a/c/u1?since=0', 426], [`/ws/notifications/${long}`, 426], ['/ws/notifications/..', 400], ['/ws/notifications/a%20b', 400],
      ['/ws/%zz', 400], ['/ws/other', 404], ['/ws', 404]
    ]
    for (const [path, status] of paths) {
      const { answer, text } = await answerTo({ ':path': path })
      t.equal(answer[':status'], status, path)
      t.type(JSON.parse(text).message, 'string')
      t.strictSame(found(Object.keys(answer), name => hopByHop.includes(name)), [], path)
    }
    const oddities: http2.OutgoingHttpHeaders[] = [
      {}, { te: 'trailers' }, { origin: 'https://evil.example' }, { host: 'evil.example' }, { ':authority': '' }, { expect: '100-continue' }, { 'x-forwarded-for': '1.2.3.4' },
      { 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'sec-websocket-protocol': 'token.x' }, { 'content-length': '3' },
      { cookie: ['a=b', 'c=d'] }, { 'content-type': 'nonsense' }, { 'accept-version': '1.x' }
    ]
    for (const method of METHODS.filter(method => method !== 'CONNECT')) {
      const body = ['GET', 'HEAD', 'TRACE'].includes(method) ? '' : 'abc'
      const requests = paths.flatMap(([path]) => oddities.map(more => ({ ':method': method, ':path': path, ...more })))
      const answers = await Promise.all(requests.map(async headers => ({ headers, ...await answerTo(headers, body) })))
      // A request that HTTP/2 itself refuses has no status.
      const wrong = answers.filter(({ answer }) => Number(answer[':status']) < 400 || Object.keys(answer).some(name => hopByHop.includes(name)))
      t.same(wrong, [], method)
    }
    const extended = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': scheme, ':path': '/ws/notifications/u1', ':authority': 'localhost' }
    const connects = name === 'with extended CONNECT' ? [extended, { ...extended, ':protocol': 'odd' }] : [{ ':method': 'CONNECT', ':authority': 'localhost:1' }]
    for (const headers of connects) t.equal((await answerTo(headers)).answer[':status'], 405)
    t.equal((await answerTo({ ':path': '/ws/notifications/u1' })).answer[':status'], 426, 'the server still answers')
  })
}

t.test('the routes are not in the OpenAPI document', async t => {
  for (const prefix of ['/ws', '/live', '']) {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(swagger, { openapi: {} })
    await app.register(realtime, { prefix })
    app.get('/own', async () => 'own')
    app.get('/socket', { websocket: true }, () => {})
    await app.ready()
    t.same(Object.keys(app.swagger().paths!), ['/own'])
  }
})

t.test('without a prefix, all other paths, the catch-all route and the 404s belong to the app', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/*', async () => 'page')
  app.post('/a/b/c/d', async () => 'posted')
  await app.register(realtime, { prefix: '' })
  await app.listen({ port: 0, host: '127.0.0.1' })
  for (const path of ['/', '/index.html', '/notifications', '/a/b', '/a/b/c', '/a/b/c/d/e', `/notifications/${'x'.repeat(101)}`]) {
    t.equal((await app.inject(path)).body, 'page', path)
  }
  t.equal((await app.inject({ method: 'POST', url: '/a/b/c/d' })).body, 'posted')
  t.match((await app.inject({ method: 'POST', url: '/notifications/u1' })).json(), { message: 'Route POST:/notifications/u1 not found' })
  t.equal((await app.inject('/notifications/u1')).statusCode, 426)
  const origin = app.listeningOrigin.replace('http', 'ws')
  await connect(t, `${origin}/notifications/u1`)
  await connect(t, `${origin}/w/a/c/u1`)

  const longer = Fastify({ routerOptions: { maxParamLength: 128 } })
  t.teardown(() => longer.close())
  await longer.register(realtime, { prefix: '' })
  t.equal((await longer.inject(`/notifications/${long}`)).statusCode, 426)
  const shorter = Fastify()
  t.teardown(() => shorter.close())
  await shorter.register(realtime, { prefix: '' })
  t.match((await shorter.inject(`/notifications/${long}`)).json(), { code: 'FST_ERR_MAX_PARAM_LENGTH', statusCode: 414 }, 'Fastify answers')
})

t.test('an app can have its own routes under the prefix', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(realtime)
  app.post('/ws/notifications/:user_id', async ({ query }) => query)
  app.get('/ws/status', async ({ query }) => query)
  await app.ready()
  t.same((await app.inject({ method: 'POST', url: '/ws/notifications/u1?a=1' })).json(), { a: '1' })
  t.same((await app.inject('/ws/status?b=2')).json(), { b: '2' })
  t.equal((await app.inject('/ws/notifications/u1')).statusCode, 426)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD'] as const) {
    t.equal((await app.inject({ method, url: '/ws/w/a/c/u1' })).statusCode, 404, method)
  }
  t.match((await app.inject({ method: 'POST', url: '/ws/w/a/c/u1' })).json(), { code: 'RT_ERR_NOT_A_CHANNEL', message: /GET \/notifications/ })
})
