import { EventEmitter } from 'node:events'
import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { Handshake, type UpgradedStream } from './handshake.js'
import { forEachServer } from './http-servers.js'
import { cleanUrl, urlPathOf } from './request-log.js'
import type { PendingHandshakes } from './pending.js'
import { filterUpgrades, isWebSocketUpgrade } from './upgrade-filter.js'

/** Counts handshakes in progress. */
export interface Entrance {
  readonly pending: PendingHandshakes
  /** Whether another handshake can begin. */
  hasRoom (): boolean
}

/**
 * Distributes the 'upgrade' events of an app. WebSocket upgrades go to the router. The app handles all others: as an ordinary request,
 * or, if it has other listeners, as an event for these.
 */
export class Upgrades {
  /** Takes the place of the HTTP server for @fastify/websocket, which would handle every upgrade. */
  readonly router = new EventEmitter() as EventEmitter & Server
  readonly #http: Server
  readonly #entrance: Entrance
  /** Prefix of the paths of this package, with slashes at both ends; `undefined` without a prefix. */
  readonly #prefix: string | undefined
  /** Paths of WebSocket routes, including the app's own. */
  readonly #routes: RegExp[] = []
  #isOpen = true

  /** `prefix`: that of the routes of this package; '' for none. */
  constructor (fastify: FastifyInstance, entrance: Entrance, prefix: string) {
    this.#http = fastify.server
    this.#entrance = entrance
    this.#prefix = prefix === '' ? undefined : `${fastify.prefix}${prefix}/`
    this.router.on('upgrade', (raw: IncomingMessage, stream: UpgradedStream) => this.#handshake(raw, stream).route())
    this.#http.prependListener('upgrade', this.#onUpgrade)
    forEachServer(fastify, http => filterUpgrades(http, this.#isUpgrade))
    fastify.addHook('onRoute', ({ url, websocket, wsHandler }) => {
      const isWildcard = this.#prefix !== undefined && url === `${this.#prefix}*`
      if ((websocket === true || wsHandler !== undefined) && !isWildcard) this.#routes.push(matcherOf(url))
    })
    fastify.addHook('onClose', async () => { this.#http.off('upgrade', this.#onUpgrade) })
  }

  /** Treats upgrades as ordinary requests from now on. Fastify answers them with 503. */
  close (): void {
    this.#isOpen = false
  }

  /** Number of the app's own 'upgrade' listeners. */
  get #others (): number {
    return this.#http.listenerCount('upgrade') - 1
  }

  readonly #isUpgrade = (request: IncomingMessage): boolean => this.#others > 0 || (this.#isOpen && isWebSocketUpgrade(request))

  readonly #onUpgrade = (request: IncomingMessage, stream: UpgradedStream, head: Buffer): void => {
    if (this.#prefix !== undefined) cleanUrl(request, this.#prefix)
    const isOwn = this.#prefix !== undefined && request.url!.startsWith(this.#prefix)
    if (!isWebSocketUpgrade(request) || (this.#others > 0 && !isOwn && !this.#isRoute(request.url!))) return this.#leave(stream)
    const { hasRoom } = this.#handshake(request, stream)
    // The routes of this package answer with an error in JSON.
    if (!hasRoom && !isOwn) return refuse(stream, 503)
    const path = urlPathOf(request.url!)
    // Only a WebSocket route needs the query, and @fastify/websocket writes the URL of a plain route to the log.
    if (isOwn && path !== request.url && !this.#isRoute(path)) request.url = path
    // `ws` compares with this value.
    request.headers.upgrade = 'websocket'
    afterResponses(stream, () => {
      if (!this.#isOpen) return refuse(stream, 503)
      if (!stream.writable) return
      // @fastify/websocket adds its own listener.
      stream.off('error', destroy)
      this.router.emit('upgrade', request, stream, head)
    })
  }

  #isRoute (url: string): boolean {
    const path = urlPathOf(url)
    return this.#routes.some(pattern => pattern.test(path))
  }

  /** Returns the handshake of a request, or creates it. The router must answer or upgrade before the deadline. */
  #handshake (raw: IncomingMessage, stream: UpgradedStream): Handshake {
    const begun = Handshake.of(raw)
    if (begun !== undefined) return begun
    const { pending } = this.#entrance
    // A request that waits for earlier responses is not routed yet: it counts for the peer, not for an address that a proxy reports.
    const hasRoom = this.#entrance.hasRoom() && (!isWaiting(stream) || pending.hasRoomFor(stream))
    const place = pending.add(stream, () => {
      if (isRead(stream)) place.end()
      else stream.destroy()
    })
    if (isWaiting(stream)) place.noteAddress()
    return new Handshake(raw, stream, hasRoom, place)
  }

  /** Leaves an upgrade to the other listeners, which run next. Destroys the socket if none of them uses it before the deadline. */
  #leave (stream: UpgradedStream): void {
    if (this.#others === 0) return refuse(stream, 400)
    guard(stream)
    let written = Infinity
    afterResponses(stream, () => { written = stream.bytesWritten! })
    const isTaken = () => isRead(stream) || stream.destroyed || stream.writableEnded || stream.bytesWritten! > written
    const place = this.#entrance.pending.add(stream, () => {
      if (isTaken()) place.end()
      else stream.destroy()
    })
    setImmediate(() => {
      if (isTaken()) place.end()
      else place.noteAddress()
    })
  }
}

/** Whether responses to earlier requests on the socket are still being written. */
function isWaiting ({ _httpMessage: response }: UpgradedStream): boolean {
  return response !== undefined && response !== null
}

/** Calls `next` when responses to earlier requests on the socket are written. Node assigns each when the previous one has finished. */
function afterResponses (stream: UpgradedStream, next: () => void): void {
  const response = stream._httpMessage
  if (response === undefined || response === null) return next()
  guard(stream)
  response.once('finish', () => afterResponses(stream, next))
}

/** Adds an 'error' listener. Node has removed its own, and an error without a listener would end the process. */
function guard (stream: UpgradedStream): void {
  if (!stream.listeners('error').includes(destroy)) stream.on('error', destroy)
}

/** Whether something reads the data that the client sends. */
function isRead (stream: UpgradedStream): boolean {
  return stream.readableFlowing !== null || stream.listenerCount('data') + stream.listenerCount('readable') > 0
}

function refuse (stream: UpgradedStream, status: number): void {
  guard(stream)
  if (!stream.writable) return
  stream.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => stream.destroy())
}

function destroy (this: UpgradedStream): void {
  this.destroy()
}

/** Pattern that matches every path that the router can match with the URL of a route, and few others. */
function matcherOf (url: string): RegExp {
  const parts = url.split('/').map(part => part.includes(':') ? '[^/]*' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*'))
  return new RegExp(`^${parts.join('/')}/?$`, 'i')
}
