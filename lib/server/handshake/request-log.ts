import type { FastifyBaseLogger, FastifyInstance } from 'fastify'

type Serializer = (value: object) => unknown
type Serializers = Record<string, Serializer>

/** Property under which pino keeps the serializers of a logger. */
const serializersOf = Symbol.for('pino.serializers')

type Logger = FastifyBaseLogger & { [serializersOf]?: Serializers }

/** The parts of Fastify's and Node's requests that hold a URL or a token. */
interface Request {
  url?: string
  originalUrl?: string
  raw?: Request
  query?: unknown
  params?: unknown
  headers?: Record<string, string | string[] | undefined>
}

/** A URL without its query. The separator may be percent-encoded, or a semicolon (`useSemicolonDelimiter`). */
export function urlPathOf (url: string): string {
  const end = url.search(/[?;#]|%3[fb]|%23/i)
  return end === -1 ? url : url.slice(0, end)
}

const origin = /^[a-z][a-z\d+.-]*:\/\/[^/]*/i

/**
 * Prepares the URL of a request under the prefix for the router. The router answers an undecodable URL itself, before any route does,
 * with the URL in the body and in the log of `frameworkErrors`. Such a URL loses its query; an absolute URL loses its origin.
 */
export function cleanUrl (raw: { url?: string }, prefix: string): void {
  let { url = '' } = raw
  if (url[0] !== '/') url = url.replace(origin, '')
  if (!url.startsWith(prefix)) return
  raw.url = url.includes('%') && !isDecodable(urlPathOf(url)) ? urlPathOf(url) : url
}

function isDecodable (path: string): boolean {
  try {
    decodeURI(path)
    return true
  } catch {
    return false
  }
}

/** Accessors that hide the query of the underlying request. */
const hidden: PropertyDescriptorMap = {
  url: { get () { return urlOf(below(this).url) } },
  originalUrl: { get () { return urlOf(below(this).originalUrl) } },
  query: { get () { return below(this).query && {} } },
  // The router decodes percent-encoded separators.
  params: { get () { return below(this).params && withoutQueries(below(this).params!) } },
  raw: { get () { return below(this).raw && withoutQuery(below(this).raw!) } },
  headers: { get () { return below(this).headers && withoutTokens(below(this).headers!) } }
}

function below (request: object): Request {
  return Object.getPrototypeOf(request)
}

function urlOf (url: string | undefined): string | undefined {
  return url === undefined ? undefined : urlPathOf(url)
}

/** View of a request for serializers: without its query, and without a token in a subprotocol. */
export function withoutQuery<T extends object> (request: T): T {
  return Object.create(request, hidden)
}

function withoutQueries (params: object): object {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, typeof value === 'string' ? urlPathOf(value) : value]))
}

function withoutTokens (headers: NonNullable<Request['headers']>): Request['headers'] {
  const { ':path': path, 'sec-websocket-protocol': protocols } = headers
  const safe = { ...headers }
  // HTTP/2 has the URL in a header.
  if (typeof path === 'string') safe[':path'] = urlPathOf(path)
  if (typeof protocols === 'string') safe['sec-websocket-protocol'] = protocols.replace(/\btoken\.[^,\s]+/g, 'token.…')
  return safe
}

/** Serializers whose `req` gets requests without a query. */
function hiding (serializers: Serializers, serialize: Serializer): Serializers {
  const req: Serializer = request => serialize(typeof request === 'object' && request !== null ? withoutQuery(request) : request)
  return Object.assign(Object.create(serializers), { req })
}

const asItIs: Serializer = request => request

type Factory = FastifyInstance['childLoggerFactory']

/** Factory of request loggers like that of the app, whose `req` serializer gets requests without a query. */
export function hidingQueries (current: () => Factory): Factory {
  // By source, the serializers of a route or the logger: creating serializers for each request would cost microseconds.
  const made = new WeakMap<object, Serializers>()
  return function (this: FastifyInstance, logger: Logger, bindings, options, raw) {
    const source = options.serializers ?? logger
    let serializers = made.get(source)
    if (serializers === undefined) {
      const { serializers: own = {} } = options as { serializers?: Serializers }
      serializers = hiding(own, own.req ?? logger[serializersOf]?.req ?? asItIs)
      made.set(source, serializers)
    }
    const factory = current()
    // The default factory of Fastify does not read the request.
    const request = factory.name === 'defaultChildLoggerFactory' ? raw : withoutQuery(raw)
    return factory.call(this, logger, bindings, { ...options, serializers }, request)
  }
}
