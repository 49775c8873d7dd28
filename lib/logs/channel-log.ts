import { Deque, emptyDeque } from './deque.js'
import { entryOverhead, Log, type Deflatable, type Frame, type Reader } from './log.js'

interface Entry {
  readonly frame: Frame | Deflatable
  /** When it was appended, in ms of the caller's clock. */
  readonly time: number
}

interface JoinedFrames {
  log: ChannelLog | undefined
  isDeflated: boolean
  after: number
  upTo: number
  room: number
  isFull: boolean
  text: string
}

/** Last sequence of joined strings, cached because most of the many readers of a channel want the same one. */
const lastJoined: JoinedFrames = { log: undefined, isDeflated: false, after: 0, upTo: 0, room: 0, isFull: false, text: '' }

/** Log of a channel whose publications are independent of each other. Each is framed once, when it is appended. */
export class ChannelLog extends Log {
  #entries: Deque<Entry> = emptyDeque
  /** Offset at which the history starts. Earlier publications cannot be recovered, and are kept only for readers that are behind. */
  #historyStart = 1
  /** Bytes of publications before `#historyStart`. */
  #lag = 0

  get length (): number {
    return this.#entries.length
  }

  /** Offset of the oldest retained publication; `head + 1` if there is none. */
  get first (): number {
    return this.head - this.length + 1
  }

  get evicted (): number {
    return this.first - 1
  }

  get beginning (): number {
    return this.#historyStart - 1
  }

  append (body: string, now: number): void {
    const frame = this.frameOf({ epoch: this.epoch, offset: this.head + 1 }, body)
    if (this.#entries === emptyDeque) this.#entries = new Deque()
    this.#entries.push({ frame, time: now })
    this.head++
    this.bytes += frame.length + entryOverhead
    this.wakeAll()
    this.#startHistoryAt(this.head - this.limits.size + 1)
  }

  expire (now: number): void {
    let start = Math.max(this.first, this.#historyStart)
    while (start <= this.head && this.#entryAt(start).time < now - this.limits.ttl) start++
    this.#startHistoryAt(start)
  }

  trim (): void {
    this.lookSoon()
    if (this.#lag > 0) this.#evict()
  }

  shift (): number {
    const { first } = this
    const entry = this.#entries.shift()
    if (entry === undefined) return 0
    const freed = entry.frame.length + entryOverhead
    if (first < this.#historyStart) this.#lag -= freed
    else this.#historyStart = first + 1
    this.bytes -= freed
    return freed
  }

  override release (): void {
    if (lastJoined.log === this) Object.assign(lastJoined, { log: undefined, text: '' })
  }

  protected clear (head: number): void {
    this.#entries = emptyDeque
    this.#historyStart = head + 1
    this.#lag = 0
  }

  behind (reader: Reader): number {
    return this.head - reader.offset
  }

  read (reader: Reader, room: number, textOnly = false): Frame {
    if (reader.offset === this.head) return ''
    const { isDeflated = false } = reader
    const frame = formOf(this.#entryAt(reader.offset + 1).frame, isDeflated)
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
    reader.offset = lastJoined.upTo
    return lastJoined.text
  }

  /** Fills `lastJoined` with the strings after `after`, unless it contains them already. */
  #putTogether (after: number, room: number, isDeflated: boolean): void {
    const isSame = lastJoined.log === this && lastJoined.after === after && lastJoined.room === room && lastJoined.isDeflated === isDeflated
    if (isSame && (lastJoined.isFull || lastJoined.upTo === this.head)) return
    let text = ''
    let upTo = after
    let isFull = false
    while (upTo < this.head && !isFull) {
      const frame = formOf(this.#entryAt(upTo + 1).frame, isDeflated)
      isFull = typeof frame !== 'string' || (text !== '' && text.length + frame.length > room)
      if (isFull) break
      text += frame as string
      upTo++
    }
    Object.assign(lastJoined, { log: this, isDeflated, after, upTo, room, isFull, text })
  }

  #entryAt (offset: number): Entry {
    return this.#entries.at(offset - this.first)!
  }

  #startHistoryAt (offset: number): void {
    if (offset <= this.#historyStart) return
    for (; this.#historyStart < offset; this.#historyStart++) {
      this.#lag += this.#entryAt(this.#historyStart).frame.length + entryOverhead
    }
    this.#evict()
  }

  /** Evicts publications before the history. Keeps unread publications, up to `limits.lag` bytes. */
  #evict (): void {
    const start = this.#historyStart
    if (this.readers.length > 0 && this.floor < start - 1) this.look(this.#lag > this.limits.lag)
    const keep = this.readers.length > 0 ? Math.min(start, this.floor + 1) : start
    while (this.first < keep) this.shift()
    if (this.#lag <= this.limits.lag) return
    // Kept for readers that do not read. Evicts down to half of the limit, so that it is not exceeded again soon.
    while (this.#lag * 2 > this.limits.lag) this.shift()
  }
}

/** Form of a frame that a reader takes. */
export function formOf (frame: Frame | Deflatable, isDeflated: boolean): Frame {
  if (typeof frame === 'string' || !('deflated' in frame)) return frame
  return isDeflated ? frame.deflated : frame.plain
}
