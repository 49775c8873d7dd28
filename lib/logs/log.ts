import type { Message } from '../protocol/envelope.js'
import type { Position } from '../protocol/position.js'

/**
 * Data that is written to a socket for one publication: a string with one character per byte (latin1), which concatenates cheaply, or, for
 * a large publication, a Buffer that all connections share without copying.
 */
export type Frame = string | Buffer

/** A frame with a compressed form: `deflated` is created on first use, and shared from then on. */
export interface Deflatable {
  /** Maximum bytes of both forms together. */
  readonly length: number
  readonly plain: Frame
  readonly deflated: Frame
}

/** A published message as an object, before it is encoded as JSON. */
export interface Publication {
  readonly type: string
}

/** Encodes a publication, a JSON object as text, into the frame for the connections of its channel. */
export type FrameOf = (position: Position, body: string) => Frame | Deflatable

/** A cursor in a log. It has read everything up to `offset`. */
export interface Reader {
  offset: number
  /** The epoch that `offset` belongs to. */
  epoch: string
  /** Offset of the log's head when it was added to the log, or when the log last started again. Only the log changes it. */
  joined?: number
  /** Its index among the log's readers. Only the log changes it. */
  seat?: number
  /** Entries that it has read beyond its `offset`, each with the offset that it has read up to. Only the log changes it. */
  ahead?: Map<object, number> | undefined
  /** Whether it reads the compressed form of frames that have one. Default: `false`. */
  readonly isDeflated?: boolean
  /** Whether it may read a publication, for logs that support this. Default: it may read all. */
  readonly sees?: ((message: Message) => boolean) | undefined
  /** Called when there is something to read. */
  wake (): void
  /** Called when the log is about to evict publications that this reader has not read. It can read now; the rest is lost. */
  catchUp (): void
  /** Called when a user is removed from the channel, for logs that support this. It can still read earlier publications. */
  onRemoved? (userId: string): void
  /** Called when removals may have been missed, for logs that support them. */
  onDoubt? (): void
}

export interface LogLimits {
  /** Maximum number of publications that can be recovered. */
  size: number
  /** Time during which a publication can be recovered, in ms. */
  ttl: number
  /** Maximum bytes kept beyond the history for readers that are behind. */
  lag: number
}

/** Bytes of bookkeeping per retained publication, in addition to its frame: entry, slot and string headers. */
export const entryOverhead = 128

/** Whether an epoch denotes a channel before its first publication. */
export type Precedes = (epoch: string) => boolean

export const never: Precedes = () => false

/** Shared by all logs without readers, to save memory. Never modified. */
const noReaders: never[] = []

/** Number of publications between two checks of the readers' positions, if a channel has slow or many readers. */
const lookEvery = 32

/**
 * The bounded log of a channel, and its readers. Pure: it knows no socket, no clock and no timer. Times are parameters, in ms of any clock.
 *
 * A publication is retained while it can be recovered (`size`, `ttl`), and beyond that while a reader has not read it, up to `lag` bytes.
 * When these are exceeded, readers that are behind may read before anything is evicted.
 */
export abstract class Log {
  readonly limits: LogLimits
  #readers: Reader[] = noReaders
  epoch: string
  /** Offset of the newest publication; 0 if there was none. */
  head = 0
  /** Retained bytes, including bookkeeping. */
  bytes = 0
  /** Set by brokers whose channels get their epoch with their first publication. */
  precedes: Precedes = never
  protected readonly frameOf: FrameOf
  /** Lower bound of the offsets of all readers. Updated only when it matters. */
  protected floor = 0
  #nextLook = 0

  constructor (epoch: string, limits: LogLimits, frameOf: FrameOf = (_position, body) => body) {
    this.epoch = epoch
    this.limits = limits
    this.frameOf = frameOf
  }

  /** Readers, in no order. */
  get readers (): readonly Reader[] {
    return this.#readers
  }

  /** Number of retained entries. */
  abstract get length (): number
  /** Offset up to which publications are no longer retained. */
  abstract get evicted (): number
  /** Offset after which publications can be recovered. */
  abstract get beginning (): number

