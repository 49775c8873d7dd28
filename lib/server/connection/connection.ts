import { WebSocket } from 'ws'
import { closeCode, type CloseCode } from '../../protocol/close-codes.js'
import type { Message } from '../../protocol/envelope.js'
import { expiry } from '../access/identity.js'
import type { PeerStream } from '../handshake/pending.js'
import type { Identity } from '../hooks.js'
import { Receiver, type ReceiverContext, type ReceiverOwner } from '../inbound/receiver.js'
import type { ChannelKind, ChannelPath } from '../kinds.js'
import type { Catalogue } from '../messages/catalogue.js'
import { reasonOfFault, refusalReasons, type RefusalReason } from '../reports/refusal-reasons.js'
import type { RefusedClient, Refusals } from '../reports/refusals.js'
import type { Target } from '../target.js'
import { textFrame } from './frame.js'
import { Lifecycle, type LifecycleContext } from './lifecycle.js'
import type { Liveness, Peer } from './liveness.js'
import { listen } from './socket-events.js'

/** What all connections of a server share. */
export interface ConnectionContext extends ReceiverContext, LifecycleContext {
  readonly catalogue: Catalogue
  readonly liveness: Liveness
  readonly refusals: Refusals
}

export interface ConnectionOptions {
  readonly id: string
  /** At the start; `renew` can replace it. */
  readonly identity: Identity
  readonly path: ChannelPath
  readonly target: Target
  /** Where the client is, as a proxy has named it; default: the address of the peer. */
  readonly proxiedAddress?: string
  /** The client takes compressed frames. */
  readonly isDeflated: boolean
  /** Called once, when the connection has ended. */
  readonly onClosed: (connection: Connection) => void
}

/** Connection of a user: identity, target, and received messages. */
export class Connection extends Lifecycle implements ReceiverOwner, Peer {
  readonly id: string
  readonly userId: string
  readonly target: Target
  readonly #path: ChannelPath
  readonly #context: ConnectionContext
  readonly #onClosed: ConnectionOptions['onClosed']
  /** Where in the heartbeat it is pinged. */
  readonly #beat: number
  #identity: Identity
  #isAwaitingPong = false
  #stopExpiry: (() => void) | undefined
  /** Where the client is, once that is known. */
  #address: string | undefined
  /** Made with the first thing received: most connections only listen. */
  #receiver: Receiver | undefined

  /** The socket is paused until `open`, so nothing that the client sends meanwhile is lost. */
  constructor (socket: WebSocket, stream: PeerStream, context: ConnectionContext, options: ConnectionOptions) {
    super(socket, stream, context, options.isDeflated)
    const { id, identity, path, target, proxiedAddress, onClosed } = options
    this.id = id
    this.userId = identity.userId
    this.target = target
    this.#path = path
    this.#context = context
    this.#onClosed = onClosed
    this.#identity = identity
    this.#address = proxiedAddress
    socket.pause()
    listen(socket, this)
    this.#beat = context.liveness.add(this)
  }

  /** Of the moment: `renew` replaces it. */
  get identity (): Identity {
    return this.#identity
  }

  /** A ping is unanswered: nothing was received since. */
  get isAwaitingPong (): boolean {
    return this.#isAwaitingPong
  }

  get channel (): string {
    return this.#path.channelsOf(this.target)[0]
  }

  get kind (): ChannelKind {
    return this.#path.kinds[0]
  }

  /** The types of its messages whose handlers run. */
  get handling (): string[] {
    return this.#receiver?.handling ?? []
  }

  get isPaused (): boolean {
    return this.socket.isPaused
  }

  protected override get isBusy (): boolean {
    return this.#receiver?.isBusy === true
  }

