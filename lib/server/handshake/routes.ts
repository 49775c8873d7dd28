import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, RegisterOptions } from 'fastify'
import type { WebSocket } from 'ws'
import { errors } from '../../errors.js'
import { report } from '../reports/caught.js'
import type { ChannelPath, Kinds } from '../kinds.js'
import { chosenProtocol } from '../access/credential.js'
import { handshakeFault } from './headers.js'
import { Handshake, type Asked } from './handshake.js'
import { forEachServer } from './http-servers.js'
import { proxiedAddressOf } from './refused-request.js'
import { cleanUrl, hidingQueries } from './request-log.js'
import type { RealtimeServer } from '../server.js'
import { Upgrades } from './upgrades.js'
import { chain, isPromise } from '../../time/awaitable.js'

type Params = Record<string, string>

interface Route {
  readonly path: string
  readonly segments: (params: Params) => string[]
}

/** Route of a channel path. Its segments are those of its URL, with the values of the parameters. */
function routeOf ({ url }: ChannelPath): Route {
  const names = url.split('/').slice(1)
  return { path: url, segments: params => names.map(name => name.startsWith(':') ? params[name.slice(1)] : name) }
}

/** Route for ids longer than Fastify's `maxParamLength`, by default 100, and for paths that are no channel. */
const wildcard: Route = { path: '/*', segments: params => params['*'].split('/') }

/** Options that Fastify reads for any plugin, applied to the routes of this one. @inline */
export type LogOptions = Pick<RegisterOptions, 'logLevel' | 'logSerializers'>

/**
 * Adds the channel routes and, under them, @fastify/websocket. Errors that HTTP can express are sent before the upgrade. The identity is
 * decided before the upgrade and reported after it, because browsers do not show the status of a failed handshake.
 */
export async function addRoutes (fastify: FastifyInstance, server: RealtimeServer, options: LogOptions): Promise<void> {
  const { kinds, parts: { options: { prefix } } } = server
  const upgrades = new Upgrades(fastify, server, prefix)
  await addWebSocket(fastify, server, upgrades)
  // Runs together with the preClose hook of @fastify/websocket, which was added before.
  fastify.addHook('preClose', async () => upgrades.close())
  // Runs before the hooks of the app, which may be slow.
  fastify.addHook('onRequest', (request, _reply, done) => {
    const handshake = Handshake.of(request.raw)
    if (handshake === undefined || handshake.comesFrom(proxiedAddressOf(request))) done()
    else done(new errors.OVERLOADED())
  })
  await fastify.register(async scope => {
    scope.setChildLoggerFactory(hidingQueries(() => fastify.childLoggerFactory))
    scope.addHook('onError', async (request, _reply, error) => server.noteError(request, error))
    // Without a prefix, all other paths belong to the app.
    // It does not throw: Fastify 5.0 does not catch that for a URL that it cannot decode, and the process would end.
    if (prefix !== '') scope.setNotFoundHandler((_request, reply) => { reply.send(new errors.NOT_A_CHANNEL()) })
    const routes = kinds.paths.map(routeOf)
    for (const route of prefix === '' ? routes : [...routes, wildcard]) addRoute(scope, server, route)
  }, { prefix, logLevel: options.logLevel, logSerializers: options.logSerializers })
  if (prefix !== '') hideQueriesUnder(fastify, fastify.prefix + prefix)
}

/** Hides queries outside the routes of this package: in URLs that the router refuses, and on the app's own routes under the prefix. */
function hideQueriesUnder (fastify: FastifyInstance, prefix: string): void {
  forEachServer(fastify, http => http.prependListener('request', raw => cleanUrl(raw, prefix)))
  fastify.addHook('onRoute', function (route) {
    if (!route.url.startsWith(`${prefix}/`)) return
    const { childLoggerFactory } = route
    route.childLoggerFactory = hidingQueries(() => childLoggerFactory ?? this.childLoggerFactory)
  })
}

