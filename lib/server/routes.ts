import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, RegisterOptions } from 'fastify'
import type { WebSocket } from 'ws'
import { errors } from '../errors.js'
import { report } from './caught.js'
import { parseTarget, type Target } from './channels.js'
import { chosenProtocol } from './credential.js'
import { handshakeFault } from './handshake-headers.js'
import { Handshake } from './handshake.js'
import { forEachServer } from './http-servers.js'
import { proxiedAddressOf } from './refused-request.js'
import { cleanUrl, hidingQueries } from './request-log.js'
import type { RealtimeServer } from './server.js'
import { Upgrades } from './upgrades.js'

type Params = Record<string, string>

interface Route {
  readonly path: string
  readonly segments: (params: Params) => string[]
}

const channels: Route[] = [
  { path: '/notifications/:user_id', segments: ({ user_id: userId }) => ['notifications', userId] },
  { path: '/:workflow/:app_id/:chat_id/:user_id', segments: params => [params.workflow, params.app_id, params.chat_id, params.user_id] }
]

/** For ids that are longer than Fastify's `maxParamLength`, by default 100, and for what is no channel. */
const wildcard: Route = { path: '/*', segments: params => params['*'].split('/') }

/** What Fastify reads from the options of any plugin, for the routes of this one. */
export type LogOptions = Pick<RegisterOptions, 'logLevel' | 'logSerializers'>

/**
 * Adds the two channel routes and, under them, @fastify/websocket. What HTTP can say is said before the upgrade. Identity
 * is decided before it and reported after it, because browsers do not show the status of a failed handshake.
 */
export async function addRoutes (fastify: FastifyInstance, server: RealtimeServer, options: LogOptions): Promise<void> {
  const { prefix } = server.options
  const upgrades = new Upgrades(fastify, server)
  await addWebSocket(fastify, server, upgrades)
  // Together with that of @fastify/websocket, whose preClose comes before.
  fastify.addHook('preClose', async () => upgrades.close())
  // Before the hooks of the app, which may take their time.
  fastify.addHook('onRequest', (request, _reply, done) => {
    const handshake = Handshake.of(request.raw)
    if (handshake === undefined || handshake.comesFrom(proxiedAddressOf(request))) done()
    else done(new errors.OVERLOADED())
  })
  await fastify.register(async scope => {
    scope.setChildLoggerFactory(hidingQueries(() => fastify.childLoggerFactory))
    scope.addHook('onError', async (request, _reply, error) => server.noteError(request, error))
    // Without a prefix everything else is the app's.
    if (prefix !== '') scope.setNotFoundHandler(async () => { throw new errors.NOT_A_CHANNEL() })
    for (const route of prefix === '' ? channels : [...channels, wildcard]) addRoute(scope, server, route)
  }, { prefix, logLevel: options.logLevel, logSerializers: options.logSerializers })
  if (prefix !== '') hideQueriesUnder(fastify, fastify.prefix + prefix)
}

/** For what the routes of this package do not see: URLs that the router refuses, and the app's own routes. */
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
    // From the OpenAPI document of @fastify/swagger: it has no word for WebSockets.
    schema: { hide: true } as object,
    onRequest: async (request, reply) => {
      const target = targetOf(request.url, segments(request.params as Params))
      const handshake = Handshake.of(request.raw)
      if (handshake === undefined) return
      const fault = handshakeFault(request.headers)
      if (fault !== undefined) throw new errors.HANDSHAKE(fault)
      const reason = server.access.forbids(request)
      if (reason !== undefined) throw new errors.FORBIDDEN(reason)
      if (!handshake.hasRoom) throw new errors.OVERLOADED()
      handshake.ask(target, reply.raw)
    },
    preHandler: async request => {
      const handshake = Handshake.of(request.raw)
      if (handshake?.target !== undefined) handshake.decide(await server.access.admit(request, handshake.target))
    },
    handler: async (_request, reply) => {
      askForUpgrade(reply)
      throw new errors.UPGRADE_REQUIRED()
    },
    wsHandler: (socket, request) => {
      const handshake = Handshake.of(request.raw)!
      const { stream, target, verdict: { identity, refusal } } = handshake.take()
      letGo(socket, stream)
      if (identity === undefined) server.refuse(socket, refusal)
      else server.accept({ socket, stream, request, identity, target })
      handshake.end()
    }
  })
}

/** The channel of a path. Throws RT_ERR_NOT_A_CHANNEL or RT_ERR_INVALID_ID. */
function targetOf (url: string, segments: string[]): Target {
  const target = hasEncodedSlash(url) ? 'invalid' : parseTarget(segments)
  if (target === undefined) throw new errors.NOT_A_CHANNEL()
  if (target === 'invalid') throw new errors.INVALID_ID('A part of this path')
  return target
}

/** HTTP/2 has no upgrade, and a reply with such a header would be malformed (RFC 9113 section 8.2.2). */
function askForUpgrade (reply: FastifyReply): void {
  if (reply.request.raw.httpVersionMajor >= 2) return
  reply.header('upgrade', 'websocket').header('connection', reply.raw.shouldKeepAlive ? 'upgrade' : 'upgrade, close')
}

/** Half of what a connection would keep in memory: @fastify/websocket's listeners hold the request, the reply and the response. */
function letGo (socket: WebSocket, stream: Duplex): void {
  // What injectWS makes does not close by itself once both sides have said so.
  if (!(stream instanceof Socket)) stream.once('finish', () => socket.terminate())
  socket.removeAllListeners('error')
}

/** The router decodes what the wildcard matches: an encoded slash must not make two ids of one. */
function hasEncodedSlash (url: string): boolean {
  return url.includes('%') && /%2f/i.test(url.split('?', 1)[0])
}

async function addWebSocket (fastify: FastifyInstance, server: RealtimeServer, { router }: Upgrades): Promise<void> {
  const { compression, limits, timeouts } = server.options
  const options = {
    server: router,
    // A compressed frame can be shared only among connections that start each message anew.
    perMessageDeflate: compression && { serverNoContextTakeover: true, clientNoContextTakeover: true },
    handleProtocols: chosenProtocol,
    // The frames of a burst do not share a turn of the event loop.
    allowSynchronousEvents: false,
    // A frame that is somewhat too big is read all the same: its `ref` says which message to answer with an error.
    maxPayload: limits.frame * 2,
    maxFragments: limits.fragments,
    maxBufferedChunks: limits.chunks,
    closeTimeout: timeouts.close
  }
  await fastify.register(websocket, {
    options,
    errorHandler (error, socket, request) {
      // For the app's own websocket routes: what @fastify/websocket does by itself.
      report(request.log, error, 'a websocket route of the app failed')
      socket.terminate()
    }
  })
  // The app's own. A channel's handshake is over when its connection is counted.
  fastify.websocketServer.on('connection', (_socket, raw) => {
    const handshake = Handshake.of(raw)
    if (handshake?.stage === 'routed') handshake.end()
  })
}
