import { withDelta } from '../../protocol/delta.js'
import type { Message } from '../../protocol/envelope.js'
import { keyedGrowthOf, messageKey, partKey, type KeyedGrowth } from '../../protocol/growth.js'
import { ByLast } from './by-last.js'
import { formOf } from '../../logs/channel-log.js'
import { Deque, emptyDeque } from '../../logs/deque.js'
import { GrowingText } from './growing-text.js'
import { entryOverhead, Log, type Deflatable, type Frame, type Publication, type Reader } from '../../logs/log.js'
import { memoryOf } from '../../logs/size.js'
import { formOfType, headOf, restOf, wholeOf, type Streaming } from './streaming.js'
import { unfinishedAnswers } from './answers.js'
import { unfinished } from './unfinished.js'

/** Multiple of `limits.lag` up to which a log may grow to protect unfinished runs. */
const maxHeld = 4

/** One publication, or the merged publications of one message, of one part or of one tool's progress. */
interface Entry {
  /** Offset of the first publication in the entry. */
  readonly first: number
  /** Offset of the newest publication in the entry; 0 when the entry was emptied. */
  last: number
  /** Time at which the newest publication was appended, in ms. */
  time: number
  bytes: number
  /** Key of the message, of the part or of the tool's progress that its publications belong to. */
  readonly id?: string
  /** Another key by which it is found: of the message that it repeats, or of the tool that it calls. */
  alias?: string
  /** The newest publication; empty while there is a `text`. */
  body: string
  text?: Streaming
  /** Of a `tool_call`: the entry of its output or of its latest progress. */
  later?: Entry
  /** Of an output or of progress: the entry of its `tool_call`. */
  call?: Entry
  /** Neighbours among the entries with several publications; see `ByLast`. */
  previous?: Entry
  next?: Entry
}

/** Entry that a reader must be sent. */
interface Due {
  readonly entry: Entry
  /** The first publication in it that the reader has not read. */
  readonly at: number
}

/** Publication that a text grows by. */
interface Growing {
  readonly type: string
  readonly data: Record<string, unknown>
  readonly timestamp: string
  readonly body: string
}

/** Bytes of bookkeeping for the id of an entry, beside the characters of the id. */
const idOverhead = 130

/** Maximum number of entries that one lookup finds for a reader that is behind. */
const dueAtOnce = 64

/** Fields of a publication that the log examines. */
interface Telling {
  type: string
  data?: Record<string, unknown>
  timestamp?: string
}

/** Message types that the log merges, or that start or end the protection of entries. It stores all other types unread. */
const tellingTypes = [
  'chat_delta', 'chat_message', 'chat_part', 'chat_part_delta', 'run_queued', 'run_started', 'run_finished', 'tool_call', 'tool_progress', 'tool_output'
]
const telling = new RegExp(`^\\{"type":"(?:${tellingTypes.join('|')})"`)

/** Parses a publication of one of `tellingTypes`; `undefined` for other types. `parsed`: the same as `body`, if the caller has it. */
function tellingOf (body: string, parsed: Publication | undefined): Telling | undefined {
  if (!telling.test(body)) return undefined
  return (parsed ?? JSON.parse(body)) as Telling
}

/**
 * Log of a chat. It keeps the current content of the chat, not each change: a message is one entry, however many deltas it was
 * written in. A reader that is behind gets the missing part of a message as one delta, or the whole message. A finished message is
 * kept once, in its final form, and only the latest progress of a tool is kept. A reader that came after a tool was called gets the call
 * and its output or latest progress in one frame. `size` and `ttl` do not evict the publications of
 * an unfinished run, however long it waits and takes, unless the log exceeds `maxHeld`.
 *
 * Entries are read in the order of their first publications. An entry may hold publications that are newer than some of the next
 * entry, so a reader can be `ahead` in it. Its frames then carry the position from which it would have to read again.
 */
