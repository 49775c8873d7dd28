import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import pino from 'pino'
import t from 'tap'
import realtime from '../../../lib/index.js'
import { cleanUrl, hidingQueries, urlPathOf, withoutQuery } from '../../../lib/server/handshake/request-log.js'
import { RawClient } from '../../harness.js'
import { logSink } from '../../log-sink.js'
import { eventually } from '../../waiting.js'
import { Talk, handshake, request } from '../../servers.js'
import { found } from '../../every.js'

interface Scope {
  teardown (action: () => unknown): void
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'PURGE', 'REPORT']
const paths = [
  '/ws/notifications/u1', '/ws/w/a/c/u1', `/ws/notifications/${'x'.repeat(128)}`, `/ws/notifications/${'x'.repeat(129)}`, '/ws/notifications/a%20b', '/ws/notifications/..',
  '/ws', '/ws/', '/ws/other', '/ws/a/b', '/ws/a/b/c/d/e', '/ws//notifications/u1', '/ws/plain', '/ws/own', '/ws/%zz', '/ws/notifications/%', '/ws/w/a/c/%E0%A4%A',
  'http://localhost/ws/other', 'http://localhost/ws/%zz'
]
const queries = ['?token=secret', '?since=0&token=secret', '?token=secret&token=secret', '??token=secret', '#?token=secret', '%3Ftoken=secret']

/**
 * Requests and upgrades of HTTP/1.1 with a token: all paths and queries under the prefix, each with all methods, or with one of them in
 * turn.
 */
function * requests (isWhole: boolean): Iterable<string> {
  let turn = 0
  for (const path of paths) {
    for (const query of queries) {
      // With a percent-encoded separator, this path is not under the prefix.
      if (path === '/ws' && query.startsWith('%')) continue
      const chosen = isWhole ? methods : [methods[turn++ % methods.length]]
      for (const method of chosen) yield request(method, path + query, { connection: 'close' }, method === 'POST' ? '{"a":1}' : '')
      yield handshake(path + query)
    }
  }
}

/** Sends all requests, at most 50 at a time, and returns the answers. */
async function answersOf (t: Scope, app: FastifyInstance, isWhole: boolean): Promise<string> {
  const { port } = app.server.address() as AddressInfo
  const all = [...requests(isWhole)]
  let answers = ''
  while (all.length > 0) {
    const clients = all.splice(0, 50).map(text => new Talk(t, port, text))
    await eventually(() => clients.every(({ received, isClosed }) => isClosed || received.includes('connection_ack')))
    for (const { socket, received } of clients) {
      answers += received
      socket.destroy()
    }
  }
  return answers
}

/** Starts an app with two plain routes under the prefix, one of them with a logger of its own. */
async function appWith (t: Scope, options: FastifyServerOptions, before: (app: FastifyInstance) => unknown = () => {}) {
  const app = Fastify(options) as FastifyInstance
  t.teardown(() => app.close())
  await before(app)
  await app.register(realtime, { limits: { connectionsPerUser: 10_000 }, timeouts: { close: 50 } })
  app.get('/ws/plain', async () => 'plain')
  app.post('/ws/own', { childLoggerFactory: (logger, bindings, options, raw) => logger.child({ ...bindings, raw: raw.url }, options) }, async () => 'own')
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app
}

/** Logger options of apps. */
const loggers: Record<string, (stream: { write (line: string): void }) => [FastifyServerOptions, ((app: FastifyInstance) => unknown)?]> = {
  'the default': stream => [{ logger: { level: 'trace', stream } }],
  'serializers of its own': stream => [{
    logger: {
      level: 'trace',
      stream,
      serializers: {
        req: ({ url, originalUrl, raw, query, headers }) => ({ url, originalUrl, raw: [raw.url, raw.headers], query, headers }),
        res: ({ statusCode }) => ({ statusCode })
      }
    }
  }],
  "pino's standard serializer": stream => [{ logger: { level: 'trace', stream, serializers: { req: pino.stdSerializers.req as never } } }],
  'a logger instance': stream => [{ loggerInstance: pino({ level: 'trace', serializers: { req: ({ url }) => ({ mine: url }) } }, stream) }],
  'a child logger factory': stream => [{
    logger: { level: 'trace', stream },
    childLoggerFactory: (logger, bindings, options, raw) => logger.child({ ...bindings, url: raw.url, req: raw }, options)
  }],
  'a child logger factory that is set later': stream => [{ logger: { level: 'trace', stream } }, app => app.addHook('onRegister', () => {
    app.setChildLoggerFactory((logger, bindings, options, raw) => logger.child({ ...bindings, url: raw.url }, options))
  })],
  'errors of the framework': stream => [{
    logger: { level: 'trace', stream },
    frameworkErrors: (error, request, reply) => {
      request.log.warn({ req: request, url: request.url }, error.message)
      reply.code(400 as never).send(error as never)
    }
  }],
  'its own request ids': stream => [{ logger: { level: 'trace', stream }, genReqId: () => 'an-id' }],
  'no request logging': stream => [{ logger: { level: 'trace', stream }, disableRequestLogging: true } as FastifyServerOptions]
}

