import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Verdict } from '../access/access.js'
import type { ChannelPath } from '../kinds.js'
import type { Target } from '../target.js'
import type { PeerStream, PendingHandshake } from './pending.js'

/** A socket of an 'upgrade' event. Node's HTTP server no longer listens to it, and keeps the response that is being written to it here. */
export type UpgradedStream = PeerStream & { _httpMessage?: ServerResponse | null, bytesWritten?: number }

/** What a handshake asks for: a path, and what it says. */
export interface Asked {
  readonly path: ChannelPath
  readonly target: Target
}

/** How far a handshake has come. */
type Stage =
  /** Responses to earlier requests on the same socket are still being written. */
  | { readonly name: 'waiting' }
  /** The router has it. */
  | { readonly name: 'routed' }
  /** Its path is that of a channel. */
  | { readonly name: 'asking', readonly asked: Asked, readonly response: ServerResponse }
  /** The app has decided on it. */
  | { readonly name: 'decided', readonly asked: Asked, readonly response: ServerResponse, readonly verdict: Verdict }
  /** It is a WebSocket, or has been refused, or its socket is closed. */
  | { readonly name: 'over' }

/** What a handshake for a channel has found out when the WebSocket is there. */
export interface DecidedHandshake extends Asked {
  readonly stream: UpgradedStream
  readonly verdict: Verdict
}

const handshakeOf = Symbol('fastify-realtime handshake')

type RawRequest = object & { [handshakeOf]?: Handshake }

const waiting: Stage = { name: 'waiting' }
const routed: Stage = { name: 'routed' }
const over: Stage = { name: 'over' }

/** An upgrade request on its way to become a WebSocket. */
export class Handshake {
  readonly stream: UpgradedStream
  /** It was within the limits when it came. */
  readonly hasRoom: boolean
  readonly #pending: PendingHandshake
  #stage: Stage = waiting

  /** `pending` is its place among those in progress. */
  constructor (raw: RawRequest, stream: UpgradedStream, hasRoom: boolean, pending: PendingHandshake) {
    this.stream = stream
    this.hasRoom = hasRoom
    this.#pending = pending
    raw[handshakeOf] = this
  }

  /** The handshake of a request, if it is an upgrade that the router got. */
  static of (raw: RawRequest): Handshake | undefined {
    return raw[handshakeOf]
  }

  get stage (): Stage['name'] {
    return this.#stage.name
  }

  /** Once earlier responses are written. What is ready in this turn, from the 101 up to connection_ack, leaves in one write. */
  route (): void {
    if (this.#stage.name !== 'waiting') return
    this.#stage = routed
    this.stream.cork()
    setImmediate(() => {
      this.stream.uncork()
      this.#hangUpAfterAnswer()
      // One that takes its time can be closed by the client before it is refused, or has to be counted.
      if (this.#stage.name !== 'over') this.#pending.noteAddress()
    })
  }

  /** Where the router answers an upgrade with a plain response, nobody else ends the socket. */
  #hangUpAfterAnswer (): void {
    const { stream } = this
    const response = stream._httpMessage
    const hangUp = () => {
      if (stream instanceof Socket) return stream.end(() => stream.destroy())
      // The end of a response leaves what injectWS makes corked for ever: its own end would not come. The answer is read in this turn.
      this.end()
      return setImmediate(() => stream.destroy())
    }
    if (response?.writableFinished === true) hangUp()
    else response?.once('finish', hangUp)
  }

  /** Counts it for the address that a proxy has named, if the app's `trustProxy` says that one has. `false` when that has too many. */
  comesFrom (proxied: string | undefined): boolean {
    return this.#pending.comesFrom(proxied)
  }

  ask (asked: Asked, response: ServerResponse): void {
    if (this.#stage.name === 'routed') this.#stage = { name: 'asking', asked, response }
  }

  /** What the app is asked about; `undefined` where the path is not that of a channel. */
  get target (): Target | undefined {
    return this.#stage.name === 'asking' ? this.#stage.asked.target : undefined
  }

  decide (verdict: Verdict): void {
    if (this.#stage.name !== 'asking') return
    this.#stage = { ...this.#stage, name: 'decided', verdict }
  }

  /** Takes the stream over from the HTTP response. The caller calls `end` when it has a connection, or none. */
  take (): DecidedHandshake {
    const { stream } = this
    if (this.#stage.name !== 'decided') throw new Error(`a handshake that is ${this.#stage.name} cannot be taken`)
    const { asked, verdict, response } = this.#stage
    response.detachSocket(stream as Socket)
    return { stream, ...asked, verdict }
  }

  /** Gives the place among the pending handshakes back. */
  end (): void {
    if (this.#stage.name === 'over') return
    this.#stage = over
    this.#pending.end()
  }
}
