import { Deque, emptyDeque } from '../../logs/deque.js'
import { entryOverhead } from '../../logs/log.js'
import { memoryOf } from '../../logs/size.js'
import { keyedGrowthOf, partKey, type KeyedGrowth } from '../../protocol/growth.js'
import { ByLast } from './by-last.js'
import type { ChatEntry } from './entry.js'
import type { Telling } from './telling.js'
import { begun, extended, type Streaming, type TextPublication } from './text/streaming.js'

/** Publication that is being appended. */
interface Appended {
  readonly offset: number
  readonly body: string
  /** Time at which it is appended, in ms. */
  readonly now: number
}

type Growing = Appended & TextPublication

/** Bytes of bookkeeping for a key of an entry, beside its characters. */
const keyOverhead = 130

/**
 * Content of a chat: publications in the order of their offsets, where those of one message, of one part of an answer and of one tool's
 * progress are merged into one entry. The oldest entries may be `expired`: they are no longer part of the history.
 */
export class Entries {
  /** Entries in the order of their first offsets. */
  #list: Deque<ChatEntry> = emptyDeque
  /** Entries of messages, of parts and of tools, by their keys. */
  readonly #byKey = new Map<string, ChatEntry>()
  /** Entries with more than one publication. */
  readonly #merged = new ByLast<ChatEntry>()
  /** Entry of the newest publication. */
  newest: ChatEntry | undefined
  /** Number of leading entries outside the history. */
  #expired = 0
  /** Bytes of the expired entries. */
  #lag = 0
  #bytes = 0

  get length (): number {
    return this.#list.length
  }

  get expired (): number {
    return this.#expired
  }

  get lag (): number {
    return this.#lag
  }

  /** Bytes of all entries, bookkeeping included. */
  get bytes (): number {
    return this.#bytes
  }

  /** Entry at `index`, counted from the oldest; `undefined` outside of the list. */
  at (index: number): ChatEntry | undefined {
    return this.#list.at(index)
  }

  /** Entry of a message, of a part or of a tool. */
  find (key: string): ChatEntry | undefined {
    return this.#byKey.get(key)
  }

  [Symbol.iterator] (): Iterator<ChatEntry> {
    return this.#list[Symbol.iterator]()
  }

  /** Entry with several publications that changed last; those before it follow by `previous`. */
  get newestMerged (): ChatEntry | undefined {
    return this.#merged.newest
  }

  /** Index of the first entry whose publications all come after `offset`. */
  indexAfter (offset: number): number {
    let low = 0
    let high = this.#list.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#list.at(middle)!.first <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Appends a publication at the next offset. `telling`: its fields, if its type is one that may be merged. */
  append (appended: Appended, telling: Telling | undefined): void {
    if (telling === undefined || !this.#merge(telling, appended)) this.#add(appended)
  }

  /** Takes the oldest entry out of the history. */
  expireOldest (): void {
    this.#lag += this.#list.at(this.#expired)!.bytes
    this.#expired++
  }

  /** Removes and returns the oldest entry; `undefined` if there is none. */
  shift (): ChatEntry | undefined {
    const entry = this.#list.shift()
    if (entry === undefined) return undefined
    if (this.#expired > 0) {
      this.#expired--
      this.#lag -= entry.bytes
    }
    this.#forget(entry)
    this.#bytes -= entry.bytes
    return entry
  }

  clear (): void {
    this.#list = emptyDeque
    this.#byKey.clear()
    this.#merged.clear()
    this.newest = undefined
    this.#expired = 0
    this.#lag = 0
    this.#bytes = 0
  }

  /** Merges a publication into the entry of its message, part or tool, or creates that entry. Returns `false` for other publications. */
  #merge ({ type, data = {}, timestamp = '' }: Telling, appended: Appended): boolean {
    const { message_id: messageId, kind, part_id: partId, call_id: callId } = data
    const growth = keyedGrowthOf(type, data)
    if (growth?.at !== undefined) {
      if (this.#isFinal(growth.key)) return false
      this.#extend(growth, { type, data, timestamp, ...appended })
    } else if (growth?.isOpen) this.#snapshot(growth, { type, data, timestamp, ...appended })
    else if (growth !== undefined) this.#noteRepeat(this.#finish(growth.key, appended), data)
    else if (type === 'chat_part' && typeof messageId === 'string' && typeof partId === 'string') this.#replace(partKey(messageId, kind, partId), appended)
    else if (type.startsWith('tool_') && typeof callId === 'string') this.#addTool(type, { callId, messageId }, appended)
    else return false
    return true
  }

  #addTool (type: string, { callId, messageId }: { callId: string, messageId: unknown }, appended: Appended): void {
    // Progress of an earlier call with this id, or of this one, does not matter any more.
    if (type !== 'tool_progress') this.#empty(progressKey(callId))
    if (type === 'tool_call') {
      const key = partKey(messageId, 'tool', callId)
      // The call replaces its arguments, which were being written.
      const isWritten = this.#byKey.get(key)?.text !== undefined
      this.#name(isWritten ? this.#replace(key, appended) : this.#add(appended), callKey(callId))
    } else if (type === 'tool_progress') this.#link(callId, this.#replace(progressKey(callId), appended))
    else {
      const call = this.#link(callId, this.#add(appended))
      // Progress after the output is from a server that was taken for dead.
      if (call !== undefined) this.#name(call, undefined)
    }
  }

  /** Makes the output or the latest progress of a tool known to its call. Returns the call; `undefined` if it is not retained. */
  #link (callId: string, later: ChatEntry): ChatEntry | undefined {
    const call = this.#byKey.get(callKey(callId))
    if (call === undefined) return undefined
    call.later = later
    later.call = call
    return call
  }

