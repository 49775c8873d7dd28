import type { Frame } from '../../logs/log.js'
import type { Identity } from '../hooks.js'
import type { PeerStream } from '../handshake/pending.js'
import { timestamp } from '../messages/timestamp.js'
import type { Counters } from '../reports/counters.js'
import { Due } from './due.js'
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
  readonly #due = new Due()
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

  /** Whether it closes when all pending frames are written. */
  protected abstract get isClosingGently (): boolean

  /** Called when the socket does not take all written data; `onDrained`, when it has. */
  protected abstract onBlocked (): void
  protected abstract onDrained (): void

  /** Sends a ping behind the written frames. */
  protected abstract probe (payload: string): void

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
    for (const subscription of subscriptions) this.#due.add(subscription)
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
    this.#due.remove(subscription)
  }

  wake (subscription: Subscription, audience: number): void {
    this.#due.add(subscription)
    this.mark(audience)
  }

  catchUp (): void {
    this.#due.release()
    this.flush(false)
  }

  /** Handles a pong. Returns `false` if it does not answer a `probe`. */
  protected confirm (payload: string): boolean {
    if (!this.#due.confirm(payload)) return false
    this.mark(1)
    return true
  }

  /** Waits for no answers to probes, so that everything is written soon. */
  protected hurry (): void {
    this.#due.release()
    this.mark(Infinity)
  }

  /** Call with each heartbeat: no longer waits for the answers to probes if there are none. */
  protected checkProbes (): void {
    if (this.#due.releaseStuck()) this.mark(1)
  }

  /** Schedules a flush. `audience`: number of connections that are flushed for the same reason. */
  protected mark (audience: number): void {
    if (this.isOpen && !this.#isBlocked) this.#context.flusher.mark(this, audience)
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

  /** Sends a connection-level frame before queued ones, and writes. `data`: as JSON. */
  protected controlFirst (type: string, data: string): void {
    const frame = textFrame(`{"type":"${type}","data":${data},"timestamp":"${timestamp()}"}`)
    this.#outbox = [frame, ...this.#outbox]
    this.#outboxSize += frame.length
    if (this.flush()) this.mark(1)
  }

  /** Whether there is something to write. */
  get #isDue (): boolean {
    return this.#due.first !== undefined || this.#outbox.length > 0
  }

  /**
   * Writes pending frames, as far as the socket takes them, and if `isPaced`, late ones only as far as the client has
   * confirmed earlier ones. Returns `true` if the socket would take more.
   */
  flush (isPaced = !this.isClosingGently): boolean {
    let room = turnSize
    while (this.#isDue && this.isWriting && !this.#isBlocked && this.#stream.writable) {
      if (room <= 0) return true
      const chunk = this.#gather(isPaced)
      room -= chunk.length
      if (chunk.length > 0) this.#write(chunk)
    }
    this.onFlushed()
    return false
  }

  /** Writes pending frames, as far as the socket takes them, without a limit per turn. */
  protected flushAll (): void {
    this.#due.release()
    while (this.flush(false));
  }

  /** Next chunk to write: about `chunkSize` bytes at most, or one large frame. */
  #gather (isPaced: boolean): Frame {
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
    for (let due = this.#due.first; due !== undefined && text.length < chunkSize; due = this.#due.first) {
      if (due.isLost()) text += this.#resync(due)
      const before = due.offset
      const chunk = due.read(chunkSize - text.length, text !== '')
      this.#context.counters.deliveries += due.offset - before
      // A Buffer is next, and is written alone.
      if (chunk === '' && text !== '' && due.isBehind) return text
      // Reading calls hooks of the app, which can end the subscription.
      if (this.#due.take(due) && due.isBehind) this.#readLater(due, isPaced ? chunk.length : 0)
      if (typeof chunk !== 'string') return chunk
      text = text === '' ? chunk : text + chunk
    }
    return text
  }

  /** Reads a subscription again after the others. `bytes`: number of late bytes that are about to be written for it. */
  #readLater (subscription: Subscription, bytes: number): void {
    // No other subscription waits behind the late frames of a single one.
    if (bytes === 0 || this.#subscriptions.length === 1) this.#due.add(subscription)
    else this.#due.addLate(subscription, bytes, payload => this.probe(payload))
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
    this.#due.clear()
    this.#outbox = noFrames
  }
}
