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

/** A cursor: it has read everything up to `offset` of the log it was added to. */
export interface Reader {
  offset: number
  /** The epoch that `offset` belongs to. */
  epoch: string
  /** Its place among the log's readers; only the log touches it. */
  seat?: number
  /** It reads the compressed form of what has one; default `false`. */
  readonly isDeflated?: boolean
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

interface Entry {
  readonly frame: Frame | Deflatable
  /** When it was appended, in the milliseconds of whatever clock the caller uses. */
  readonly time: number
}

/** Bytes of bookkeeping per retained publication beside its frame: entry, slot and string headers. */
const entryOverhead = 128

/** The readers of a channel with slow or many readers are looked at this often, in publications, not at each. */
const lookEvery = 32

interface Run {
  log: ChannelLog | undefined
  isDeflated: boolean
  after: number
  upTo: number
  room: number
  isFull: boolean
  text: string
}

/** The last run of strings put together: the readers of a broadcast mostly want the same one. */
const lastRun: Run = { log: undefined, isDeflated: false, after: 0, upTo: 0, room: 0, isFull: false, text: '' }

/**
 * A channel's bounded log. Pure: it knows no socket, no clock and no timer; time comes with the calls.
 *
 * An entry stays while it can be recovered (`size`, `ttl`), and beyond that while a reader has not read it, within
 * `lag` bytes. When those are exceeded, readers that are behind are asked to read before anything is evicted.
 */
export class ChannelLog {
  readonly limits: LogLimits
  /** In no order. */
  readonly readers: Reader[] = []
  epoch: string
  /** Offset of the newest publication; 0 when there has been none. */
  head = 0
  /** Bytes retained, bookkeeping included. */
  bytes = 0

  /** Entries in order; those before `#start` are evicted and cleared. */
  #entries: Array<Entry | undefined> = []
  #start = 0
  /** What is before this offset cannot be recovered; it is retained only for readers that are behind. */
  #historyStart = 1
  /** Bytes before `#historyStart`. */
  #lag = 0
  /** Every reader has read up to here: a lower bound, brought up to date only when it matters. */
  #floor = 0
  #nextLook = 0

  constructor (epoch: string, limits: LogLimits) {
    this.epoch = epoch
    this.limits = limits
  }

  /** How many publications are retained. */
  get length (): number {
    return this.#entries.length - this.#start
  }

  /** Offset of the oldest publication retained; `head + 1` when there is none. */
  get first (): number {
    return this.head - this.length + 1
  }

  get position (): Position {
    return { epoch: this.epoch, offset: this.head }
  }

  /** Appends a publication at the next offset, wakes the readers and evicts what need not be kept. */
  append (frame: Frame | Deflatable, now: number): void {
    this.#entries.push({ frame, time: now })
    this.head++
    this.bytes += frame.length + entryOverhead
    for (const reader of this.readers) reader.wake()
    this.#startHistoryAt(this.head - this.limits.size + 1)
  }

