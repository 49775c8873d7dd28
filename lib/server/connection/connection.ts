import { WebSocket } from 'ws'
import { closeCode, type CloseCode } from '../../protocol/close-codes.js'
import type { Log } from '../../logs/log.js'
import type { UnsubscribedReason } from '../../protocol/channels.js'
import type { Message } from '../../protocol/envelope.js'
import { expiry } from '../access/identity.js'
import type { PeerStream } from '../handshake/pending.js'
import type { Identity } from '../hooks.js'
import { Receiver, type ReceiverContext, type ReceiverOwner } from '../inbound/receiver.js'
import type { Attendee, ChannelKind, ChannelPath } from '../kinds.js'
import type { Catalogue } from '../messages/catalogue.js'
import { reasonOfFault, refusalReasons, type RefusalReason } from '../reports/refusal-reasons.js'
import type { RefusedClient, Refusals } from '../reports/refusals.js'
import type { Target } from '../target.js'
import { Cursor } from '../delivery/cursor.js'
import { textFrame } from '../delivery/frame.js'
import { Lifecycle, type LifecycleContext } from './lifecycle.js'
import type { Liveness, Peer } from './liveness.js'
import { listen } from './socket-events.js'
import type { Subscription } from '../delivery/subscription.js'

/** Context that all connections of a server share. */
export interface ConnectionContext extends ReceiverContext, LifecycleContext {
  readonly catalogue: Catalogue
  readonly liveness: Liveness
  readonly refusals: Refusals
  /** Called when a connection ends, at the latest when it is closed. Further calls have no effect. */
  readonly onReleased: (connection: Connection) => void
  /** Called when a subscription of a connection has to end. */
  readonly onUnsubscribed: (connection: Connection, channel: string, reason: UnsubscribedReason) => void
}

export interface ConnectionOptions {
  readonly id: string
  /** Identity at the start; `renew` can replace it. */
  readonly identity: Identity
  readonly path: ChannelPath
  readonly target: Target
  /** Address of the client, as a proxy reports it. Default: the address of the peer. */
  readonly proxiedAddress?: string
  /** Whether the client takes compressed frames. */
  readonly isDeflated: boolean
  /** Called once, when the connection has ended. */
  readonly onClosed: (connection: Connection) => void
}

/** Connection of a user: identity, target, and received messages. */
export class Connection extends Lifecycle implements ReceiverOwner, Peer, Attendee {
  readonly id: string
  readonly userId: string
  readonly target: Target
  readonly #path: ChannelPath
  readonly #context: ConnectionContext
  readonly #onClosed: ConnectionOptions['onClosed']
  /** Position of its pings in the heartbeat. */
  readonly #beat: number
  #identity: Identity
  #isAwaitingPong = false
  #stopExpiry: (() => void) | undefined
  /** Address of the client, once it is known. */
  #address: string | undefined
  /** Created with the first received frame: most connections only listen. */
  #receiver: Receiver | undefined

  /** Pauses the socket until `open`, so that nothing is lost that the client sends meanwhile. */
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

  /** Current identity; `renew` replaces it. */
  get identity (): Identity {
    return this.#identity
  }

  /** Whether a ping is unanswered: nothing was received since. */
  get isAwaitingPong (): boolean {
    return this.#isAwaitingPong
  }

  get channel (): string {
    return this.#path.channelsOf(this.target)[0]
  }

  /** Whether its path has subscribed it to a channel. */
  isOfPath (channel: string): boolean {
    return this.#path.channelsOf(this.target).includes(channel)
  }

  fail (channel: string): void {
    this.#context.onUnsubscribed(this, channel, 'failed')
  }

  override onRemoved (subscription: Subscription): void {
    // Publications from before the removal.
    this.flushAll()
    this.#context.onUnsubscribed(this, subscription.channel, 'removed')
  }

  override onDoubt (subscription: Subscription): void {
    this.#context.onUnsubscribed(this, subscription.channel, 'unavailable')
  }

  /** Types of its messages whose handlers are running. */
  get handling (): string[] {
    return this.#receiver?.handling ?? []
  }

  get isPaused (): boolean {
    return this.socket.isPaused
  }

  protected override get isBusy (): boolean {
    return this.#receiver?.isBusy === true
  }

  /** Starts to read and to write: `connection_ack`, then the frames of the subscriptions. `ack`: its data as JSON. */
  open (ack: string): void {
    this.begin()
    this.#expire()
    // Frames that onConnect sent come after it.
    this.controlFirst('connection_ack', ack)
    // Writing can end the connection.
    if (this.isEnding) return
    if (this.isUserHeld) this.#read()
    if (this.#receiver?.isHeld !== true) this.socket.resume()
  }

  /** Sets a new identity of the same user. */
  renew (identity: Identity): void {
    this.#identity = identity
    this.#expire()
  }

  #expire (): void {
    this.#stopExpiry?.()
    const at = expiry(this.#identity)
    this.#stopExpiry = at === Infinity ? undefined : this.#context.timers.at(at, () => this.turnAway('credential_expired'))
  }

  read (log: Log, kind: ChannelKind, channel: string): Cursor {
    return new Cursor(this, { log, kind, channel })
  }

  send<const T extends string> (message: Message<T>): void {
    this.enqueue(textFrame(this.#context.catalogue.encode(message).json))
  }

  /** Called when too many frames were sent in one turn, or while the client did not read. */
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

  /** Reads and keeps the client's address: a closed socket has none. */
  noteAddress (): void {
    this.#address ??= this.stream.remoteAddress
  }

  /** Description of the client, for the log. */
  get client (): RefusedClient {
    return { userId: this.userId, connectionId: this.id, remoteAddress: this.#address ?? this.stream.remoteAddress }
  }

  setReading (isReading: boolean): boolean {
    if (this.state !== 'open') return false
    if (isReading) this.socket.resume()
    else this.socket.pause()
    return true
  }

  /** Charges bytes that the user requested. */
  charge (bytes: number): void {
    this.#context.userRates.of(this.userId).request(bytes)
  }

  /** Whether reading from the user is paused because the user has sent too much. */
  get isUserHeld (): boolean {
    return this.#context.userRates.known(this.userId)?.isHeld === true
  }

  /** Resolves when the user is not held, or the connection has ended. */
  whenFree (): Promise<void> {
    return this.isEnding ? Promise.resolve() : this.#read().whenFree()
  }

  #read (): Receiver {
    this.#receiver ??= new Receiver(this, this.#context)
    return this.#receiver
  }

  onIdle (): void {
    if (this.isClosingGently) this.mark(1)
  }

  protected override stopHandling (): void {
    this.#receiver?.stop()
  }

  ping (): void {
    this.checkProbes()
    this.#isAwaitingPong = true
    if (this.socket.readyState === WebSocket.OPEN) this.socket.ping()
  }

  protected override probe (payload: string): void {
    this.socket.ping(payload)
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

  onPong (payload: string): void {
    if (this.confirm(payload) || this.#isAwaitingPong) this.#isAwaitingPong = false
    else this.onPing()
  }

  /** Records a violation of the WebSocket protocol. `ws` answers it with a Close. */
  onError (error: Error & { code?: string }): void {
    const reason = reasonOfFault(error)
    if (reason !== undefined) this.refuse(reason)
  }

  protected override release (): void {
    this.#stopExpiry?.()
    this.#context.liveness.remove(this, this.#beat)
    this.#receiver?.end()
    this.#context.onReleased(this)
  }

  protected override onClosed (): void {
    this.#onClosed(this)
  }
}
