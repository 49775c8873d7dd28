import { WebSocket } from 'ws'
import type { Frame, Log } from '../brokers/log.js'
import { errors } from '../errors.js'
import { closeCode, closeCodes, isSendable, type CloseCode } from '../protocol/close-codes.js'
import type { Message } from '../protocol/envelope.js'
import type { Catalogue } from './catalogue.js'
import { channelsOf, type Target } from './channels.js'
import { dismiss } from './dismiss.js'
import type { Flusher, Lane, Writer } from './flush.js'
import { textFrame } from './frame.js'
import type { Closed, Identity } from './hooks.js'
import type { Liveness, Peer } from './liveness.js'
import type { PeerStream } from './pending.js'
import { Receiver, type ReceiverContext, type ReceiverOwner } from './receiver.js'
import { reasonOfFault, refusalReasons, type RefusalReason } from './refusal-reasons.js'
import type { RefusedClient, Refusals } from './refusals.js'
import type { Subscriber, Subscription } from './subscription.js'
import { timestamp } from './timestamp.js'

/** Counted since the server started. */
export interface Counters {
  /** Publications written to connections. */
  deliveries: number
  /** Writes to sockets; with bursts fewer than deliveries. */
  writes: number
  /** Times a connection had to be told that it missed publications. */
  resyncs: number
  /** Connections closed because they did not read. */
  stalls: number
  /** Times that the sockets of a user were not read for a while, because the user had sent too much. */
  holds: number
}

/** What all connections of a server share. */
export interface ConnectionContext extends ReceiverContext {
  readonly catalogue: Catalogue
  readonly flusher: Flusher
  readonly liveness: Liveness
  readonly counters: Counters
  readonly refusals: Refusals
  /** Bytes that may wait for one connection outside of the logs. */
  readonly maxOutbox: number
}

export interface ConnectionOptions {
  id: string
  identity: Identity
  target: Target
  /** Where the client is, as a proxy has named it; default: the address of the peer. */
  proxiedAddress?: string
  /** The client takes compressed frames. */
  isDeflated: boolean
  /** Whether somebody may read a publication, where that depends on who it is. */
  sees?: (message: Message, identity: Identity) => boolean
  /** Called once, when the connection has ended. */
  onClosed: (connection: Connection) => void
}

/** Strings are put together up to this size: what Node writes from its stack without allocating. */
const chunkSize = 16 * 1024

/** A connection that is far behind writes so many bytes, then lets others have their turn. */
const turnSize = 256 * 1024

/** Bytes of a reason in a Close frame (RFC 6455 section 5.5). */
const maxReason = 123

/** Shared by all connections with an empty outbox, to save memory; never modified. */
const noFrames: never[] = []

const owner = Symbol('fastify-realtime connection')

function connectionOf (socket: WebSocket & { [owner]?: Connection }): Connection {
  return socket[owner]!
}

interface ControlParts {
  ref?: string | number
  data?: object
}

function controlFrame (type: string, { ref, data }: ControlParts): Frame {
  return textFrame(JSON.stringify({ type, ref, data, timestamp: timestamp() }))
}

/**
 * One socket. What it is sent is read from the logs when it can be written, so nothing queues here but the few frames
 * that are for this connection alone. Data frames are written to the stream under the WebSocket: each write holds whole
 * frames, so the pings, pongs and the Close that `ws` writes to the same stream fall between them.
 */
export class Connection implements ReceiverOwner, Subscriber, Writer, Peer {
  readonly id: string
  identity: Identity
  readonly userId: string
  readonly isDeflated: boolean
  readonly sees: Subscriber['sees']
  readonly target: Target
  state: 'opening' | 'open' | 'closing' | 'closed' = 'opening'
  lane: Lane = 'none'
  beat = 0
  isAwaitingPong = false
  /** Its onConnect succeeded, so it is owed an onDisconnect. */
  isGreeted = false
  /** Set once it is being closed. */
  closed: Closed | undefined
  /** Called when it ends. */
  onEnd: (() => void) | undefined