export class ChatLog extends Log {
  /** Entries in the order of their first offsets. */
  #entries: Deque<Entry> = emptyDeque
  /** Entries of messages, of parts and of tools, by their keys. */
  readonly #byId = new Map<string, Entry>()
  /** Entries with more than one publication. */
  readonly #merged = new ByLast<Entry>()
  /** First offset that each unfinished run protects, by run id, in the order in which the runs became known. */
  #runs: Map<string, number> | undefined
  /** Number of leading entries outside the history, kept for lagging readers. */
  #expired = 0
  /** Bytes of the expired entries. */
  #lag = 0
  #beginning = 0
  #evicted = 0
  /** The newest publication as it was appended: most reads need only this one. */
  #newest = ''
  #newestEntry: Entry | undefined
  /** Growing messages of which a reader has not read a part, because its filter did not allow it. */
  #withheld: WeakMap<Reader, WeakSet<Entry>> | undefined
  /** Latest message for readers with a filter, which share it: the published object, or parsed from `body`. */
  #parsed: { body: string, message: Message } | undefined
  #newestFrame: Frame | Deflatable | undefined
  /** The latest frame that was built for a reader that was behind. */
  #built: { entry: Entry, from: number, since: number, last: number, id: number, frame: Frame | Deflatable } | undefined

  get length (): number {
    return this.#entries.length
  }

  get evicted (): number {
    return this.#evicted
  }

  get beginning (): number {
    return this.#beginning
  }

