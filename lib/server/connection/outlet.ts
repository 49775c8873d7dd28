import type { Frame } from '../../logs/log.js'
import type { Identity } from '../hooks.js'
import type { PeerStream } from '../handshake/pending.js'
import { timestamp } from '../messages/timestamp.js'
import type { Counters } from '../reports/counters.js'
import type { Flusher, Lane, Writer } from './flush.js'
import { textFrame } from './frame.js'
import type { Subscriber, Subscription } from './subscription.js'

/** Context that all outlets of a server share. */
export interface OutletContext {
  readonly flusher: Flusher
  readonly counters: Counters
  /** Maximum bytes that wait for one connection outside of the logs. */
  readonly maxOutbox: number
}

export interface ControlParts {
  ref?: string | number | undefined
  /** Channel that the frame is about. */
  channel?: string | undefined
  data?: unknown
}

/** Bytes up to which strings are joined into one write: Node writes this size from its stack, without allocating. */
const chunkSize = 16 * 1024

/** Bytes that a connection far behind writes before others have their turn. */
const turnSize = 256 * 1024

/** Empty outbox, shared by all connections to save memory. Never modified. */
const noFrames: never[] = []

function controlFrame (type: string, { ref, channel, data }: ControlParts): Frame {
  return textFrame(JSON.stringify({ type, ref, channel, data, timestamp: timestamp() }))
}

/**
 * Writes to one socket. Publications are read from the logs when they can be written, so only the few frames for this connection alone
 * are queued here. Data frames are written to the stream below the WebSocket: each write contains whole frames, so the pings, pongs and
 * the Close that `ws` writes to the same stream fall between them.
 */
export abstract class Outlet implements Subscriber, Writer {
  readonly isDeflated: boolean
  lane: Lane = 'none'
  readonly #stream: PeerStream
  readonly #context: OutletContext
  #subscriptions: Subscription[] = []
  /** Subscriptions with something to read, linked by `next`. */
  #firstDue: Subscription | undefined
  #lastDue: Subscription | undefined
  #outbox: Frame[] = noFrames
  #outboxSize = 0
  #isBlocked = false

  /** `isDeflated`: whether the client takes compressed frames. */
  constructor (stream: PeerStream, context: OutletContext, isDeflated: boolean) {
    this.#stream = stream
    this.#context = context
    this.isDeflated = isDeflated
  }

  abstract get identity (): Identity
  abstract onRemoved (subscription: Subscription): void
  abstract onDoubt (subscription: Subscription): void

  /** Stream to which frames are written. Not a field, because a logger of the app would serialize the server through it. */
  protected get stream (): PeerStream {
    return this.#stream
  }

  /** Whether it is open: frames of its subscriptions are written. */
  protected abstract get isOpen (): boolean

  /** Whether frames may be written or queued. */
  protected abstract get isTaking (): boolean

  /** Whether frames may be written. */
  protected abstract get isWriting (): boolean

  /** Called when the socket does not take all written data; `onDrained`, when it has. */
  protected abstract onBlocked (): void
  protected abstract onDrained (): void

  /** Called when the outbox exceeds its limit. */
  protected abstract onFull (): void

  /** Called when all pending frames are written, as far as the socket takes them. */
  protected abstract onFlushed (): void

  /** Its cursors, one per channel, those of its path first. */
  get subscriptions (): readonly Subscription[] {
    return this.#subscriptions
  }

  /** Its subscription to a channel; `undefined` if there is none. */
  find (channel: string): Subscription | undefined {
    return this.#subscriptions.find(subscription => subscription.channel === channel)
  }

  /** Whether the outbox exceeds its limit. */
  protected get isFull (): boolean {
    return this.#outboxSize > this.#context.maxOutbox
  }

  /** Whether the socket has not taken everything that was written. */
  protected get isBlocked (): boolean {
    return this.#isBlocked
  }

  /** Sets its cursors. They keep their positions from now on, and are read once it is open. */
  subscribed (subscriptions: Subscription[]): void {
    this.#subscriptions = subscriptions
    for (const subscription of subscriptions) this.#queue(subscription)
  }

  /** Adds a cursor to an open connection. */
  subscribe (subscription: Subscription): void {
    this.#subscriptions.push(subscription)
    this.wake(subscription, 1)
  }

  /** Ends a cursor. Publications that it has not read are not sent. */
  unsubscribe (subscription: Subscription): void {
    subscription.end()
    this.#subscriptions = this.#subscriptions.filter(other => other !== subscription)
    if (subscription.next !== undefined) this.#requeue()
  }

  /** Queues the subscriptions that are left and have something to read, in the order of the queue. */
  #requeue (): void {
    const due: Subscription[] = []
    for (let first = this.#firstDue; first !== undefined; first = this.#firstDue) {
      this.#unqueue(first)
      if (this.#subscriptions.includes(first)) due.push(first)
    }
    for (const subscription of due) this.#queue(subscription)
  }

