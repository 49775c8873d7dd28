import type { Message } from '../../protocol/envelope.js'
import { messageKey } from '../../protocol/growth.js'
import { Log, type Frame, type FrameOf, type LogLimits, type Publication, type Reader } from '../../logs/log.js'
import { unfinishedAnswers } from './answers.js'
import { Entries, repeatKey } from './entries.js'
import type { ChatEntry } from './entry.js'
import { Frames } from './frames.js'
import { tellingOf, type Telling } from './telling.js'
import { unfinished } from './unfinished.js'

/** Multiple of `limits.lag` up to which a log may grow to protect unfinished runs. */
const maxHeld = 4

/**
 * Log of a chat. It keeps the current content of the chat, not each change: a message is one entry, however many deltas it was
 * written in. A reader that is behind gets the missing part of a message as one delta, or the whole message. A finished message is
 * kept once, in its final form, and only the latest progress of a tool is kept. A reader that came after a tool was called gets the call
 * and its output or latest progress in one frame. `size` and `ttl` do not evict the publications of
 * an unfinished run, however long it waits and takes, unless the log exceeds `maxHeld`.
 */
export class ChatLog extends Log {
  readonly #entries = new Entries()
  readonly #frames: Frames
  /** First offset that each unfinished run protects, by run id, in the order in which the runs became known. */
  #runs: Map<string, number> | undefined
  #beginning = 0
  #evicted = 0

  constructor (epoch: string, limits: LogLimits, frameOf?: FrameOf) {
    super(epoch, limits, frameOf)
    this.#frames = new Frames(this.#entries, this, this.frameOf)
  }

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
    this.#frames.appended(body, this.readers.at(0)?.sees === undefined ? undefined : parsed as Message | undefined)
    const telling = tellingOf(body, parsed)
    this.#entries.append({ offset: this.head, body, now }, telling)
    this.bytes = this.#entries.bytes
    if (telling !== undefined) this.#mind(telling)
    this.wakeAll()
    if (this.#endHistory(this.limits.size, -Infinity)) this.#evict()
  }

  expire (now: number): void {
    if (this.#endHistory(Infinity, now - this.limits.ttl)) this.#evict()
  }

  trim (): void {
    this.lookSoon()
    if (this.#entries.expired > 0) this.#evict()
  }

  shift (): number {
    const entry = this.#entries.shift()
    if (entry === undefined) return 0
    this.bytes = this.#entries.bytes
    this.#evicted = Math.max(this.#evicted, entry.last)
    this.#begin(entry)
    return entry.bytes
  }

  protected clear (head: number): void {
    this.#entries.clear()
    this.#frames.clear()
    this.#runs = undefined
    this.#beginning = head
    this.#evicted = head
  }

  override release (): void {
    this.#frames.release()
  }

  override skipToHead (reader: Reader): void {
    super.skipToHead(reader)
    reader.ahead = undefined
  }

  behind (reader: Reader): number {
    return this.#frames.behind(reader)
  }

  read (reader: Reader, room: number, textOnly = false): Frame {
    return reader.offset === this.head ? '' : this.#frames.read(reader, room, textOnly)
  }

  /** Returns the author of a retained message; `undefined` when the log has none with this id. Messages of the app have no `userId`. */
  authorOf (messageId: string): { userId?: unknown } | undefined {
    const entry = this.#entries.find(messageKey(messageId))
    if (entry === undefined) return undefined
    const data = entry.text === undefined ? (JSON.parse(entry.body) as Telling).data : entry.text.head
    return { userId: data?.user_id }
  }

  /** Whether the log has a user's message with this text, and with this id or as a repetition of it. */
  hasSaid (messageId: string, content: string): boolean {
    return [messageKey(messageId), repeatKey(messageId)].some(key => {
      const body = this.#entries.find(key)?.body ?? ''
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
    this.#runs.set(runId, this.#entries.find(messageKey(messageId))?.first ?? this.head)
  }

  #unprotect (runId: string): void {
    this.#runs?.delete(runId)
    // Frees the map: most chats have no active run.
    if (this.#runs?.size === 0) this.#runs = undefined
  }

  /** Stops protecting the oldest run: one this large must have lost its end. */
  #letGo (): void {
    const [runId] = this.#runs?.keys() ?? []
    if (runId !== undefined) this.#unprotect(runId)
  }

  /**
   * Moves the oldest entries out of the history: those beyond `size` entries and those from before `since`. Stops at the entries of an
   * unfinished run. Returns `true` when any entry was moved.
   */
  #endHistory (size: number, since: number): boolean {
    const before = this.#entries.expired
    let oldest = this.#overdue(size, since)
    if (oldest === undefined) return false
    if (this.bytes > this.limits.lag * maxHeld) this.#letGo()
    let kept = Infinity
    for (const first of this.#runs?.values() ?? []) kept = Math.min(kept, first)
    while (oldest !== undefined && oldest.first < kept) {
      this.#entries.expireOldest()
      this.#begin(oldest)
      oldest = this.#overdue(size, since)
    }
    return this.#entries.expired > before
  }

  /** The oldest entry of the history, if it is beyond `size` or from before `since`. */
  #overdue (size: number, since: number): ChatEntry | undefined {
    const { expired, length } = this.#entries
    const oldest = this.#entries.at(expired)
    return oldest !== undefined && (length - expired > size || oldest.time < since) ? oldest : undefined
  }

  /** Begins the history after an entry. A message that continues later is sent as a whole to readers that begin there. */
  #begin ({ last }: ChatEntry): void {
    this.#beginning = Math.max(this.#beginning, last)
  }

  /** Evicts entries outside the history. Keeps unread entries, up to `limits.lag` bytes. */
  #evict (): void {
    if (this.#entries.expired === 0) return
    if (!this.#isOldestRead()) this.look(this.#entries.lag > this.limits.lag)
    while (this.#entries.expired > 0 && this.#isOldestRead()) this.shift()
    if (this.#entries.lag <= this.limits.lag) return
    // The readers are too slow. Evicts down to half of the limit, so that this is seldom necessary.
    while (this.#entries.lag * 2 > this.limits.lag) this.shift()
  }

  #isOldestRead (): boolean {
    return this.readers.length === 0 || (this.#entries.at(0)?.last ?? Infinity) <= this.floor
  }
}