  /**
   * Appends a publication at the next offset, wakes the readers, and evicts entries that need not be kept. `publication` is the object from
   * which `body` was made, if the caller has it. It must not change afterwards.
   */
  abstract append (body: string, now: number, publication?: Publication): void
  /** Removes publications that are older than `ttl` from the history. */
  abstract expire (now: number): void
  /** Evicts entries that were kept for readers and have been read by now. Otherwise later publications evict them. */
  abstract trim (): void
  /** Evicts the oldest entry, even if a reader needs it. Returns the freed bytes; 0 if the log is empty. */
  abstract shift (): number
  /** Number of frames that a reader is behind. */
  abstract behind (reader: Reader): number

  /**
   * Reads the next frames for a reader, which must not be lost, and advances it: one Buffer, or as many strings as fit into `room` bytes,
   * at least one. Empty if there is nothing to read, or if `textOnly` is set and a Buffer is next.
   */
  abstract read (reader: Reader, room: number, textOnly?: boolean): Frame

  /** Removes all entries. The next offset is `head + 1`. */
  protected abstract clear (head: number): void

  /** Releases references from outside of the log, so that an unused log can be collected. */
  release (): void {}

  get position (): Position {
    return { epoch: this.epoch, offset: this.head }
  }

  /** Whether everything after `position` can be recovered. */
  canRecover ({ epoch, offset }: Position): boolean {
    const isKnown = epoch === this.epoch || (offset === 0 && this.precedes(epoch))
    return isKnown && offset <= this.head && offset >= this.beginning
  }

  /** Continues under another epoch. Readers have missed nothing, because there was no publication yet. */
  begin (epoch: string): void {
    for (const reader of this.#readers) if (reader.epoch === this.epoch) reader.epoch = epoch
    this.epoch = epoch
  }

  /**
   * Starts another incarnation, in which every reader is lost. Offsets start again, or after `head` if earlier publications are unknown
   * here.
   */
  reset (epoch: string, head = 0): void {
    this.clear(head)
    this.epoch = epoch
    this.head = head
    this.bytes = 0
    this.floor = head
    this.#nextLook = 0
    this.release()
    for (const reader of this.#readers) reader.joined = head
    this.wakeAll()
  }

  /** Makes every reader that is behind read now. */
  hurry (): void {
    // Backwards, because a reader that catches up may end, and the last reader takes its seat.
    for (let seat = this.#readers.length - 1; seat >= 0; seat--) {
      const reader = this.#readers[seat]
      if (reader !== undefined && reader.offset < this.head) reader.catchUp()
    }
  }

  /** Adds a reader that has read everything up to its `offset` in its `epoch`. */
  add (reader: Reader): void {
    reader.seat = this.#readers.length
    reader.joined = this.head
    // Most channels have one reader, and an array that grows allocates room for 17.
    if (this.#readers.length === 0) this.#readers = [reader]
    else this.#readers.push(reader)
    this.floor = Math.min(this.floor, reader.offset)
  }

  remove (reader: Reader): void {
    const { seat = -1 } = reader
    if (this.#readers[seat] !== reader) return
    const last = this.#readers.pop()!
    if (this.#readers.length === 0) this.#readers = noReaders
    if (last === reader) return
    this.#readers[seat] = last
    last.seat = seat
  }

  /** Whether the next publication for a reader has been evicted, or belongs to another incarnation. */
  isLost (reader: Reader): boolean {
    return reader.epoch !== this.epoch || reader.offset < this.evicted
  }

  /** Moves a reader to the head, where it has nothing to read. */
  skipToHead (reader: Reader): void {
    reader.epoch = this.epoch
    reader.offset = this.head
  }

  protected wakeAll (): void {
    for (const reader of this.#readers) reader.wake()
  }

  /** Updates the floor. Takes O(readers), so it is skipped for most publications, unless more is kept for readers than allowed. */
  protected look (isOver: boolean): void {
    if (!isOver && this.head < this.#nextLook) return
    this.#nextLook = this.head + lookEvery
    this.floor = this.head
    if (isOver) this.hurry()
    for (const reader of this.#readers) {
      if (!this.isLost(reader)) this.floor = Math.min(this.floor, reader.offset)
    }
  }

  /** Makes the next `look` update the floor. */
  protected lookSoon (): void {
    this.#nextLook = 0
  }
}
