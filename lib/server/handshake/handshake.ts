import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Verdict } from '../access/access.js'
import type { ChannelPath } from '../kinds.js'
import type { Target } from '../target.js'
import type { PeerStream, PendingHandshake } from './pending.js'

/** Socket of an 'upgrade' event. Node's HTTP server no longer listens to it, and keeps the response that is being written to it here. */
export type UpgradedStream = PeerStream & { _httpMessage?: ServerResponse | null, bytesWritten?: number }

/** Request of a handshake: a path and its target. */
export interface Asked {
  readonly path: ChannelPath
  readonly target: Target
}

/** Progress of a handshake. */
type Stage =
  /** Responses to earlier requests on the same socket are still being written. */
  | { readonly name: 'waiting' }
  /** The router handles it. */
  | { readonly name: 'routed' }
  /** Its path is that of a channel, and the app decides on it. */
  | { readonly name: 'asking', readonly asked: Asked, readonly response: ServerResponse }
  /** The app has decided. */
  | { readonly name: 'decided', readonly asked: Asked, readonly response: ServerResponse, readonly verdict: Verdict }
  /** It became a WebSocket, was refused, or its socket is closed. */
  | { readonly name: 'over' }

/** Result of a handshake for a channel, once the WebSocket exists. */
export interface DecidedHandshake extends Asked {
  readonly stream: UpgradedStream
  readonly verdict: Verdict
}

const handshakeOf = Symbol('fastify-realtime handshake')

type RawRequest = object & { [handshakeOf]?: Handshake }

const waiting: Stage = { name: 'waiting' }
const routed: Stage = { name: 'routed' }
const over: Stage = { name: 'over' }

/** An upgrade request, until it is a WebSocket or refused. */
export class Handshake {
  readonly stream: UpgradedStream
  /** Whether it was within the limits when it arrived. */
  readonly hasRoom: boolean
  readonly #pending: PendingHandshake
  #stage: Stage = waiting

  /** `pending`: its entry among the handshakes in progress. */
  constructor (raw: RawRequest, stream: UpgradedStream, hasRoom: boolean, pending: PendingHandshake) {
    this.stream = stream
    this.hasRoom = hasRoom
    this.#pending = pending
    raw[handshakeOf] = this
  }

  /** Handshake of a request; `undefined` if the router got no upgrade with it. */
  static of (raw: RawRequest): Handshake | undefined {
    return raw[handshakeOf]
  }

  get stage (): Stage['name'] {
    return this.#stage.name
  }

  /** Call when earlier responses are written. Sends everything that is ready in this turn, from the 101 to connection_ack, in one write. */
  route (): void {
    if (this.#stage.name !== 'waiting') return
    this.#stage = routed
    this.stream.cork()
    setImmediate(() => {
      this.stream.uncork()
      this.#hangUpAfterAnswer()
      // While the app decides, the client may close its socket. Its address is still needed, for the log and the limits.
      if (this.#stage.name !== 'over') this.#pending.noteAddress()
    })
  }

  /** Ends the socket after the router has answered an upgrade with a plain response: nothing else ends it. */
  #hangUpAfterAnswer (): void {
    const { stream } = this
    const response = stream._httpMessage
    const hangUp = () => {
      if (stream instanceof Socket) return stream.end(() => stream.destroy())
      // After a response, the stream of injectWS stays corked and would never end. The response is read in this turn.
      this.end()
      return setImmediate(() => stream.destroy())
    }
    if (response?.writableFinished === true) hangUp()
    else response?.once('finish', hangUp)
  }

  /** Counts it for the address that a trusted proxy reports (`trustProxy`). Returns `false` if that address has too many. */
  comesFrom (proxied: string | undefined): boolean {
    return this.#pending.comesFrom(proxied)
  }

  ask (asked: Asked, response: ServerResponse): void {
    if (this.#stage.name === 'routed') this.#stage = { name: 'asking', asked, response }
  }

  /** Target that the app has to decide on; `undefined` at any other stage. */
  get target (): Target | undefined {
    return this.#stage.name === 'asking' ? this.#stage.asked.target : undefined
  }

  decide (verdict: Verdict): void {
    if (this.#stage.name !== 'asking') return
    const { asked, response } = this.#stage
    this.#stage = { name: 'decided', asked, response, verdict }
  }

  /** Takes the stream from the HTTP response. The caller calls `end` when it has created or refused the connection. */
  take (): DecidedHandshake {
    const { stream } = this
    if (this.#stage.name !== 'decided') throw new Error(`a handshake that is ${this.#stage.name} cannot be taken`)
    const { asked: { path, target }, verdict, response } = this.#stage
    response.detachSocket(stream as Socket)
    return { stream, path, target, verdict }
  }

  /** Removes it from the pending handshakes. */
  end (): void {
    if (this.#stage.name === 'over') return
    this.#stage = over
    this.#pending.end()
  }
}