  /** Ends the history before what was appended in the last `ttl` milliseconds. */
  expire (now: number): void {
    let start = Math.max(this.first, this.#historyStart)
    while (start <= this.head && this.#entryAt(start).time < now - this.limits.ttl) start++
    this.#startHistoryAt(start)
  }

  /** Evicts what was kept for readers that have read it by now; otherwise that happens with later publications. */
  trim (): void {
    this.#nextLook = 0
    if (this.#lag > 0) this.#evict()
  }

  /** Asks every reader that is behind to read now. */
  hurry (): void {
    // Backwards, because a reader that catches up may turn out to have ended, and its seat goes to the last one.
    for (let seat = this.readers.length - 1; seat >= 0; seat--) {
      const reader = this.readers[seat]
      if (reader !== undefined && reader.offset < this.head) reader.catchUp()
    }
  }

  /** Evicts the oldest publication, whoever needs it. Returns the bytes that this freed; 0 when the log is empty. */
  shift (): number {
    const entry = this.#entries[this.#start]
    if (entry === undefined) return 0
    const freed = entry.frame.length + entryOverhead
    if (this.first < this.#historyStart) this.#lag -= freed
    else this.#historyStart = this.first + 1
    this.bytes -= freed
    this.#entries[this.#start++] = undefined
    if (this.#start >= 64 && this.#start * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#start)
      this.#start = 0
    }
    return freed
  }

  /** Holds on to nothing outside of the log itself, so that it can be collected once it is no longer used. */
  release (): void {
    if (lastRun.log === this) Object.assign(lastRun, { log: undefined, text: '' })
  }

  /** Starts another incarnation: the offsets begin again, and every reader finds itself lost. */
  reset (epoch: string): void {
    while (this.shift() > 0);
    this.epoch = epoch
    this.head = 0
    this.#historyStart = 1
    this.#floor = 0
    this.#nextLook = 0
    this.release()
    for (const reader of this.readers) reader.wake()
  }

  /** The offset before the oldest publication that can be recovered. */
  get beginning (): number {
    return this.#historyStart - 1
  }

  /** Whether everything after `position` can be recovered. */
  canRecover ({ epoch, offset }: Position): boolean {
    return epoch === this.epoch && offset <= this.head && offset >= this.beginning
  }

  /** Adds a reader that has read everything up to its `offset` of its `epoch`. */
  add (reader: Reader): void {
    reader.seat = this.readers.length
    this.readers.push(reader)
    this.#floor = Math.min(this.#floor, reader.offset)
  }

  remove (reader: Reader): void {
    const { seat = -1 } = reader
    if (this.readers[seat] !== reader) return
    const last = this.readers.pop()!
    if (last === reader) return
    this.readers[seat] = last
    last.seat = seat
  }

  /** Whether what comes next for this reader has been evicted, or is of another incarnation. */
  isLost (reader: Reader): boolean {
    return reader.epoch !== this.epoch || reader.offset < this.first - 1
  }

  /** Puts a reader at the head: it has nothing to read. */
  skipToHead (reader: Reader): void {
    reader.epoch = this.epoch
    reader.offset = this.head
  }

  /**
   * Reads on from where the reader is, which must not be lost, and moves it: a Buffer alone, or as many strings as fit
   * into `room` bytes, at least one. Empty when there is nothing, or when `textOnly` and a Buffer is next.
   */
  read (reader: Reader, room: number, textOnly = false): Frame {
    if (reader.offset === this.head) return ''
    const { isDeflated = false } = reader
    const frame = formOf(this.#entryAt(reader.offset + 1), isDeflated)
    if (typeof frame !== 'string') {
      if (textOnly) return ''
      reader.offset++
      return frame
    }
    if (reader.offset + 1 === this.head) {
      reader.offset++
      return frame
    }
    this.#putTogether(reader.offset, room, isDeflated)
    reader.offset = lastRun.upTo
    return lastRun.text
  }

  /** Fills `lastRun` with the strings after `after`, unless that is what it holds. */
  #putTogether (after: number, room: number, isDeflated: boolean): void {
    const isSame = lastRun.log === this && lastRun.after === after && lastRun.room === room && lastRun.isDeflated === isDeflated
    if (isSame && (lastRun.isFull || lastRun.upTo === this.head)) return
    let text = ''
    let upTo = after
    let isFull = false
    while (upTo < this.head && !isFull) {
      const frame = formOf(this.#entryAt(upTo + 1), isDeflated)
      isFull = typeof frame !== 'string' || (text !== '' && text.length + frame.length > room)
      if (isFull) break
      text += frame as string
      upTo++
    }
    Object.assign(lastRun, { log: this, isDeflated, after, upTo, room, isFull, text })
  }

  #entryAt (offset: number): Entry {
    return this.#entries[this.#start + offset - this.first]!
  }

  #startHistoryAt (offset: number): void {
    if (offset <= this.#historyStart) return
    for (; this.#historyStart < offset; this.#historyStart++) {
      this.#lag += this.#entryAt(this.#historyStart).frame.length + entryOverhead
    }
    this.#evict()
  }

  /** Evicts what is before the history, but for what readers still need. */
  #evict (): void {
    const start = this.#historyStart
    if (this.readers.length > 0 && this.#floor < start - 1) this.#look()
    const keep = this.readers.length > 0 ? Math.min(start, this.#floor + 1) : start
    while (this.first < keep) this.shift()
    if (this.#lag <= this.limits.lag) return
    // Held for readers that do not read. Half of it goes, so that making room again is far off.
    while (this.#lag * 2 > this.limits.lag) this.shift()
  }

  /** Brings the floor up to date; O(readers), so not at each publication. */
  #look (): void {
    const isOver = this.#lag > this.limits.lag
    if (!isOver && this.head < this.#nextLook) return
    this.#nextLook = this.head + lookEvery
    this.#floor = this.head
    if (isOver) this.hurry()
    for (const reader of this.readers) {
      if (!this.isLost(reader)) this.#floor = Math.min(this.#floor, reader.offset)
    }
  }
}

function formOf ({ frame }: Entry, isDeflated: boolean): Frame {
  if (typeof frame === 'string' || !('deflated' in frame)) return frame
  return isDeflated ? frame.deflated : frame.plain
}
