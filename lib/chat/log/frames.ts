import { formOf } from '../../logs/channel-log.js'
import type { Deflatable, Frame, FrameOf, Reader } from '../../logs/log.js'
import type { Message } from '../../protocol/envelope.js'
import type { Position } from '../../protocol/position.js'
import type { Entries } from './entries.js'
import type { ChatEntry } from './entry.js'
import { restOf, wholeOf } from './text/streaming.js'

/** What frames need to know of their log. */
interface Source {
  readonly epoch: string
  readonly head: number
  readonly beginning: number
  readonly position: Position
  skipToHead (reader: Reader): void
}

/** Entry that a reader must be sent. */
interface Due {
  readonly entry: ChatEntry
  /** The first publication in it that the reader has not read. */
  readonly at: number
}

/** Maximum number of entries that one lookup finds for a reader that is behind. */
const dueAtOnce = 64

/**
 * Frames of a chat's entries for its readers. Entries are read in the order of their first publications. An entry may hold publications
 * that are newer than some of the next entry, so a reader can be `ahead` in it. Its frames then carry the position from which it would
 * have to read again.
 */
export class Frames {
  readonly #entries: Entries
  readonly #log: Source
  readonly #frameOf: FrameOf
  /** The newest publication as it was appended: most reads need only this one. */
  #newest = ''
  #newestFrame: Frame | Deflatable | undefined
  /** Growing messages of which a reader has not read a part, because its filter did not allow it. */
  #withheld: WeakMap<Reader, WeakSet<ChatEntry>> | undefined
  /** Latest message for readers with a filter, which share it: the published object, or parsed from `body`. */
  #parsed: { body: string, message: Message } | undefined
  /** The latest frame that was built for a reader that was behind. */
  #built: { entry: ChatEntry, from: number, since: number, last: number, id: number, frame: Frame | Deflatable } | undefined

  constructor (entries: Entries, log: Source, frameOf: FrameOf) {
    this.#entries = entries
    this.#log = log
    this.#frameOf = frameOf
  }

  /** Call with each publication. `message`: the object from which `body` was made, if readers with a filter need it. */
  appended (body: string, message: Message | undefined): void {
    this.#newest = body
    this.#newestFrame = undefined
    if (message !== undefined) this.#parsed = { body, message }
  }

  /** Forgets the newest publication: the log starts again. */
  clear (): void {
    this.#newest = ''
  }

  /** Forgets what can be built again. */
  release (): void {
    this.#newestFrame = undefined
    this.#parsed = undefined
    this.#built = undefined
  }