for (const [name, make] of Object.entries(loggers)) {
  t.test(`a token of any request under the prefix appears neither in the log nor in an answer: ${name}`, async t => {
    const lines: string[] = []
    const app = await appWith(t, ...make({ write: line => { lines.push(line) } }))
    const answers = await answersOf(t, app, name === 'the default' || process.env.FULL === '1')
    t.match(answers, /connection_ack/)
    t.notMatch(answers, /secret/)
    await app.close()
    const leaks = lines.filter(line => line.includes('secret'))
    t.same(leaks, [])
    const fewest = name === 'no request logging' ? 1 : 100
    t.ok(lines.length >= fewest, `${lines.length} lines`)
  })
}

t.test('a token appears neither in the log nor in an answer over HTTP/2', async t => {
  const log = logSink()
  const serializers = { req: ({ url, headers, raw }: FastifyRequest) => ({ url, headers, raw: raw.headers }) }
  const app = Fastify({ http2: true, logger: { ...log.options, serializers } } as object) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(realtime)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = http2.connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(() => session.destroy())
  let answers = ''
  for (const path of paths.filter(path => path.startsWith('/'))) {
    for (const method of methods) {
      const stream = session.request({ ':method': method, ':path': `${path}?token=secret`, 'sec-websocket-protocol': 'fastify-realtime, token.secret' }).end()
      stream.on('data', data => { answers += data })
      await new Promise(resolve => stream.on('close', resolve))
    }
  }
  t.match(answers, /RT_ERR_NOT_A_CHANNEL/)
  t.notMatch(answers, /secret/)
  t.ok(log.lines.length > 100)
  t.strictSame(found(log.lines, line => line.includes('secret')), [])
})

t.test("the app's own serializer gets all fields of the request, without its query", async t => {
  const log = logSink()
  const app = await appWith(t, {
    logger: {
      ...log.options,
      serializers: { req: ({ url, headers, ip, id }: FastifyRequest) => ({ path: url, agent: headers['user-agent'], ip, id }) }
    }
  })
  const { port } = app.server.address() as AddressInfo
  const client = await RawClient.open(t, port, '/ws/notifications/u1?token=secret', { headers: { 'user-agent': 'me' } })
  await eventually(() => client.envelopes.length === 1)
  const { req, reqId } = JSON.parse(log.lines.find(line => line.includes('incoming request'))!)
  t.same(req, { path: '/ws/notifications/u1', agent: 'me', ip: '127.0.0.1', id: reqId })
})

t.test('logLevel and logSerializers of the registration apply to the routes of the plugin', async t => {
  const log = logSink()
  const app = Fastify({ logger: { ...log.options, level: 'info' } })
  t.teardown(() => app.close())
  await app.register(realtime, { prefix: '/live', logSerializers: { req: (request: FastifyRequest) => `ours ${request.url}` } })
  await app.inject('/live/notifications/u1?token=secret')
  t.match(log.lines.join(''), '"req":"ours /live/notifications/u1"')

  const quiet = Fastify({ logger: { ...log.options, level: 'info' } })
  t.teardown(() => quiet.close())
  await quiet.register(realtime, { logLevel: 'warn' })
  quiet.get('/plain', async () => 'plain')
  log.lines.length = 0
  await quiet.inject('/ws/notifications/u1')
  t.same(log.lines, [])
  await quiet.inject('/plain?a=1')
  t.match(log.lines.join(''), '/plain?a=1', 'routes of the app keep their log level')
})

t.test('authenticate gets the request with its query', async t => {
  const urls: string[] = []
  const app = Fastify({ logger: logSink().options })
  t.teardown(() => app.close())
  await app.register(realtime, { authenticate: ({ url, query }) => { urls.push(url, (query as { token: string }).token); return { userId: 'u1' } } })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const client = new Talk(t, (app.server.address() as AddressInfo).port, handshake('/ws/notifications/u1?token=secret'))
  await eventually(() => client.received.includes('connection_ack'))
  t.same(urls, ['/ws/notifications/u1?token=secret', 'secret'])
})

t.test('the path of a URL ends where a query can begin', async t => {
  for (const url of ['/a', '/a?b', '/a?b?c', '/a#b', '/a;b', '/a%3fb', '/a%3Fb', '/a%3bb', '/a%23b']) t.equal(urlPathOf(url), '/a', url)
  t.equal(urlPathOf('http://host/a?b'), 'http://host/a')
  t.equal(urlPathOf('/a%2fb'), '/a%2fb')
})

t.test('a malformed URL under the prefix loses its query, and an absolute URL under the prefix loses its origin', async t => {
  const rows: Array<[string, string]> = [
    ['/ws/a?b=%20', '/ws/a?b=%20'], ['/ws/%20?b', '/ws/%20?b'], ['/ws/a?b=%zz', '/ws/a?b=%zz'], ['/ws/%zz?b', '/ws/%zz'], ['/ws/%?b', '/ws/%'],
    ['http://host/ws/a?b', '/ws/a?b'], ['HTTPS://host:1/ws/%zz?b', '/ws/%zz'], ['http://host/ws/a#?b', '/ws/a#?b'],
    ['/other/%zz?b', '/other/%zz?b'], ['http://host/other?b', 'http://host/other?b'], ['*', '*'], ['', '']
  ]
  for (const [url, cleaned] of rows) {
    const raw = { url }
    cleanUrl(raw, '/ws/')
    t.equal(raw.url, cleaned, url)
  }
})

