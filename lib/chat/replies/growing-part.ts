import { Text } from '../log/text/text.js'
import { isBrokersFailure } from '../../errors.js'
import type { Messages } from '../../protocol/envelope.js'
import { report } from '../../server/reports/caught.js'
import type { SavedPart } from '../hooks.js'
import type { RunContext } from '../runs/context.js'
import { quiet, type PartOutlet } from '../runs/part.js'

/** Delay until text that the broker did not store is published again, in ms. */
const retryAfter = 500

/** Maximum characters that wait for the broker before the source of the text must pause. */
const sourceHighWater = 64 * 1024

/** Types of the publications of a text, and the field of the whole text. */
interface Form {
  readonly delta: 'chat_delta' | 'chat_part_delta'
  readonly whole: 'chat_message' | 'chat_part'
  readonly field: 'content' | 'text'
}

export const messageForm: Form = { delta: 'chat_delta', whole: 'chat_message', field: 'content' }
export const partForm: Form = { delta: 'chat_part_delta', whole: 'chat_part', field: 'text' }

export interface GrowingPartParts {
  context: Pick<RunContext, 'timers' | 'log' | 'soon'>
  outlet: PartOutlet
  form: Form
  /** Fields of every publication. */
  head: Record<string, unknown>
  /** Fields of the final form alone. */
  tail?: Record<string, unknown>
  /** Kind and id in the form in which it is saved. */
  about?: { kind: 'text' | 'reasoning', part_id: string }
  /** Counts bytes. Returns `false` when nothing more may be written. */
  charge: (bytes: number) => boolean
  onClosed: (part: GrowingPart) => void
}

/** A text that is written in pieces: publishes deltas, and then its final form. */
export class GrowingPart {
  readonly #parts: GrowingPartParts
  readonly #text = new Text()
  /** Number of characters that were passed to the broker. */
  #sent = 0
  /** Fields for the next publication, and for the final form. */
  #news: Record<string, unknown> = {}
  #fields: Record<string, unknown> = {}
  #isToBegin = false
  #isDue = false
  #storing: Promise<unknown> | undefined
  #closed: Promise<void> | undefined

  constructor (parts: GrowingPartParts) {
    this.#parts = parts
  }

  get text (): string {
    return this.#text.slice()
  }

  /** The part so far, in the form in which it is saved. */
  get saved (): SavedPart {
    return { ...this.#fields, ...this.#parts.about!, text: this.text }
  }

  get isClosed (): boolean {
    return this.#closed !== undefined
  }

  /** Whether the source must pause until the broker has stored more. */
  get isFull (): boolean {
    return this.#text.length - this.#sent > sourceHighWater
  }

  /** Resolves when the broker has answered; `undefined` when no delta is being stored. */
  get stored (): Promise<unknown> | undefined {
    return this.#storing
  }

  /** Publishes the beginning of the text, even if nothing is written. */
  begin (): void {
    this.#isToBegin = true
    this.#soon()
  }

  /** Sets fields of the next publication and of the final form. */
  set (fields: Record<string, unknown>): void {
    if (this.#closed !== undefined) return
    Object.assign(this.#news, fields)
    Object.assign(this.#fields, fields)
    this.begin()
  }

  write (text: string): boolean {
    if (typeof text !== 'string') throw new TypeError(`'write' takes a string, not ${typeof text}`)
    if (this.#closed !== undefined) return false
    if (text === '') return true
    if (!this.#parts.charge(Buffer.byteLength(JSON.stringify(text)) - 2)) return false
    this.#text.append(text)
    this.#soon()
    return true
  }

  /** Fields that were set. */
  get fields (): Record<string, unknown> {
    return this.#fields
  }

  /**
   * Publishes the final form, once. Settles like `end` of a reply. `fields`: further fields of it. `isOrdered`: it has a place among other
   * parts, and so it is published at once.
   */
  close (status: string, fields: Record<string, unknown> = {}, isOrdered = false): Promise<void> {
    if (this.#closed !== undefined) return this.#closed
    const { outlet, form, head, tail, onClosed } = this.#parts
    // A part that was never published must not be overtaken: `deliver` may wait.
    if (isOrdered && this.#sent === 0) this.flush()
    // No delta may follow the final form.
    this.#sent = this.#text.length
    Object.assign(this.#fields, fields)
    const data = { ...head, ...this.#fields, ...tail, [form.field]: this.text, status }
    this.#closed = quiet(Promise.resolve(outlet.deliver(form.whole, data as never)))
    onClosed(this)
    return this.#closed
  }

  /** Closes the part without a publication. */
  drop (): void {
    this.#closed ??= Promise.resolve()
  }

  /** Publishes the text that was written since the last delta. Called before anything else of the run is published. */
  flush (): void {
    this.#isDue = false
    const at = this.#sent
    if (this.#closed !== undefined || this.#storing !== undefined) return
    if (this.#text.length === at && !this.#isToBegin) return
    const news = this.#news
    this.#news = {}
    this.#isToBegin = false
    this.#sent = this.#text.length
    try {
      const { outlet, form, head } = this.#parts
      const stored = outlet.publish(form.delta, { ...head, ...news, at, text: this.#text.slice(at) } as Messages['chat_delta'] & Messages['chat_part_delta'])
      if (stored instanceof Promise) this.#await(stored, at, news)
    } catch (error) {
      this.#again(at, news, error)
    }
  }

  #await (stored: Promise<unknown>, at: number, news: object): void {
    this.#storing = stored.then(() => {
      this.#storing = undefined
      // Publishes the text that was written meanwhile.
      this.#soon()
    }, error => {
      this.#storing = undefined
      this.#again(at, news, error)
    })
  }

  /** Publishes the text from `at` again. This is safe if it was stored: a delta with the same `at` replaces the earlier one. */
  #again (at: number, news: object, error: unknown): void {
    if (this.#closed !== undefined) return
    this.#sent = at
    this.#isToBegin = true
    this.#news = { ...news, ...this.#news }
    const { context: { timers, log }, head } = this.#parts
    if (!isBrokersFailure(error)) return report(log, error, 'a part of a reply was not sent', { messageId: head.message_id })
    timers.after(retryAfter, () => this.#soon())
  }

  #soon (): void {
    if (this.#isDue || this.#closed !== undefined) return
    this.#isDue = true
    this.#parts.context.soon(() => this.flush())
  }
}