function addRoute (scope: FastifyInstance, server: RealtimeServer, { path, segments }: Route): void {
  scope.route({
    method: 'GET',
    url: path,
    exposeHeadRoute: false,
    // Hides the route from the OpenAPI document of @fastify/swagger, which cannot describe WebSockets.
    schema: { hide: true } as object,
    onRequest: (request, reply, done) => {
      const asked = askedOf(request.url, segments(request.params as Params), server.kinds)
      const handshake = Handshake.of(request.raw)
      if (handshake !== undefined) {
        const fault = handshakeFault(request.headers)
        if (fault !== undefined) throw new errors.HANDSHAKE(fault)
        const reason = server.parts.access.forbids(request)
        if (reason !== undefined) throw new errors.FORBIDDEN(reason)
        if (!handshake.hasRoom) throw new errors.OVERLOADED()
        handshake.ask(asked, reply.raw)
      }
      done()
    },
    // Fastify continues at once after `done`, or when a returned promise resolves.
    preHandler: (request, _reply, done) => {
      const handshake = Handshake.of(request.raw)
      if (handshake?.target === undefined) return done()
      const decided = chain(server.parts.access.admit(request, handshake.target), verdict => handshake.decide(verdict))
      return isPromise(decided) ? decided : done()
    },
    handler: async (_request, reply) => {
      askForUpgrade(reply)
      throw new errors.UPGRADE_REQUIRED()
    },
    wsHandler: (socket, request) => {
      const handshake = Handshake.of(request.raw)!
      const { stream, path, target, verdict } = handshake.take()
      letGo(socket, stream)
      if (verdict.identity === undefined) server.refused.add(socket, verdict.refusal)
      else server.admission.accept({ socket, stream, request, identity: verdict.identity, isHidden: verdict.isHidden, path, target })
      handshake.end()
    }
  })
}

/** Path and target of a URL. Throws RT_ERR_NOT_A_CHANNEL or RT_ERR_INVALID_ID. */
function askedOf (url: string, segments: string[], kinds: Kinds): Asked {
  if (hasEncodedSlash(url)) throw new errors.INVALID_ID('A part of this path')
  const parsed = kinds.parse(segments)
  if (parsed === undefined) throw new errors.NOT_A_CHANNEL()
  const { path, target } = parsed
  if (target === 'invalid') throw new errors.INVALID_ID('A part of this path')
  return { path, target }
}

/** Adds an Upgrade header, except over HTTP/2, which has no upgrade: the reply would be malformed (RFC 9113 section 8.2.2). */
function askForUpgrade (reply: FastifyReply): void {
  if (reply.request.raw.httpVersionMajor >= 2) return
  reply.header('upgrade', 'websocket').header('connection', reply.raw.shouldKeepAlive ? 'upgrade' : 'upgrade, close')
}

/** Removes listeners of @fastify/websocket that hold the request, the reply and the response: half of a connection's memory. */
function letGo (socket: WebSocket, stream: Duplex): void {
  // A stream of injectWS does not close by itself after both sides have ended.
  if (!(stream instanceof Socket)) stream.once('finish', () => socket.terminate())
  socket.removeAllListeners('error')
}

/** Whether the path has an encoded slash. The router decodes the wildcard, and would split one id into two. */
function hasEncodedSlash (url: string): boolean {
  return url.includes('%') && /%2f/i.test(url.split('?', 1)[0])
}

async function addWebSocket (fastify: FastifyInstance, server: RealtimeServer, { router }: Upgrades): Promise<void> {
  const { compression, limits, timeouts } = server.parts.options
  const options = {
    server: router,
    // Connections can share a compressed frame only if they start each message with an empty window.
    perMessageDeflate: compression && { serverNoContextTakeover: true, clientNoContextTakeover: true },
    handleProtocols: chosenProtocol,
    // Each frame of a burst is handled in a turn of the event loop of its own.
    allowSynchronousEvents: false,
    // A frame up to twice the limit is still read: its `ref` says which message to answer with an error.
    maxPayload: limits.frame * 2,
    maxFragments: limits.fragments,
    maxBufferedChunks: limits.chunks,
    closeTimeout: timeouts.close
  }
  await fastify.register(websocket, {
    options,
    errorHandler (error, socket, request) {
      // For the app's own websocket routes: does the same as @fastify/websocket by default.
      report(request.log, error, 'a websocket route of the app failed')
      socket.terminate()
    }
  })
  // Ends handshakes for the app's own routes. A handshake for a channel ends when its connection is counted.
  fastify.websocketServer.on('connection', (_socket, raw) => {
    const handshake = Handshake.of(raw)
    if (handshake?.stage === 'routed') handshake.end()
  })
}