  append (body: string, now: number, parsed?: Publication): void {
    this.head++
    this.#newest = body
    this.#newestFrame = undefined
    if (parsed !== undefined && this.readers.at(0)?.sees !== undefined) this.#parsed = { body, message: parsed as Message }
    const publication = tellingOf(body, parsed)
    if (publication === undefined || !this.#merge(publication, body, now)) this.#add(body, now)
    if (publication !== undefined) this.#mind(publication)
    this.wakeAll()
    if (this.#endHistory(this.limits.size, -Infinity)) this.#evict()
  }

  /** Returns the author of a retained message; `undefined` when the log has none with this id. Messages of the app have no `userId`. */
  authorOf (messageId: string): { userId?: unknown } | undefined {
    const entry = this.#byId.get(messageKey(messageId))
    if (entry === undefined) return undefined
    const data = entry.text === undefined ? (JSON.parse(entry.body) as Telling).data : entry.text.head
    return { userId: data?.user_id }
  }

  /** Whether the log has a user's message with this text, and with this id or as a repetition of it. */
  hasSaid (messageId: string, content: string): boolean {
    return [messageKey(messageId), repeatKey(messageId)].some(key => {
      const body = this.#byId.get(key)?.body ?? ''
      const { role, content: said } = (body === '' ? {} : (JSON.parse(body) as Telling).data) ?? {}
      return role === 'user' && said === content
    })
  }

  /** Whether a run of this message was queued or started. */
  hasRunOf (messageId: string): boolean {
    for (const { body } of this.#entries) {
      if (body.startsWith('{"type":"run_') && body.includes(messageId) && (JSON.parse(body) as Telling).data?.message_id === messageId) return true
    }
    return false
  }

  /** Returns the messages that close the open parts of a run; `undefined` when the run is over. */
  unfinished (runId: string): Message[] | undefined {
    return unfinished(this.#entries, runId)
  }

  /** Returns the unfinished messages of a run, in the form in which they are saved. */
  unfinishedAnswers (runId: string): Array<Record<string, any>> {
    return unfinishedAnswers(this.#entries, runId)
  }

  /** Merges a publication into the entry of its message, part or tool, or creates that entry. Returns `false` for other publications. */
  #merge ({ type, data = {}, timestamp = '' }: Telling, body: string, now: number): boolean {
    const { message_id: messageId, kind, part_id: partId, call_id: callId } = data
    const growth = keyedGrowthOf(type, data)
    if (growth?.at !== undefined) {
      if (this.#isFinal(growth.key)) return false
      this.#extend(growth, { type, data, timestamp, body }, now)
    } else if (growth?.isOpen) this.#snapshot(growth, { type, data, timestamp, body }, now)
    else if (growth !== undefined) this.#noteRepeat(this.#finish(growth.key, body, now), data)
    else if (type === 'chat_part' && typeof messageId === 'string' && typeof partId === 'string') this.#replace(partKey(messageId, kind, partId), body, now)
    else if (type.startsWith('tool_') && typeof callId === 'string') this.#addTool(type, { callId, messageId }, body, now)
    else return false
    return true
  }

  #addTool (type: string, { callId, messageId }: { callId: string, messageId: unknown }, body: string, now: number): void {
    // Progress of an earlier call with this id, or of this one, does not matter any more.
    if (type !== 'tool_progress') this.#empty(progressKey(callId))
    if (type === 'tool_call') {
      const key = partKey(messageId, 'tool', callId)
      // The call replaces its arguments, which were being written.
      const isWritten = this.#byId.get(key)?.text !== undefined
      this.#name(isWritten ? this.#replace(key, body, now) : this.#add(body, now), callKey(callId))
    } else if (type === 'tool_progress') this.#link(callId, this.#replace(progressKey(callId), body, now))
    else {
      const call = this.#link(callId, this.#add(body, now))
      // Progress after the output is from a server that was taken for dead.
      if (call !== undefined) this.#name(call, undefined)
    }
  }

  /** Makes the output or the latest progress of a tool known to its call. Returns the call; `undefined` if it is not retained. */
  #link (callId: string, later: Entry): Entry | undefined {
    const call = this.#byId.get(callKey(callId))
    if (call === undefined) return undefined
    call.later = later
    later.call = call
    return call
  }

  /** Protects a run from `run_queued` or `run_started` until `run_finished`. */
  #mind ({ type, data = {} }: Telling): void {
    const { run_id: runId, message_id: messageId } = data
    if (type === 'run_queued' || type === 'run_started') this.#protect(String(runId), String(messageId))
    if (type === 'run_finished') this.#unprotect(String(runId))
  }

  /** Protects a run from the message that started it, or else from its first publication. */
  #protect (runId: string, messageId: string): void {
    if (this.#runs?.has(runId)) return
    this.#runs ??= new Map()
    this.#runs.set(runId, this.#byId.get(messageKey(messageId))?.first ?? this.head)
  }

  #unprotect (runId: string): void {
    this.#runs?.delete(runId)
    // Frees the map: most chats have no active run.
    if (this.#runs?.size === 0) this.#runs = undefined
  }

  #add (body: string, now: number, id?: string): Entry {
    const entry: Entry = {
      first: this.head,
      last: this.head,
      time: now,
      bytes: 0,
      id,
      alias: undefined,
      body,
      text: undefined,
      later: undefined,
      call: undefined,
      previous: undefined,
      next: undefined
    }
    if (this.#entries === emptyDeque) this.#entries = new Deque()
    this.#entries.push(entry)
    this.#newestEntry = entry
    this.#resize(entry, memoryOf(body))
    return entry
  }

  #entryOf (id: string, now: number): Entry {
    const entry = this.#byId.get(id)
    if (entry === undefined) {
      const added = this.#add('', now, id)
      this.#byId.set(id, added)
      return added
    }
    this.#merged.moveToEnd(entry)
    entry.last = this.head
    entry.time = now
    this.#newestEntry = entry
    return entry
  }

