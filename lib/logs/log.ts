import type { Message } from '../protocol/envelope.js'
import type { Position } from '../protocol/position.js'

/**
 * What is written to a socket for one publication: a string with one character per byte (latin1), which concatenates
 * cheaply, or for a large publication a Buffer, which all connections share without copying.
 */
export type Frame = string | Buffer

/** A frame that can also be written compressed: `deflated` is made when it is first asked for, and shared from then on. */
export interface Deflatable {
  /** Bytes of both forms, at most. */
  readonly length: number
  readonly plain: Frame
  readonly deflated: Frame
}

/** A published message as an object, before it is turned into JSON. */
export interface Publication {
  readonly type: string
}

/** Turns a publication, a JSON object as text, into what the connections of its channel are sent. */
export type FrameOf = (position: Position, body: string) => Frame | Deflatable

/** A cursor: it has read everything up to `offset` of the log it was added to. */
export interface Reader {
  offset: number
  /** The epoch that `offset` belongs to. */
  epoch: string
  /** Its place among the log's readers; only the log touches it. */
  seat?: number
  /** Entries that it has read beyond its `offset`, each with the offset up to where; only the log touches it. */
  ahead?: Map<object, number> | undefined
  /** Messages that still grow and of which it did not read something, because it might not; only the log touches it. */
  withheld?: WeakSet<object> | undefined
  /** It reads the compressed form of what has one; default `false`. */
  readonly isDeflated?: boolean
  /** Whether it may read a publication, where a log can tell; default: all. */
  readonly sees?: ((message: Message) => boolean) | undefined
  /** There is something to read. */
  wake (): void
  /** The log is about to evict what this reader has not read. It may read now; what it leaves is lost to it. */
  catchUp (): void
}

export interface LogLimits {
  /** How many publications can be recovered. */
  size: number
  /** For how long a publication can be recovered, in milliseconds. */
  ttl: number
  /** How many bytes are kept beyond that for readers that are behind. */
  lag: number
}

/** Bytes of bookkeeping per retained publication beside its frame: entry, slot and string headers. */
export const entryOverhead = 128

/** Tells whether an epoch stands for a channel before its first publication. */
export type Precedes = (epoch: string) => boolean

export const never: Precedes = () => false

/** Shared by all logs without readers, to save memory; never modified. */
const noReaders: never[] = []

/** The readers of a channel with slow or many readers are looked at this often, in publications, not at each. */
const lookEvery = 32

/**
 * A channel's bounded log, and its readers. Pure: it knows no socket, no clock and no timer; time comes with the calls,
 * in the milliseconds of whatever clock the caller uses.
 *
 * A publication stays while it can be recovered (`size`, `ttl`), and beyond that while a reader has not read it, within
 * `lag` bytes. When those are exceeded, readers that are behind are asked to read before anything is evicted.
 */
export abstract class Log {
  readonly limits: LogLimits
  #readers: Reader[] = noReaders
  epoch: string
  /** Offset of the newest publication; 0 when there has been none. */
  head = 0
  /** Bytes retained, bookkeeping included. */
  bytes = 0
  /** Set by a broker whose channels get their epoch with their first publication. */
  precedes: Precedes = never
  protected readonly frameOf: FrameOf
  /** Every reader has read up to here: a lower bound, brought up to date only when it matters. */
  protected floor = 0
  #nextLook = 0

  constructor (epoch: string, limits: LogLimits, frameOf: FrameOf = (_position, body) => body) {
    this.epoch = epoch
    this.limits = limits
    this.frameOf = frameOf
  }

  /** In no order. */
  get readers (): readonly Reader[] {
    return this.#readers
  }

  /** How many entries are retained. */
  abstract get length (): number
  /** What is up to this offset is no longer retained. */
  abstract get evicted (): number
  /** What is after this offset can be recovered. */
  abstract get beginning (): number

  /**
   * Appends a publication at the next offset, wakes the readers and evicts what need not be kept. `publication` is the object that `body`
   * was made of, if the caller has it. It must not change afterwards.
   */
  abstract append (body: string, now: number, publication?: Publication): void
  /** Ends the history before what was appended in the last `ttl` milliseconds. */
  abstract expire (now: number): void
  /** Evicts what was kept for readers that have read it by now; otherwise that happens with later publications. */
  abstract trim (): void
  /** Evicts the oldest entry, whoever needs it. Returns the bytes that this freed; 0 when the log is empty. */
  abstract shift (): number
  /** How many frames a reader is behind. */
  abstract behind (reader: Reader): number

  /**
   * Reads on from where the reader is, which must not be lost, and moves it: a Buffer alone, or as many strings as fit
   * into `room` bytes, at least one. Empty when there is nothing, or when `textOnly` and a Buffer is next.
   */
  abstract read (reader: Reader, room: number, textOnly?: boolean): Frame

  /** Forgets all entries; the next offset is `head + 1`. */
  protected abstract clear (head: number): void

  /** Holds on to nothing outside of the log itself, so that it can be collected once it is no longer used. */
  release (): void {}

  get position (): Position {
    return { epoch: this.epoch, offset: this.head }
  }

  /** Whether everything after `position` can be recovered. */
  canRecover ({ epoch, offset }: Position): boolean {
    const isKnown = epoch === this.epoch || (offset === 0 && this.precedes(epoch))
    return isKnown && offset <= this.head && offset >= this.beginning
  }

  /** Goes on under another epoch. Readers have missed nothing, because there was no publication yet. */
  begin (epoch: string): void {
    for (const reader of this.#readers) if (reader.epoch === this.epoch) reader.epoch = epoch
    this.epoch = epoch
  }

  /**
   * Starts another incarnation, and every reader finds itself lost. The offsets begin again, or after `head`, where what
   * was published until then is not known here.
   */
  reset (epoch: string, head = 0): void {
    this.clear(head)
    this.epoch = epoch
    this.head = head
    this.bytes = 0
    this.floor = head
    this.#nextLook = 0
    this.release()
    this.wakeAll()
  }

  /** Asks every reader that is behind to read now. */
  hurry (): void {
    // Backwards, because a reader that catches up may turn out to have ended, and its seat goes to the last one.
    for (let seat = this.#readers.length - 1; seat >= 0; seat--) {
      const reader = this.#readers[seat]
      if (reader !== undefined && reader.offset < this.head) reader.catchUp()
    }
  }

  /** Adds a reader that has read everything up to its `offset` of its `epoch`. */
  add (reader: Reader): void {
    reader.seat = this.#readers.length
    // Most channels have one reader, and an array that grows takes room for seventeen.
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

  /** Whether what comes next for this reader has been evicted, or is of another incarnation. */
  isLost (reader: Reader): boolean {
    return reader.epoch !== this.epoch || reader.offset < this.evicted
  }

  /** Puts a reader at the head: it has nothing to read. */
  skipToHead (reader: Reader): void {
    reader.epoch = this.epoch
    reader.offset = this.head
  }

  protected wakeAll (): void {
    for (const reader of this.#readers) reader.wake()
  }

  /** Brings the floor up to date; O(readers), so not at each publication, unless more is kept for readers than may be. */
  protected look (isOver: boolean): void {
    if (!isOver && this.head < this.#nextLook) return
    this.#nextLook = this.head + lookEvery
    this.floor = this.head
    if (isOver) this.hurry()
    for (const reader of this.#readers) {
      if (!this.isLost(reader)) this.floor = Math.min(this.floor, reader.offset)
    }
  }

  /** The next look is not put off. */
  protected lookSoon (): void {
    this.#nextLook = 0
  }
}
