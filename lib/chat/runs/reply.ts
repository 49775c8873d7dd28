import { Text } from '../log/text.js'
import { errors, isBrokersFailure } from '../../errors.js'
import type { Outcome } from '../../protocol/chat.js'
import { report } from '../../server/reports/caught.js'
import type { Reply } from '../hooks.js'
import type { RunContext } from './context.js'
import { quiet, type PartOutlet, type OpenPart } from './part.js'

/** Bytes of a message beside its text. */
const frame = 2_048

/** Milliseconds until text that could not be stored is tried again. */
const retryAfter = 500

/** A source that has so many characters waiting for the broker waits too. */
const enough = 64 * 1024

export interface ReplyParts {
  context: RunContext
  outlet: PartOutlet
  id: string
  runId: string
  agent: string | undefined
  role: string
  /** The run was over before: nothing comes of it. */
  isOver: boolean
  /** Takes bytes from what the run may have; `false` when there are not so many left, and the run is over. */
  charge: (bytes: number) => boolean
  /** Ends the run. */
  fail: (error: Error) => void
  onClosed: (reply: LiveReply) => void
}

/** A message that is being written: deltas while it grows, and its final form. */
export class LiveReply implements Reply, OpenPart {
  readonly id: string
  readonly #parts: ReplyParts
  readonly #text = new Text()
  /** What every publication about it has. */
  readonly #head: { message_id: string, run_id: string, agent?: string, role?: string }
  /** Characters that were handed to the broker. */
  #sent = 0
  #bytes: number
  #isDue = false
  #storing: Promise<unknown> | undefined
  #closed: Promise<void> | undefined

  constructor (parts: ReplyParts) {
    const { id, runId, agent, role } = parts
    this.id = id
    this.#parts = parts
    // Of a delta everybody takes it to be the assistant's.
    this.#head = { message_id: id, run_id: runId, ...(agent !== undefined && { agent }), ...(role !== 'assistant' && { role }) }
    this.#bytes = frame + JSON.stringify(this.#head).length
    if (parts.isOver) this.#closed = Promise.resolve()
  }

  get text (): string {
    return this.#text.slice()
  }

  /** It waits for the broker to take more. */
  get isFull (): boolean {
    return this.#text.length - this.#sent > enough
  }

  /** When the broker has answered. */
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
    // Nothing of it may come after its final form.
    this.#sent = this.#text.length
    this.#closed = quiet(Promise.resolve(outlet.deliver('chat_message', message)))
    context.save(message)
    onClosed(this)
    return this.#closed
  }

  /** Publishes what was written, before anything else of the run is published. */
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
      // What was written meanwhile.
      this.#soon()
    }, error => {
      this.#storing = undefined
      this.#again(at, error)
    })
  }

  /** Whether it was stored or not: a delta that begins where one before it began replaces that. */
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