  /** Where the client is, once that is known. */
  #address: string | undefined
  readonly #socket: WebSocket
  readonly #stream: PeerStream
  readonly #context: ConnectionContext
  readonly #onClosed: ConnectionOptions['onClosed']
  #subscriptions: Subscription[] = []
  #outbox: Frame[] = noFrames
  #outboxSize = 0
  #isBlocked = false
  /** Made with the first thing received: most connections only listen. */
  #receiver: Receiver | undefined
  /** How it is to be closed once everything due has been written. */
  #pendingClose: Closed | undefined

  // Shared by all sockets, because a closure per event and connection adds up.
  static #message (this: WebSocket, data: Buffer, isBinary: boolean): void { connectionOf(this).#onMessage(data, isBinary) }
  static #ping (this: WebSocket): void { connectionOf(this).#onPing() }
  static #pong (this: WebSocket): void { connectionOf(this).#onPong() }
  static #error (this: WebSocket, error: Error): void { connectionOf(this).#onError(error) }
  static #close (this: WebSocket, code: number, reason: Buffer): void { connectionOf(this).#onClose(code, reason.toString()) }

  /** The socket is paused until `open`, so nothing that the client sends meanwhile is lost. */
  constructor (socket: WebSocket, stream: PeerStream, context: ConnectionContext, options: ConnectionOptions) {
    const { id, identity, target, proxiedAddress, isDeflated, sees, onClosed } = options
    this.id = id
    this.identity = identity
    this.userId = identity.userId
    this.isDeflated = isDeflated
    // The identity of the moment: `renew` may have replaced it.
    this.sees = sees && (message => sees(message, this.identity))
    this.target = target
    this.#address = proxiedAddress
    this.#socket = socket
    this.#stream = stream
    this.#context = context
    this.#onClosed = onClosed
    socket.pause()
    const owned: WebSocket & { [owner]?: Connection } = socket
    owned[owner] = this
    socket.on('message', Connection.#message)
    socket.on('ping', Connection.#ping)
    socket.on('pong', Connection.#pong)
    socket.on('error', Connection.#error)
    socket.on('close', Connection.#close)
    context.liveness.add(this)
  }

  get channel (): string {
    return channelsOf(this.target)[0]
  }

  /** What it reads. */
  get logs (): Log[] {
    return this.#subscriptions.map(({ log }) => log)
  }

  /** The types of its messages whose handlers run. */
  get handling (): string[] {
    return this.#receiver?.handling ?? []
  }

  get isPaused (): boolean {
    return this.#socket.isPaused
  }

  /** Its cursors: they hold their places from now on, and are read once it is open. */
  subscribed (subscriptions: Subscription[]): void {
    this.#subscriptions = subscriptions
  }

  /** Begins to read and to write: `connection_ack`, then what the subscriptions have. */
  open (ack: object): void {
    this.state = 'open'
    // What onConnect sent comes after it.
    const frame = controlFrame('connection_ack', { data: ack })
    this.#outbox = [frame, ...this.#outbox]
    this.#outboxSize += frame.length
    if (this.flush()) this.wake(1)
    // Writing can end the connection.
    if (this.isEnding) return
    if (this.isUserHeld) this.#read()
    if (this.#receiver?.isHeld !== true) this.#socket.resume()
  }

  send<const T extends string> (message: Message<T>): void {
    this.#enqueue(textFrame(this.#context.catalogue.encode(message).json))
  }

  /** Sends a connection-level frame. */
  control (type: string, { ref, data }: ControlParts = {}): void {
    this.#enqueue(controlFrame(type, { ref, data }))
  }

  #enqueue (frame: Frame): void {
    if (this.state !== 'open' && this.state !== 'opening') return
    if (this.#outbox.length === 0) this.#outbox = [frame]
    else this.#outbox.push(frame)
    this.#outboxSize += frame.length
    if (this.#outboxSize > this.#context.maxOutbox) this.#makeRoom()
    else this.wake(1)
  }

  /** More than may wait was sent in one turn, or while the client did not read. */
  #makeRoom (): void {
    if (this.state === 'opening') return this.expel('connect_overflow')
    this.#flushAll()
    if (this.#outboxSize > this.#context.maxOutbox) this.onStalled()
  }

  wake (audience: number): void {
    if (this.state === 'open' && !this.#isBlocked) this.#context.flusher.mark(this, audience)
  }

  /** Writes what is due, as far as the socket takes it. `true` when more is left that it would take. */
  flush (): boolean {
    let room = turnSize
    while (this.#canWrite()) {
      if (room <= 0) return true
      const chunk = this.#gather()
      if (chunk.length === 0) break
      room -= chunk.length
      this.#write(chunk)
    }
    if (this.#pendingClose !== undefined) this.#closeOnceDone(this.#pendingClose)
    return false
  }

  /** As far as the socket takes it, however long that is. */
  #flushAll (): void {
    while (this.flush());
  }

  #isOpen (): boolean {
    return this.state === 'open' && this.#socket.readyState === WebSocket.OPEN
  }

  #canWrite (): boolean {
    return this.#isOpen() && !this.#isBlocked && this.#stream.writable
  }

  /** What comes next, at most `chunkSize` bytes or one large frame. */
  #gather (): Frame {
    let text = ''
    while (this.#outbox.length > 0 && text.length < chunkSize) {
      const frame = this.#outbox[0]
      if (typeof frame !== 'string' && text !== '') return text
      this.#outbox.shift()
      this.#outboxSize -= frame.length
      // An array keeps the room that it once needed.
      if (this.#outbox.length === 0) this.#outbox = noFrames
      if (typeof frame !== 'string') return frame
      text += frame
    }
    for (const subscription of this.#subscriptions) {
      if (subscription.isLost()) text += this.#resync(subscription)
      const before = subscription.offset
      const chunk = subscription.read(chunkSize - text.length, text !== '')
      this.#context.counters.deliveries += subscription.offset - before
      if (typeof chunk !== 'string') return chunk
      text = text === '' ? chunk : text + chunk
      if (text.length >= chunkSize) break
    }
    return text
  }

  /** The log no longer has what comes next: never a part of it, but word of it, and then what is new. */
  #resync (subscription: Subscription): Frame {
    subscription.skipToHead()
    this.#context.counters.resyncs++
    return controlFrame('resync', { data: { position: subscription.position } })
  }

  #write (chunk: Frame): void {
    this.#context.counters.writes++
    // Without a callback, which would cost an object and a tick each time.
    this.#stream.write(chunk, 'latin1')
    // The first one leaves in one write with the answer to the handshake.
    if (this.#stream.writableCorked > 0) this.#stream.uncork()
    if (this.#stream.writableLength > 0) this.#block()
  }

  /** Nothing more is written until the kernel has taken what it did not take at once. */
  #block (): void {
    this.#isBlocked = true
    this.#context.liveness.blocked(this)
    // An empty write is called back once all before it is done; 'drain' only comes when much was waiting.
    this.#stream.write('', () => {
      this.#isBlocked = false
      this.#context.liveness.drained(this)
      this.wake(1)
    })
  }

  close (code: number = closeCodes.FORBIDDEN.code, reason = ''): void {
    if (!isSendable(code)) throw new errors.UNKNOWN_CLOSE_CODE(code)
    const text = String(reason)
    const fits = Buffer.byteLength(text) <= maxReason
    const closed = { code, reason: fits ? text : text.slice(0, maxReason / 3) }
    if (this.#end(closed)) this.#socket.close(code, closed.reason)
  }

  expel (reason: RefusalReason, detail?: string): void {
    const code = this.#refuse(reason, detail)
    if (this.#end({ code: code.code, reason: '' })) dismiss(this.#socket, code, this.#context.timers)
  }

  /** Closes the connection for a reason of the server's own. */
  turnAway (reason: RefusalReason, error?: () => Error): void {
    this.close(this.#refuse(reason, undefined, error).code)
  }

  /** Notes the reason, unless the connection is ending already. Its close code. */
  #refuse (reason: RefusalReason, detail?: string, error?: () => Error): CloseCode {
    if (!this.isEnding) this.#context.refusals.add(reason, this.client, detail, error)
    return closeCode(Number(refusalReasons[reason].code))!
  }

  /** Reads the client's address and keeps it: a socket that is closed no longer has one. */
  noteAddress (): void {
    this.#address ??= this.#stream.remoteAddress
  }

  /** The client, as the log names it. */
  get client (): RefusedClient {
    return { userId: this.userId, connectionId: this.id, remoteAddress: this.#address ?? this.#stream.remoteAddress }
  }

  /** No longer open, or never again. */
  get isEnding (): boolean {
    return this.state === 'closing' || this.state === 'closed'
  }

  /** Writes what is due, as far as it can be written at once. `false` when the connection is ending already. */
  #end (closed: Closed): boolean {
    if (this.isEnding) return false
    this.#pendingClose = undefined
    this.#flushAll()
    // Writing can end the connection.
    if (this.isEnding) return false
    this.closed = closed
    this.#stop('closing')
    // So that the client's Close can be read.
    this.#socket.resume()
    return true
  }

  setReading (isReading: boolean): boolean {
    if (this.state !== 'open') return false
    if (isReading) this.#socket.resume()
    else this.#socket.pause()
    return true
  }

  /** Counts bytes that the user asked for. */
  charge (bytes: number): void {
    this.#context.intakes.of(this.userId).request(bytes)
  }

  /** Its user has sent too much: nothing is read from the user for a while. */
  get isUserHeld (): boolean {
    return this.#context.intakes.known(this.userId)?.isHeld === true
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
    if (this.#pendingClose !== undefined) this.wake(1)
  }

  /** Closes once everything due has been written and the message being handled is answered. */
  closeGently (code: CloseCode, reason: string): void {
    if (this.state !== 'open') return this.close(code.code, reason)
    this.#pendingClose ??= { code: code.code, reason }
    this.#receiver?.stop()
    this.wake(Infinity)
  }

  /** Closes as `closeGently` was to, without waiting any longer. */
  closeNow (): void {
    if (this.#pendingClose !== undefined) this.close(this.#pendingClose.code, this.#pendingClose.reason)
  }

  #closeOnceDone ({ code, reason }: Closed): void {
    if (!this.#isBlocked && this.#receiver?.isBusy !== true) this.close(code, reason)
  }

  /** Ends the connection without a Close frame. */
  terminate (): void {
    this.#socket.terminate()
    this.#onClose(closeCodes.ABNORMAL.code, '')
  }

  ping (): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping()
  }

  onDead (): void {
    this.terminate()
  }

  onStalled (): void {
    this.#context.counters.stalls++
    this.turnAway('stalled')
  }

  #heard (): void {
    this.isAwaitingPong = false
  }

  #onMessage (data: Buffer, isBinary: boolean): void {
    this.#heard()
    if (this.state !== 'open' || this.#pendingClose !== undefined) return
    if (isBinary) return this.expel('binary')
    this.#read().receive(data)
  }

  #onPing (): void {
    this.#heard()
    if (this.state === 'open') this.#read().receiveControl()
  }

  #onPong (): void {
    if (!this.isAwaitingPong) return this.#onPing()
    this.#heard()
  }

  /** `ws` answers a violation of the WebSocket protocol with a Close. */
  #onError (error: Error & { code?: string }): void {
    const reason = reasonOfFault(error)
    if (reason !== undefined) this.#refuse(reason)
  }

  #onClose (code: number, reason: string): void {
    if (this.state === 'closed') return
    // What this server said to the client counts, whether it was answered or not.
    this.closed ??= { code, reason }
    this.#stop('closed')
    this.#onClosed(this)
  }

  #stop (state: 'closing' | 'closed'): void {
    this.state = state
    this.onEnd?.()
    this.onEnd = undefined
    this.#context.liveness.remove(this)
    this.#receiver?.end()
    for (const subscription of this.#subscriptions) subscription.end()
    this.#subscriptions = []
    this.#outbox = noFrames
  }
}
