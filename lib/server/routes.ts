import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { errors } from '../errors.js'
import type { Verdict } from './access.js'
import { parseTarget, type Target } from './channels.js'
import { report } from './caught.js'
import { chosenProtocol } from './credential.js'
import { handshakeFault } from './handshake-headers.js'
import { noteError } from './refused-request.js'
import type { RealtimeServer } from './server.js'

/** An upgrade request on its way to become a connection. */
interface Handshake {
  readonly stream: Duplex
  response?: ServerResponse
  target?: Target
  verdict?: Verdict
  /** Gives back its place among the pending ones. */
  release?: () => void
}

const handshakeOf = Symbol('fastify-realtime handshake')

type RawRequest = object & { [handshakeOf]?: Handshake }

type Params = Record<string, string>

const routes = [
  { path: '/notifications/:user_id', segments: ({ user_id: userId }: Params) => ['notifications', userId] },
  { path: '/:workflow/:app_id/:chat_id/:user_id', segments: (params: Params) => [params.workflow, params.app_id, params.chat_id, params.user_id] },
  // Fastify's router gives up on parameters longer than its maxParamLength, by default 100; ids may have 128.
  { path: '/*', segments: (params: Params) => params['*'].split('/') }
]

/**
 * Adds the two channel routes and, under them, @fastify/websocket. What HTTP can say is said before the upgrade. Who
 * someone is, is found out before it and told after it, because browsers do not show the status of a failed handshake.
 */
export async function addRoutes (fastify: FastifyInstance, server: RealtimeServer): Promise<void> {
  const onUpgrade = (raw: RawRequest, stream: UpgradedStream) => {
    raw[handshakeOf] = { stream }
    // What is ready in this turn, from the answer to the upgrade up to connection_ack, leaves in one write.
    stream.cork()
    setImmediate(() => {
      stream.uncork()
      hangUpAfterAnswer(stream)
    })
  }
  fastify.server.prependListener('upgrade', onUpgrade)
  await addWebSocket(fastify, server)
  // Together with that of @fastify/websocket, whose preClose comes before: an upgrade that finds only ours would hang.
  // One that finds none is an HTTP request to Node, and answered with 503.
  fastify.addHook('preClose', async () => { fastify.server.off('upgrade', onUpgrade) })

  for (const { path, segments } of routes) {
    fastify.route({
      method: 'GET',
      url: server.options.prefix + path,
      exposeHeadRoute: false,
      logSerializers: { req: withoutQuery },
      onRequest: async (request, reply) => {
        const target = hasEncodedSlash(request.url) ? 'invalid' : parseTarget(segments(request.params as Params))
        if (target === undefined && server.options.prefix === '') return reply.callNotFound()
        if (target === undefined) throw new errors.NOT_A_CHANNEL()
        if (target === 'invalid') throw new errors.INVALID_ID('A part of this path')
        const handshake = (request.raw as RawRequest)[handshakeOf]
        if (handshake === undefined) return
        const fault = handshakeFault(request.headers)
        if (fault !== undefined) throw new errors.HANDSHAKE(fault)
        const reason = server.access.forbids(request)
        if (reason !== undefined) throw new errors.FORBIDDEN(reason)
        if (!server.hasRoom(request)) throw new errors.OVERLOADED()
        handshake.target = target
        handshake.response = reply.raw
        handshake.release = server.reserve(handshake.stream)
      },
      onError: async (request, _reply, error) => noteError(server.refusals, request, error),
      preHandler: async request => {
        const handshake = (request.raw as RawRequest)[handshakeOf]
        if (handshake?.target === undefined) return
        handshake.verdict = await server.access.admit(request, handshake.target)
      },
      handler: async (_request, reply) => {
        reply.header('upgrade', 'websocket').header('connection', 'upgrade')
        throw new errors.UPGRADE_REQUIRED()
      },
      wsHandler: (socket, request) => {
        const { stream, response, target, verdict, release } = (request.raw as RawRequest)[handshakeOf]!
        const { identity, refusal } = verdict!
        letGo(socket, stream, response!)
        if (identity === undefined) server.refuse(socket, refusal)
        else server.accept({ socket, stream, request, identity, target: target! })
        release!()
      }
    })
  }
}

/** Where Node keeps the response that is written to a socket at the moment. */
type UpgradedStream = Duplex & { _httpMessage?: ServerResponse | null }

/** Called once the router has the request: where it answers an upgrade with a plain response, nobody else ends the socket. */
function hangUpAfterAnswer (stream: UpgradedStream): void {
  const response = stream._httpMessage
  const hangUp = () => stream.end(() => stream.destroy())
  if (response?.writableFinished === true) hangUp()
  else response?.once('finish', hangUp)
}

/** Half of what a connection would keep in memory: @fastify/websocket's listeners hold the request, the reply and the response. */
function letGo (socket: WebSocket, stream: Duplex, response: ServerResponse): void {
  response.detachSocket(stream as Socket)
  // What injectWS makes does not close by itself once both sides have said so.
  if (!(stream instanceof Socket)) stream.once('finish', () => socket.terminate())
  socket.removeAllListeners('error')
  // What a client did wrong is answered with a Close by `ws`, and every loss ends in 'close'.
  socket.on('error', () => {})
}

/** The router decodes what the wildcard matches: an encoded slash must not make two ids of one. */
function hasEncodedSlash (url: string): boolean {
  return url.includes('%') && /%2f/i.test(url.split('?', 1)[0])
}

/** For the request log of these routes: a query may hold a credential. */
function withoutQuery ({ method, url, host, ip }: FastifyRequest) {
  return { method, url: url.split('?', 1)[0], host, remoteAddress: ip }
}

async function addWebSocket (fastify: FastifyInstance, { options: { compression, limits, timeouts } }: RealtimeServer): Promise<void> {
  const options = {
    // A compressed frame can be shared only among connections that start each message anew.
    perMessageDeflate: compression && { serverNoContextTakeover: true, clientNoContextTakeover: true },
    handleProtocols: chosenProtocol,
    maxPayload: limits.frame,
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
}