  /** Number of entries that a reader has not read, or not completely. */
  behind (reader: Reader): number {
    const { offset } = reader
    let count = 0
    const visit = (entry: ChatEntry) => { if (entry.last > offset && !this.#isAhead(entry, reader) && this.#isSeen(entry, reader)) count++ }
    for (let at = this.#entries.indexAfter(offset); at < this.#entries.length; at++) visit(this.#entries.at(at)!)
    for (let entry = this.#entries.newestMerged; entry !== undefined && entry.last > offset; entry = entry.previous) {
      if (entry.first <= offset) visit(entry)
    }
    return count
  }

  /** Reads like `Log.read`. */
  read (reader: Reader, room: number, textOnly: boolean): Frame {
    const { head } = this.#log
    const { isDeflated = false } = reader
    if (reader.offset === head - 1 && reader.ahead === undefined && this.#newest !== '') {
      this.#newestFrame ??= this.#frameOf(this.#log.position, this.#newest)
      const frame = formOf(this.#newestFrame, isDeflated)
      const newest = this.#entries.newest!
      const isHidden = !this.#mayRead(newest, reader)
      if (!isHidden && this.#mayLack(newest, reader)) return this.#catchUp(reader, isDeflated, room, textOnly)
      if (textOnly && typeof frame !== 'string' && !isHidden) return ''
      reader.offset = head
      return isHidden ? '' : frame
    }
    const frames = this.#catchUp(reader, isDeflated, room, textOnly)
    if (reader.ahead !== undefined) forgetReached(reader)
    return frames
  }

  #catchUp (reader: Reader, isDeflated: boolean, room: number, textOnly: boolean): Frame {
    let text = ''
    for (;;) {
      const due = this.#dueAfter(reader)
      for (let index = 0; index < due.length && index < dueAtOnce; index++) {
        const { entry } = due[index]
        const later = this.#laterOf(entry, reader)
        if (text !== '' && text.length + entry.bytes + (later?.bytes ?? 0) > room) return text
        const upTo = (due[index + 1]?.at ?? this.#log.head + 1) - 1
        const frame = this.#mayRead(entry, reader) ? formOf(this.#build(entry, reader, upTo, later), isDeflated) : ''
        const isText = typeof frame === 'string'
        // A Buffer is returned alone.
        if (!isText && (textOnly || text !== '')) return text
        if (frame !== '') this.#withheld?.get(reader)?.delete(entry)
        move(reader, entry, upTo)
        if (later !== undefined) move(reader, later, upTo)
        if (!isText) return frame
        text += frame
      }
      // The entry beyond `dueAtOnce` only limits how far the one before it is read.
      if (due.length > dueAtOnce) continue
      this.#log.skipToHead(reader)
      return text
    }
  }

  /** Returns the next entries that a reader must be sent, in order: at most `dueAtOnce` and one more. */
  #dueAfter (reader: Reader): Due[] {
    const { offset, ahead } = reader
    const due: Due[] = []
    for (let entry = this.#entries.newestMerged; entry !== undefined && entry.last > offset; entry = entry.previous) {
      const read = Math.max(offset, ahead?.get(entry) ?? 0)
      if (entry.first <= offset && entry.last > read) due.push({ entry, at: entry.text?.text.nextAfter(read) ?? entry.last })
    }
    const merged = due.length
    for (let at = this.#entries.indexAfter(offset); at < this.#entries.length && due.length - merged <= dueAtOnce; at++) {
      const entry = this.#entries.at(at)!
      if (entry.last !== 0 && !this.#isAhead(entry, reader)) due.push({ entry, at: entry.first })
    }
    return merged === 0 ? due : due.sort((a, b) => a.at - b.at).slice(0, dueAtOnce + 1)
  }

  /** Returns the output or the latest progress of a tool, if a reader that lacks the call gets both in one frame. */
  #laterOf (call: ChatEntry, reader: Reader): ChatEntry | undefined {
    const { later } = call
    if (later === undefined || call.last > (reader.joined ?? 0)) return undefined
    return this.#isSeen(call, reader) && this.#isSeen(later, reader) ? later : undefined
  }

  /** Whether a reader has read an entry before its turn, or reads it together with its call. */
  #isAhead (entry: ChatEntry, reader: Reader): boolean {
    const { call } = entry
    const { offset, ahead } = reader
    if (ahead?.get(entry) === entry.last) return true
    return call !== undefined && call.last > Math.max(offset, ahead?.get(call) ?? 0) && this.#laterOf(call, reader) === entry
  }

  /**
   * Builds the frame with the part of an entry that a reader lacks, and with its `later` entry. `id`: offset up to which the reader has
   * read after this frame.
   */
  #build (entry: ChatEntry, reader: Reader, id: number, later?: ChatEntry): Frame | Deflatable {
    const { last } = later ?? entry
    // A reader from which a part was withheld gets the whole message.
    const from = this.#isWithheld(entry, reader) ? 0 : reader.ahead?.get(entry) ?? reader.offset
    const since = this.#log.beginning
    const built = this.#built
    const isBuilt = built?.entry === entry && built.from === from && built.since === since && built.last === last && built.id === id
    if (isBuilt) return built.frame
    const content = entry.text === undefined ? entry.body : restOf(entry.text, from, since)
    const body = later === undefined ? content : withCall(later.body, content)
    const frame = this.#frameOf({ epoch: this.#log.epoch, offset: id }, body)
    this.#built = { entry, from, since, last, id, frame }
    return frame
  }

  /** Whether a reader may read an entry. The filter gets an unfinished message with an empty `content`. */
  #isSeen ({ body, text }: ChatEntry, { sees }: Reader): boolean {
    if (sees === undefined) return true
    if (text === undefined) return sees(this.#parse(body))
    const { type, data: { status: _, ...data }, timestamp } = wholeOf(text, '', '')
    return sees({ type, data, timestamp } as Message)
  }

  /** Like `#isSeen`, for an entry that is read now: remembers that a part of a message was withheld. */
  #mayRead (entry: ChatEntry, reader: Reader): boolean {
    const isVisible = this.#isSeen(entry, reader)
    if (!isVisible && entry.text !== undefined) this.#withhold(entry, reader)
    return isVisible
  }

  /**
   * Whether a reader that lacks only the newest publication may also lack the text that it continues, because that was withheld, or because
   * the reader may have begun after it.
   */
  #mayLack (newest: ChatEntry, reader: Reader): boolean {
    if (this.#isWithheld(newest, reader)) return true
    const text = newest.text?.text
    if (text === undefined) return false
    // The reader has everything that was appended after it joined, even if the history no longer contains it.
    const since = Math.min(this.#log.beginning, reader.joined ?? 0)
    return newest.first <= since && text.lengthAt(reader.offset, since) === text.base
  }

  #withhold (entry: ChatEntry, reader: Reader): void {
    this.#withheld ??= new WeakMap()
    const entries = this.#withheld.get(reader) ?? new WeakSet()
    this.#withheld.set(reader, entries.add(entry))
  }

  #isWithheld (entry: ChatEntry, reader: Reader): boolean {
    return this.#withheld?.get(reader)?.has(entry) === true
  }

  #parse (body: string): Message {
    if (this.#parsed?.body !== body) this.#parsed = { body, message: JSON.parse(body) as Message }
    return this.#parsed.message
  }
}

/** Marks everything up to an offset as read, and one entry as read completely. */
function move (reader: Reader, entry: ChatEntry, upTo: number): void {
  reader.offset = upTo
  if (entry.last <= upTo) return
  reader.ahead ??= new Map()
  reader.ahead.set(entry, entry.last)
}

/** Removes the entries in which a reader is no longer ahead. */
function forgetReached (reader: Reader): void {
  const { ahead, offset } = reader
  for (const [entry, last] of ahead!) if (last <= offset) ahead!.delete(entry)
  if (ahead!.size === 0) reader.ahead = undefined
}

/** Returns the output or the progress of a tool with its call in it. */
function withCall (later: string, call: string): string {
  const publication = JSON.parse(later) as { data: object }
  return JSON.stringify({ ...publication, data: { ...publication.data, call: JSON.parse(call) as unknown } })
}