  /** Begins to read and to write: `connection_ack`, then what the subscriptions have. */
  open (ack: object): void {
    this.begin()
    this.#expire()
    // What onConnect sent comes after it.
    this.controlFirst('connection_ack', { data: ack })
    // Writing can end the connection.
    if (this.isEnding) return
    if (this.isUserHeld) this.#read()
    if (this.#receiver?.isHeld !== true) this.socket.resume()
  }

  /** Gives it a new identity of the same user. */
  renew (identity: Identity): void {
    this.#identity = identity
    this.#expire()
  }

  #expire (): void {
    this.#stopExpiry?.()
    const at = expiry(this.#identity)
    this.#stopExpiry = at === Infinity ? undefined : this.#context.timers.at(at, () => this.turnAway('credential_expired'))
  }

  send<const T extends string> (message: Message<T>): void {
    this.enqueue(textFrame(this.#context.catalogue.encode(message).json))
  }

  /** More than may wait was sent in one turn, or while the client did not read. */
  protected override onFull (): void {
    if (this.state === 'opening') return this.expel('connect_overflow')
    this.flushAll()
    if (this.isFull) this.onStalled()
  }

  protected override onBlocked (): void {
    this.#context.liveness.blocked(this)
  }

  protected override onDrained (): void {
    this.#context.liveness.drained(this)
  }

  protected override refuse (reason: RefusalReason, detail?: string, error?: () => Error): CloseCode {
    if (!this.isEnding) this.#context.refusals.add(reason, this.client, detail, error)
    return closeCode(Number(refusalReasons[reason].code))!
  }

  /** Reads the client's address and keeps it: a socket that is closed no longer has one. */
  noteAddress (): void {
    this.#address ??= this.stream.remoteAddress
  }

  /** The client, as the log names it. */
  get client (): RefusedClient {
    return { userId: this.userId, connectionId: this.id, remoteAddress: this.#address ?? this.stream.remoteAddress }
  }

  setReading (isReading: boolean): boolean {
    if (this.state !== 'open') return false
    if (isReading) this.socket.resume()
    else this.socket.pause()
    return true
  }

  /** Counts bytes that the user asked for. */
  charge (bytes: number): void {
    this.#context.userRates.of(this.userId).request(bytes)
  }

  /** Its user has sent too much: nothing is read from the user for a while. */
  get isUserHeld (): boolean {
    return this.#context.userRates.known(this.userId)?.isHeld === true
  }

  /** Resolves once its user is not held, or the connection has ended. */
  whenFree (): Promise<void> {
    return this.isEnding ? Promise.resolve() : this.#read().whenFree()
  }

  #read (): Receiver {
    this.#receiver ??= new Receiver(this, this.#context)
    return this.#receiver
  }

  onIdle (): void {
    if (this.isClosingGently) this.wake(1)
  }

  protected override stopHandling (): void {
    this.#receiver?.stop()
  }

  ping (): void {
    this.#isAwaitingPong = true
    if (this.socket.readyState === WebSocket.OPEN) this.socket.ping()
  }

  onDead (): void {
    this.terminate()
  }

  onStalled (): void {
    this.#context.counters.stalls++
    this.turnAway('stalled')
  }

  onMessage (data: Buffer, isBinary: boolean): void {
    this.#isAwaitingPong = false
    if (this.state !== 'open' || this.isClosingGently) return
    if (isBinary) return this.expel('binary')
    this.#read().receive(data)
  }

  onPing (): void {
    this.#isAwaitingPong = false
    if (this.state === 'open') this.#read().receiveControl()
  }

  onPong (): void {
    if (!this.#isAwaitingPong) return this.onPing()
    this.#isAwaitingPong = false
  }

  /** `ws` answers a violation of the WebSocket protocol with a Close. */
  onError (error: Error & { code?: string }): void {
    const reason = reasonOfFault(error)
    if (reason !== undefined) this.refuse(reason)
  }

  protected override release (): void {
    this.#stopExpiry?.()
    this.#context.liveness.remove(this, this.#beat)
    this.#receiver?.end()
  }

  protected override onClosed (): void {
    this.#onClosed(this)
  }
}
