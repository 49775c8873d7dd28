import type { Frame, Log } from '../../logs/log.js'
import type { Identity } from '../hooks.js'
import type { PeerStream } from '../handshake/pending.js'
import { timestamp } from '../messages/timestamp.js'
import type { Counters } from '../reports/counters.js'
import type { Flusher, Lane, Writer } from './flush.js'
import { textFrame } from './frame.js'
import type { Subscriber, Subscription } from './subscription.js'

/** What all outlets of a server share. */
export interface OutletContext {
  readonly flusher: Flusher
  readonly counters: Counters
  /** Maximum bytes that wait for one connection outside of the logs. */
  readonly maxOutbox: number
}

export interface ControlParts {
  ref?: string | number
  data?: object
}

/** Strings are put together up to this size: what Node writes from its stack without allocating. */
const chunkSize = 16 * 1024

/** Bytes that a connection that is far behind writes before others have their turn. */
const turnSize = 256 * 1024

/** Shared by all connections with an empty outbox, to save memory; never modified. */
const noFrames: never[] = []

function controlFrame (type: string, { ref, data }: ControlParts): Frame {
  return textFrame(JSON.stringify({ type, ref, data, timestamp: timestamp() }))
}

/**
 * Writes to one socket. What it is sent is read from the logs when it can be written, so nothing queues here but the few frames
 * that are for this connection alone. Data frames are written to the stream under the WebSocket: each write holds whole
 * frames, so the pings, pongs and the Close that `ws` writes to the same stream fall between them.
 */
export abstract class Outlet implements Subscriber, Writer {
  readonly isDeflated: boolean
  lane: Lane = 'none'
  readonly #stream: PeerStream
  readonly #context: OutletContext
  #subscriptions: Subscription[] = []
  #outbox: Frame[] = noFrames
  #outboxSize = 0
  #isBlocked = false

  /** `isDeflated`: the client takes compressed frames. */
  constructor (stream: PeerStream, context: OutletContext, isDeflated: boolean) {
    this.#stream = stream
    this.#context = context
    this.isDeflated = isDeflated
  }

  abstract get identity (): Identity

  /** What the frames are written to. Not a field: a logger of the app would write the server that the stream leads to. */
  protected get stream (): PeerStream {
    return this.#stream
  }

  /** It is open: what its subscriptions have is written. */
  protected abstract get isOpen (): boolean

  /** Frames may be written, or wait until they may. */
  protected abstract get isTaking (): boolean

  /** Frames may be written. */
  protected abstract get isWriting (): boolean

  /** The socket does not take what was written, until `onDrained`. */
  protected abstract onBlocked (): void
  protected abstract onDrained (): void

  /** More waits than may. */
  protected abstract onFull (): void

  /** Everything due is written, as far as the socket takes it. */
  protected abstract onFlushed (): void

  /** The logs that it reads. */
  get logs (): Log[] {
    return this.#subscriptions.map(({ log }) => log)
  }

  /** More waits in the outbox than may. */
  protected get isFull (): boolean {
    return this.#outboxSize > this.#context.maxOutbox
  }

  /** The socket has not taken everything that was written. */
  protected get isBlocked (): boolean {
    return this.#isBlocked
  }

  /** Its cursors: they hold their places from now on, and are read once it is open. */
  subscribed (subscriptions: Subscription[]): void {
    this.#subscriptions = subscriptions
  }

  wake (audience: number): void {
    if (this.isOpen && !this.#isBlocked) this.#context.flusher.mark(this, audience)
  }

  /** Sends a frame of this connection alone, before what its subscriptions have. */
  protected enqueue (frame: Frame): void {
    if (!this.isTaking) return
    if (this.#outbox.length === 0) this.#outbox = [frame]
    else this.#outbox.push(frame)
    this.#outboxSize += frame.length
    if (this.isFull) this.onFull()
    else this.wake(1)
  }

  /** Sends a connection-level frame. */
  control (type: string, parts: ControlParts = {}): void {
    this.enqueue(controlFrame(type, parts))
  }

  /** Sends a connection-level frame before what waits already, and writes. */
  protected controlFirst (type: string, parts: ControlParts): void {
    const frame = controlFrame(type, parts)
    this.#outbox = [frame, ...this.#outbox]
    this.#outboxSize += frame.length
    if (this.flush()) this.wake(1)
  }

  /** Writes what is due, as far as the socket takes it. `true` when more is left that it would take. */
  flush (): boolean {
    let room = turnSize
    while (this.isWriting && !this.#isBlocked && this.#stream.writable) {
      if (room <= 0) return true
      const chunk = this.#gather()
      if (chunk.length === 0) break
      room -= chunk.length
      this.#write(chunk)
    }
    this.onFlushed()
    return false
  }

  /** As far as the socket takes it, however long that is. */
  protected flushAll (): void {
    while (this.flush());
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

  /** The log has lost the next publication: tells the client, and goes on at the head. Recovery is never partial. */
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
    this.onBlocked()
    // An empty write is called back once all before it is done; 'drain' only comes when much was waiting.
    this.#stream.write('', () => {
      this.#isBlocked = false
      this.onDrained()
      this.wake(1)
    })
  }

  /** Reads and writes nothing more. */
  protected endSubscriptions (): void {
    for (const subscription of this.#subscriptions) subscription.end()
    this.#subscriptions = []
    this.#outbox = noFrames
  }
}