t.test('withoutQuery() returns a request without its query and its token, and with all other fields', async t => {
  const raw = { url: '/a?token=secret', headers: { host: 'h', 'sec-websocket-protocol': 'x, token.secret' } }
  const request = { raw, query: { token: 'secret' }, id: 5, get url () { return this.raw.url } }
  const safe = withoutQuery(request)
  t.match(safe, { url: '/a', id: 5, query: {}, raw: { url: '/a' } })
  t.same(safe.raw.headers, { host: 'h', 'sec-websocket-protocol': 'x, token.…' })
  t.equal(withoutQuery(safe).url, '/a')
  t.equal(request.url, '/a?token=secret', 'the request itself is unchanged')
  t.equal(withoutQuery({} as { raw?: object }).raw, undefined)
})

t.test('withoutQuery() shortens parameters that are text and the path of HTTP/2, and adds no header', async t => {
  const safe = withoutQuery({
    params: { user: 'u1?token=secret', '*': 'a%3Fb', count: 1 },
    headers: { ':path': '/a?token=secret', 'sec-websocket-protocol': 'token.secret, x,token.more y' }
  })
  t.strictSame(safe.params, { user: 'u1', '*': 'a', count: 1 })
  t.strictSame(safe.headers, { ':path': '/a', 'sec-websocket-protocol': 'token.…, x,token.… y' })
  t.strictSame(withoutQuery({ headers: { host: 'h' } }).headers, { host: 'h' })
  const empty = withoutQuery<{ url?: string, originalUrl?: string, query?: object, params?: object, headers?: object }>({})
  const { url, originalUrl, query, params, headers } = empty
  t.strictSame([url, originalUrl, query, params, headers], [undefined, undefined, undefined, undefined, undefined])
})

/** What a factory of request loggers got. */
interface FactoryCall {
  self: unknown
  logger: unknown
  bindings: unknown
  options: { serializers: Record<string, (value: unknown) => unknown>, level?: string }
  raw: { url: string }
}

/** Calls a factory of request loggers that hides queries, and returns what the factory below it, with a name, got. */
function factoryCalls (name: string, logger: object = {}) {
  const got: FactoryCall[] = []
  const factory = {
    [name] (this: unknown, ...[logger, bindings, options, raw]: [object, object, FactoryCall['options'], FactoryCall['raw']]) {
      got.push({ self: this, logger, bindings, options, raw })
    }
  }[name]
  const hiding = hidingQueries(() => factory as unknown as FastifyInstance['childLoggerFactory']) as unknown as (...parameters: unknown[]) => void
  const raw = { url: '/a?token=secret' }
  return (options: object) => {
    hiding.call('the instance', logger, { reqId: 1 }, options, raw)
    return { ...got.at(-1)!, isRaw: got.at(-1)!.raw === raw }
  }
}

t.test('hidingQueries() passes on everything, and a view of the request to factories of the app', async t => {
  const own = factoryCalls('mine')({ level: 'warn' })
  t.match(own, { self: 'the instance', logger: {}, bindings: { reqId: 1 }, options: { level: 'warn' }, isRaw: false, raw: { url: '/a' } })
  t.equal(factoryCalls('defaultChildLoggerFactory')({}).isRaw, true)
})

t.test('hidingQueries() uses the serializer of the route, that of the logger, or none, and makes each once', async t => {
  const request = { url: '/a?token=secret' }
  const res = () => 'res'
  const none = factoryCalls('mine')({}).options.serializers
  t.equal((none.req(request) as typeof request).url, '/a')
  const logger = { [Symbol.for('pino.serializers')]: { req: ({ url }: typeof request) => `of the logger ${url}` } }
  const call = factoryCalls('mine', logger)
  const ofLogger = call({})
  t.equal(ofLogger.options.serializers.req(request), 'of the logger /a')
  t.equal(call({}).options.serializers, ofLogger.options.serializers)
  const serializers = { req: ({ url }: typeof request) => `of the route ${url}`, res }
  const ofRoute = call({ serializers })
  t.equal(ofRoute.options.serializers.req(request), 'of the route /a')
  t.equal(ofRoute.options.serializers.res, res)
  t.equal(call({ serializers }).options.serializers, ofRoute.options.serializers)
  t.equal(call({ serializers: { res } }).options.serializers.req(request), 'of the logger /a')
})

t.test('hidingQueries() passes values that are not requests to the serializer unchanged', async t => {
  const { serializers } = factoryCalls('mine', { [Symbol.for('pino.serializers')]: { req: (request: unknown) => ({ request }) } })({}).options
  for (const other of ['text?a=1', null, undefined, 5]) t.strictSame(serializers.req(other), { request: other })
})