  #replace (id: string, body: string, now: number): Entry {
    const entry = this.#entryOf(id, now)
    entry.text = undefined
    entry.body = body
    this.#resize(entry, memoryOf(body))
    return entry
  }

  #finish (key: string, body: string, now: number): Entry {
    this.#reopen(key)
    return this.#replace(key, body, now)
  }

  /** Makes a message known as the latest repetition of another one. */
  #noteRepeat (entry: Entry, { repeats }: Record<string, unknown>): void {
    if (typeof repeats === 'string') this.#name(entry, repeatKey(repeats))
  }

  /** Sets or removes the second key of an entry. */
  #name (entry: Entry, alias: string | undefined): void {
    this.#unname(entry, entry.alias)
    entry.alias = alias
    if (alias !== undefined) this.#byId.set(alias, entry)
    this.#resize(entry, memoryOf(entry.body))
  }

  #unname (entry: Entry, key: string | undefined): void {
    if (key !== undefined && this.#byId.get(key) === entry) this.#byId.delete(key)
  }

  /** Starts a new entry for a finished text that is published again. Evicting its old entry would end the history at its new offset. */
  #reopen (key: string): void {
    if (this.#byId.get(key)?.text === undefined) this.#empty(key)
  }

  /** Whether a text has its final form. Later deltas are from a server that was taken for dead and continues: clients ignore them. */
  #isFinal (key: string): boolean {
    const entry = this.#byId.get(key)
    return entry !== undefined && entry.text === undefined
  }

  #extend ({ key, at = 0, text }: KeyedGrowth, { type, data, timestamp, body }: Growing, now: number): void {
    const entry = this.#entryOf(key, now)
    const known = entry.text?.text
    const head = { ...entry.text?.head, ...headOf(type, data) }
    if (known?.length === at) {
      Object.assign(entry.text!, { head, timestamp })
      known.append(this.head, text)
    } else {
      // The delta does not continue the known text, so readers get the whole text.
      const whole = known !== undefined && known.base <= at ? withDelta(known.slice(0), at - known.base, text) : undefined
      const growing = new GrowingText(this.head - 1, whole === undefined ? at : known!.base)
      growing.append(this.head, whole ?? text)
      entry.text = { text: growing, form: formOfType(type), head, timestamp }
      entry.body = ''
    }
    this.#resize(entry, entry.text!.text.bytes + body.length - text.length)
  }

  #snapshot ({ key, text: content }: KeyedGrowth, { type, data, timestamp, body }: Growing, now: number): void {
    this.#reopen(key)
    const entry = this.#entryOf(key, now)
    const text = new GrowingText(this.head - 1)
    text.append(this.head, content)
    entry.text = { text, form: formOfType(type), head: headOf(type, data), timestamp }
    entry.body = ''
    this.#resize(entry, text.bytes + body.length - content.length)
  }

  /** Empties an entry: it is no longer read, and is evicted with the entries around it. */
  #empty (id: string): void {
    const entry = this.#byId.get(id)
    if (entry === undefined) return
    this.#forget(entry)
    entry.last = 0
    entry.body = ''
    this.#resize(entry, 0)
  }

  #forget (entry: Entry): void {
    this.#unname(entry, entry.id)
    this.#unname(entry, entry.alias)
    this.#merged.delete(entry)
    if (entry.later !== undefined) entry.later.call = undefined
    if (entry.call !== undefined) entry.call.later = undefined
  }

  /** Sets the size of an entry. `content`: its bytes without the overhead that every entry has. */
  #resize (entry: Entry, content: number): void {
    const bytes = content + entryOverhead + bytesOfKey(entry.id) + bytesOfKey(entry.alias)
    const more = bytes - entry.bytes
    entry.bytes = bytes
    this.bytes += more
    if (this.#expired > 0 && entry.first < (this.#entries.at(this.#expired)?.first ?? Infinity)) this.#lag += more
  }

  expire (now: number): void {
    if (this.#endHistory(Infinity, now - this.limits.ttl)) this.#evict()
  }

  trim (): void {
    this.lookSoon()
    if (this.#expired > 0) this.#evict()
  }

  shift (): number {
    const entry = this.#entries.shift()
    if (entry === undefined) return 0
    if (this.#expired > 0) {
      this.#expired--
      this.#lag -= entry.bytes
    }
    this.#forget(entry)
    this.bytes -= entry.bytes
    this.#evicted = Math.max(this.#evicted, entry.last)
    this.#begin(entry)
    return entry.bytes
  }

  /**
   * Moves the oldest entries out of the history: those beyond `size` entries and those from before `since`. Stops at the entries of an
   * unfinished run. Returns `true` when any entry was moved.
   */
  #endHistory (size: number, since: number): boolean {
    const before = this.#expired
    let oldest = this.#overdue(size, since)
    if (oldest === undefined) return false
    if (this.bytes > this.limits.lag * maxHeld) this.#letGo()
    let kept = Infinity
    for (const first of this.#runs?.values() ?? []) kept = Math.min(kept, first)
    while (oldest !== undefined && oldest.first < kept) {
      this.#expired++
      this.#lag += oldest.bytes
      this.#begin(oldest)
      oldest = this.#overdue(size, since)
    }
    return this.#expired > before
  }

  /** The oldest entry of the history, if it is beyond `size` or from before `since`. */
  #overdue (size: number, since: number): Entry | undefined {
    const oldest = this.#entries.at(this.#expired)
    const isOver = this.#entries.length - this.#expired > size
    return oldest !== undefined && (isOver || oldest.time < since) ? oldest : undefined
  }

  /** Stops protecting the oldest run: one this large must have lost its end. */
  #letGo (): void {
    const [runId] = this.#runs?.keys() ?? []
    if (runId !== undefined) this.#unprotect(runId)
  }

  /** Begins the history after an entry. A message that continues later is sent as a whole to readers that begin there. */
  #begin ({ last }: Entry): void {
    this.#beginning = Math.max(this.#beginning, last)
  }

  /** Evicts entries outside the history. Keeps unread entries, up to `limits.lag` bytes. */
  #evict (): void {
    if (this.#expired === 0) return
    if (!this.#isOldestRead()) this.look(this.#lag > this.limits.lag)
    while (this.#expired > 0 && this.#isOldestRead()) this.shift()
    if (this.#lag <= this.limits.lag) return
    // The readers are too slow. Evicts down to half of the limit, so that this is seldom necessary.
    while (this.#lag * 2 > this.limits.lag) this.shift()
  }

  #isOldestRead (): boolean {
    return this.readers.length === 0 || (this.#entries.at(0)?.last ?? Infinity) <= this.floor
  }

  protected clear (head: number): void {
    this.#entries = emptyDeque
    this.#byId.clear()
    this.#merged.clear()
    this.#runs = undefined
    this.#expired = 0
    this.#lag = 0
    this.#beginning = head
    this.#evicted = head
    this.#newest = ''
    this.#newestEntry = undefined
  }

  override release (): void {
    this.#newestFrame = undefined
    this.#parsed = undefined
    this.#built = undefined
  }

  override skipToHead (reader: Reader): void {
    super.skipToHead(reader)
    reader.ahead = undefined
  }

  behind (reader: Reader): number {
    const { offset } = reader
    let count = 0
    const visit = (entry: Entry) => { if (entry.last > offset && !this.#isAhead(entry, reader) && this.#isSeen(entry, reader)) count++ }
    for (let at = this.#indexAfter(offset); at < this.#entries.length; at++) visit(this.#entries.at(at)!)
    for (let entry = this.#merged.newest; entry !== undefined && entry.last > offset; entry = entry.previous) {
      if (entry.first <= offset) visit(entry)
    }
    return count
  }

  read (reader: Reader, room: number, textOnly = false): Frame {
    if (reader.offset === this.head) return ''
    const { isDeflated = false } = reader
    if (reader.offset === this.head - 1 && reader.ahead === undefined && this.#newest !== '') {
      this.#newestFrame ??= this.frameOf(this.position, this.#newest)
      const frame = formOf(this.#newestFrame, isDeflated)
      const isHidden = !this.#mayRead(this.#newestEntry!, reader)
      if (!isHidden && this.#isWithheld(this.#newestEntry!, reader)) return this.#catchUp(reader, isDeflated, room, textOnly)
      if (textOnly && typeof frame !== 'string' && !isHidden) return ''
      reader.offset = this.head
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
        const upTo = (due[index + 1]?.at ?? this.head + 1) - 1
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
      this.skipToHead(reader)
      return text
    }
  }

  /** Returns the next entries that a reader must be sent, in order: at most `dueAtOnce` and one more. */
  #dueAfter (reader: Reader): Due[] {
    const { offset, ahead } = reader
    const due: Due[] = []
    for (let entry = this.#merged.newest; entry !== undefined && entry.last > offset; entry = entry.previous) {
      const read = Math.max(offset, ahead?.get(entry) ?? 0)
      if (entry.first <= offset && entry.last > read) due.push({ entry, at: entry.text?.text.nextAfter(read) ?? entry.last })
    }
    const merged = due.length
    for (let at = this.#indexAfter(offset); at < this.#entries.length && due.length - merged <= dueAtOnce; at++) {
      const entry = this.#entries.at(at)!
      if (entry.last !== 0 && !this.#isAhead(entry, reader)) due.push({ entry, at: entry.first })
    }
    return merged === 0 ? due : due.sort((a, b) => a.at - b.at).slice(0, dueAtOnce + 1)
  }

  /** Index of the first entry whose publications all come after `offset`. */
  #indexAfter (offset: number): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#entries.at(middle)!.first <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Returns the output or the latest progress of a tool, if a reader that lacks the call gets both in one frame. */
  #laterOf (call: Entry, reader: Reader): Entry | undefined {
    const { later } = call
    if (later === undefined || call.last > (reader.joined ?? 0)) return undefined
    return this.#isSeen(call, reader) && this.#isSeen(later, reader) ? later : undefined
  }

  /** Whether a reader has read an entry before its turn, or reads it together with its call. */
  #isAhead (entry: Entry, reader: Reader): boolean {
    const { call } = entry
    const { offset, ahead } = reader
    if (ahead?.get(entry) === entry.last) return true
    return call !== undefined && call.last > Math.max(offset, ahead?.get(call) ?? 0) && this.#laterOf(call, reader) === entry
  }

  /**
   * Builds the frame with the part of an entry that a reader lacks, and with its `later` entry. `id`: offset up to which the reader has
   * read after this frame.
   */
  #build (entry: Entry, reader: Reader, id: number, later?: Entry): Frame | Deflatable {
    const { last } = later ?? entry
    // A reader from which a part was withheld gets the whole message.
    const from = this.#isWithheld(entry, reader) ? 0 : reader.ahead?.get(entry) ?? reader.offset
    const since = this.#beginning
    const built = this.#built
    const isBuilt = built?.entry === entry && built.from === from && built.since === since && built.last === last && built.id === id
    if (isBuilt) return built.frame
    const content = entry.text === undefined ? entry.body : restOf(entry.text, from, since)
    const body = later === undefined ? content : withCall(later.body, content)
    const frame = this.frameOf({ epoch: this.epoch, offset: id }, body)
    this.#built = { entry, from, since, last, id, frame }
    return frame
  }

  /** Whether a reader may read an entry. The filter gets an unfinished message with an empty `content`. */
  #isSeen ({ body, text }: Entry, { sees }: Reader): boolean {
    if (sees === undefined) return true
    if (text === undefined) return sees(this.#parse(body))
    const { type, data: { status: _, ...data }, timestamp } = wholeOf(text, '', '')
    return sees({ type, data, timestamp } as Message)
  }

  /** Like `#isSeen`, for an entry that is read now: remembers that a part of a message was withheld. */
  #mayRead (entry: Entry, reader: Reader): boolean {
    const isVisible = this.#isSeen(entry, reader)
    if (!isVisible && entry.text !== undefined) this.#withhold(entry, reader)
    return isVisible
  }

  #withhold (entry: Entry, reader: Reader): void {
    this.#withheld ??= new WeakMap()
    const entries = this.#withheld.get(reader) ?? new WeakSet()
    this.#withheld.set(reader, entries.add(entry))
  }

  #isWithheld (entry: Entry, reader: Reader): boolean {
    return this.#withheld?.get(reader)?.has(entry) === true
  }

  #parse (body: string): Message {
    if (this.#parsed?.body !== body) this.#parsed = { body, message: JSON.parse(body) as Message }
    return this.#parsed.message
  }
}

/** Marks everything up to an offset as read, and one entry as read completely. */
function move (reader: Reader, entry: Entry, upTo: number): void {
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

const bytesOfKey = (key: string | undefined) => key === undefined ? 0 : idOverhead + key.length
const callKey = (callId: string) => `call ${callId}`
const progressKey = (callId: string) => `progress ${callId}`
const repeatKey = (messageId: string) => `repeat ${messageId}`
