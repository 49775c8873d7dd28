import { Text } from '../log/text.js'
import { errors, isBrokersFailure } from '../../errors.js'
import type { Outcome } from '../../protocol/chat.js'
import { report } from '../../server/reports/caught.js'
import type { Reply } from '../hooks.js'
import type { RunContext } from './context.js'
import { quiet, type PartOutlet, type OpenPart } from './part.js'

/** Bytes that count for a message beside its text. */
const frame = 2_048

/** Delay until text that the broker did not store is published again, in ms. */
const retryAfter = 500

/** Maximum characters that wait for the broker before the source of the reply must pause. */
const enough = 64 * 1024

export interface ReplyParts {
  context: RunContext
  outlet: PartOutlet
  id: string
  runId: string
  agent: string | undefined
  role: string
  /** Whether the run is over: then nothing is published. */
  isOver: boolean
  /** Counts bytes of the run. Returns `false` when the run is over, also because these bytes exceed its limit. */
  charge: (bytes: number) => boolean
  /** Ends the run, because the reply is too long. */
  fail: (error: Error) => void
  onClosed: (reply: LiveReply) => void
}

/** A message that is being written: publishes deltas, and then its final form. */
export class LiveReply implements Reply, OpenPart {
  readonly id: string
  readonly #parts: ReplyParts
  readonly #text = new Text()
  /** Fields of every publication of this reply. */
  readonly #head: { message_id: string, run_id: string, agent?: string, role?: string }
  /** Number of characters that were passed to the broker. */
  #sent = 0
  #bytes: number
  #isDue = false
  #storing: Promise<unknown> | undefined
  #closed: Promise<void> | undefined

  constructor (parts: ReplyParts) {
    const { id, runId, agent, role } = parts
    this.id = id
    this.#parts = parts
    // The default role of a delta is `assistant`.
    this.#head = { message_id: id, run_id: runId, ...(agent !== undefined && { agent }), ...(role !== 'assistant' && { role }) }
    this.#bytes = frame + JSON.stringify(this.#head).length
    if (parts.isOver) this.#closed = Promise.resolve()
  }

  get text (): string {
    return this.#text.slice()
  }

  /** Whether the source must pause until the broker has stored more. */
  get isFull (): boolean {
    return this.#text.length - this.#sent > enough
  }

  /** Resolves when the broker has answered; `undefined` when no delta is being stored. */
  get stored (): Promise<unknown> | undefined {
    return this.#storing
  }

  write (text: string): boolean {
    if (typeof text !== 'string') throw new TypeError(`'write' takes a string, not ${typeof text}`)
    if (this.#closed !== undefined) return false
    if (text === '') return true
    const bytes = Buffer.byteLength(JSON.stringify(text)) - 2
    const { charge, fail, context: { limits } } = this.#parts
    if (this.#bytes + bytes > limits.message) {
      fail(new errors.REPLY_TOO_LONG(limits.message))
      return false
    }
    if (!charge(bytes)) return false
    this.#bytes += bytes
    this.#text.append(text)
    this.#soon()
    return true
  }

  end (): Promise<void> {
    return this.#close('complete')
  }

  fail (error?: unknown): Promise<void> {
    if (this.#closed === undefined && error !== undefined) report(this.#parts.context.log, error, 'a reply failed', { messageId: this.id })
    return this.#close('error')
  }

  close (outcome: Outcome): void {
    this.#close(outcome)
  }

  #close (status: Outcome): Promise<void> {
    if (this.#closed !== undefined) return this.#closed
    const { context, outlet, role, onClosed } = this.#parts
    const message = { ...this.#head, role, content: this.text, status }
    // No delta may follow the final form.
    this.#sent = this.#text.length
    this.#closed = quiet(Promise.resolve(outlet.deliver('chat_message', message)))
    context.save(message)
    onClosed(this)
    return this.#closed
  }

  /** Publishes the text that was written since the last delta. Called before anything else of the run is published. */
  flush (): void {
    this.#isDue = false
    const at = this.#sent
    if (this.#text.length === at || this.#storing !== undefined) return
    this.#sent = this.#text.length
    try {
      const stored = this.#parts.outlet.publish('chat_delta', { ...this.#head, at, text: this.#text.slice(at) })
      if (stored instanceof Promise) this.#await(stored, at)
    } catch (error) {
      this.#again(at, error)
    }
  }

  #await (stored: Promise<unknown>, at: number): void {
    this.#storing = stored.then(() => {
      this.#storing = undefined
      // Publishes the text that was written meanwhile.
      this.#soon()
    }, error => {
      this.#storing = undefined
      this.#again(at, error)
    })
  }

  /** Publishes the text from `at` again. This is safe if it was stored: a delta with the same `at` replaces the earlier one. */
  #again (at: number, error: unknown): void {
    if (this.#closed !== undefined) return
    this.#sent = at
    const { context: { timers, log } } = this.#parts
    if (!isBrokersFailure(error)) return report(log, error, 'a part of a reply was not sent', { messageId: this.id })
    timers.after(retryAfter, () => this.#soon())
  }

  #soon (): void {
    if (this.#isDue || this.#closed !== undefined) return
    this.#isDue = true
    this.#parts.context.soon(() => this.flush())
  }
}