  wake (subscription: Subscription, audience: number): void {
    if (subscription.next === undefined) this.#queue(subscription)
    this.mark(audience)
  }

  /** Schedules a flush. `audience`: number of connections that are flushed for the same reason. */
  protected mark (audience: number): void {
    if (this.isOpen && !this.#isBlocked) this.#context.flusher.mark(this, audience)
  }

  #queue (subscription: Subscription): void {
    subscription.next = null
    if (this.#lastDue === undefined) this.#firstDue = subscription
    else this.#lastDue.next = subscription
    this.#lastDue = subscription
  }

  /** Takes the first subscription out of the queue. */
  #unqueue (first: Subscription): void {
    this.#firstDue = first.next ?? undefined
    first.next = undefined
    if (this.#firstDue === undefined) this.#lastDue = undefined
  }

  /** Sends a frame to this connection alone, before frames of its subscriptions. */
  protected enqueue (frame: Frame): void {
    if (!this.isTaking) return
    if (this.#outbox.length === 0) this.#outbox = [frame]
    else this.#outbox.push(frame)
    this.#outboxSize += frame.length
    if (this.isFull) this.onFull()
    else this.mark(1)
  }

  /** Sends a connection-level frame. */
  control (type: string, parts: ControlParts = {}): void {
    this.enqueue(controlFrame(type, parts))
  }

  /** Sends a connection-level frame before queued ones, and writes. */
  protected controlFirst (type: string, parts: ControlParts): void {
    const frame = controlFrame(type, parts)
    this.#outbox = [frame, ...this.#outbox]
    this.#outboxSize += frame.length
    if (this.flush()) this.mark(1)
  }

  /** Whether there is something to write. */
  get #isDue (): boolean {
    return this.#firstDue !== undefined || this.#outbox.length > 0
  }

  /** Writes pending frames, as far as the socket takes them. Returns `true` if it would take more. */
  flush (): boolean {
    let room = turnSize
    while (this.#isDue && this.isWriting && !this.#isBlocked && this.#stream.writable) {
      if (room <= 0) return true
      const chunk = this.#gather()
      room -= chunk.length
      if (chunk.length > 0) this.#write(chunk)
    }
    this.onFlushed()
    return false
  }

  /** Writes pending frames, as far as the socket takes them, without a limit per turn. */
  protected flushAll (): void {
    while (this.flush());
  }

  /** Next chunk to write: about `chunkSize` bytes at most, or one large frame. */
  #gather (): Frame {
    let text = ''
    while (this.#outbox.length > 0 && text.length < chunkSize) {
      const frame = this.#outbox[0]
      if (typeof frame !== 'string' && text !== '') return text
      this.#outbox.shift()
      this.#outboxSize -= frame.length
      // Frees the memory of the array, which does not shrink.
      if (this.#outbox.length === 0) this.#outbox = noFrames
      if (typeof frame !== 'string') return frame
      text += frame
    }
    for (let due = this.#firstDue; due !== undefined && text.length < chunkSize; due = this.#firstDue) {
      if (due.isLost()) text += this.#resync(due)
      const before = due.offset
      const chunk = due.read(chunkSize - text.length, text !== '')
      this.#context.counters.deliveries += due.offset - before
      // A Buffer is next, and is written alone.
      if (chunk === '' && text !== '' && due.isBehind) return text
      this.#unqueue(due)
      // The others come first.
      if (due.isBehind) this.#queue(due)
      if (typeof chunk !== 'string') return chunk
      text = text === '' ? chunk : text + chunk
    }
    return text
  }

  /** Moves a cursor whose next publication has left the log to the head, and returns a `resync`. Recovery is never partial. */
  #resync (subscription: Subscription): Frame {
    subscription.skipToHead()
    this.#context.counters.resyncs++
    const channel = subscription.kind.isUnnamed === true ? undefined : subscription.channel
    return controlFrame('resync', { channel, data: { position: subscription.position } })
  }

  #write (chunk: Frame): void {
    this.#context.counters.writes++
    // Without a callback, which would cost an object and a tick for each write.
    this.#stream.write(chunk, 'latin1')
    // The first chunk is sent in one write with the answer to the handshake.
    if (this.#stream.writableCorked > 0) this.#stream.uncork()
    if (this.#stream.writableLength > 0) this.#block()
  }

  /** Writes nothing more until the kernel has taken what it did not take at once. */
  #block (): void {
    this.#isBlocked = true
    this.onBlocked()
    // The callback of an empty write runs when all earlier writes are done. 'drain' is emitted only if much was waiting.
    this.#stream.write('', () => {
      this.#isBlocked = false
      this.onDrained()
      this.mark(1)
    })
  }

  /** Ends its cursors, and drops queued frames. */
  protected endSubscriptions (): void {
    for (const subscription of this.#subscriptions) subscription.end()
    this.#subscriptions = []
    this.#firstDue = this.#lastDue = undefined
    this.#outbox = noFrames
  }
}