  #add (appended: Appended, key?: string): ChatEntry {
    const entry = entryOf(appended, key)
    if (this.#list === emptyDeque) this.#list = new Deque()
    this.#list.push(entry)
    this.newest = entry
    this.#resize(entry, memoryOf(entry.body))
    return entry
  }

  #entryOf (key: string, { offset, now }: Appended): ChatEntry {
    const entry = this.#byKey.get(key)
    if (entry === undefined) {
      const added = this.#add({ offset, body: '', now }, key)
      this.#byKey.set(key, added)
      return added
    }
    this.#merged.moveToEnd(entry)
    entry.last = offset
    entry.time = now
    this.newest = entry
    return entry
  }

  #replace (key: string, appended: Appended): ChatEntry {
    const entry = this.#entryOf(key, appended)
    entry.text = undefined
    entry.body = appended.body
    this.#resize(entry, memoryOf(entry.body))
    return entry
  }

  #finish (key: string, appended: Appended): ChatEntry {
    this.#reopen(key)
    return this.#replace(key, appended)
  }

  /** Makes a message known as the latest repetition of another one. */
  #noteRepeat (entry: ChatEntry, { repeats }: Record<string, unknown>): void {
    if (typeof repeats === 'string') this.#name(entry, repeatKey(repeats))
  }

  /** Sets or removes the second key of an entry. */
  #name (entry: ChatEntry, alias: string | undefined): void {
    this.#unname(entry, entry.alias)
    entry.alias = alias
    if (alias !== undefined) this.#byKey.set(alias, entry)
    this.#resize(entry, memoryOf(entry.body))
  }

  #unname (entry: ChatEntry, key: string | undefined): void {
    if (key !== undefined && this.#byKey.get(key) === entry) this.#byKey.delete(key)
  }

  /** Starts a new entry for a finished text that is published again. Evicting its old entry would end the history at its new offset. */
  #reopen (key: string): void {
    if (this.#byKey.get(key)?.text === undefined) this.#empty(key)
  }

  /** Whether a text has its final form. Later deltas are from a server that was taken for dead and continues: clients ignore them. */
  #isFinal (key: string): boolean {
    const entry = this.#byKey.get(key)
    return entry !== undefined && entry.text === undefined
  }

  #extend (growth: KeyedGrowth, growing: Growing): void {
    const entry = this.#entryOf(growth.key, growing)
    this.#setText(entry, extended(entry.text, growth, growing), growth, growing)
  }

  #snapshot (growth: KeyedGrowth, growing: Growing): void {
    this.#reopen(growth.key)
    this.#setText(this.#entryOf(growth.key, growing), begun(growth, growing), growth, growing)
  }

  #setText (entry: ChatEntry, streaming: Streaming, { text }: KeyedGrowth, { body }: Growing): void {
    entry.text = streaming
    entry.body = ''
    this.#resize(entry, streaming.text.bytes + body.length - text.length)
  }

  /** Empties an entry: it is no longer read, and is evicted with the entries around it. */
  #empty (key: string): void {
    const entry = this.#byKey.get(key)
    if (entry === undefined) return
    this.#forget(entry)
    entry.last = 0
    entry.body = ''
    this.#resize(entry, 0)
  }

  #forget (entry: ChatEntry): void {
    this.#unname(entry, entry.key)
    this.#unname(entry, entry.alias)
    this.#merged.delete(entry)
    if (entry.later !== undefined) entry.later.call = undefined
    if (entry.call !== undefined) entry.call.later = undefined
  }

  /** Sets the size of an entry. `content`: its bytes without the overhead that every entry has. */
  #resize (entry: ChatEntry, content: number): void {
    const bytes = content + entryOverhead + bytesOfKey(entry.key) + bytesOfKey(entry.alias)
    const more = bytes - entry.bytes
    entry.bytes = bytes
    this.#bytes += more
    if (this.#expired > 0 && entry.first < (this.#list.at(this.#expired)?.first ?? Infinity)) this.#lag += more
  }
}

/** An entry with a single publication. Most have no key, and are kept small. The others have all fields, so that they have one shape. */
function entryOf ({ offset, body, now }: Appended, key: string | undefined): ChatEntry {
  if (key === undefined) return { first: offset, last: offset, time: now, bytes: 0, body }
  return {
    first: offset,
    last: offset,
    time: now,
    bytes: 0,
    body,
    key,
    alias: undefined,
    text: undefined,
    later: undefined,
    call: undefined,
    previous: undefined,
    next: undefined
  }
}

/** Key of the latest repetition of a message. */
export const repeatKey = (messageId: string) => `repeat ${messageId}`
const callKey = (callId: string) => `call ${callId}`
const progressKey = (callId: string) => `progress ${callId}`
const bytesOfKey = (key: string | undefined) => key === undefined ? 0 : keyOverhead + key.length
