import { TypeGuard, type TSchema } from '@sinclair/typebox'
import { TypeCompiler, type TypeCheck } from '@sinclair/typebox/compiler'
import { errors, isBrokersFailure } from '../../errors.js'
import type { Outcome } from '../../protocol/chat.js'
import type { Question } from '../hooks.js'
import { formatFault } from '../../server/messages/formats.js'
import type { RunContext } from './context.js'
import type { PartOutlet, OpenPart } from './part.js'

export interface QuestionParts {
  context: RunContext
  outlet: PartOutlet
  requestId: string
  runId: string
  question: Question
  /** Milliseconds; `Infinity`: as long as the run. */
  timeout: number
  onClosed: (question: LiveQuestion) => void
}

/** A question that is open, until the first answer that matches. */
export class LiveQuestion implements OpenPart {
  readonly id: string
  readonly answered: Promise<unknown>
  readonly #parts: QuestionParts
  #check: TypeCheck<TSchema> | undefined
  #isClosed = false
  #settle!: { resolve: (value: unknown) => void, reject: (error: unknown) => void }
  #stopClock = () => {}

  constructor (parts: QuestionParts) {
    this.id = parts.requestId
    this.#parts = parts
    this.answered = new Promise((resolve, reject) => { this.#settle = { resolve, reject } })
  }

  /** Rejects nothing: what goes wrong, `answered` rejects with. */
  async ask (): Promise<void> {
    const { context: { timers }, runId, question: { prompt, schema, component }, timeout, outlet } = this.#parts
    try {
      if (schema !== undefined) this.#check = checkOf(schema)
      const expiresAt = timeout === Infinity ? undefined : new Date(Date.now() + timeout).toISOString()
      const stored = outlet.publish('input_request', { request_id: this.id, run_id: runId, prompt, schema, component, expires_at: expiresAt })
      if (timeout !== Infinity) this.#stopClock = timers.after(timeout, () => this.#end('timeout', new errors.NO_ANSWER(timeout)))
      if (stored instanceof Promise) await stored
    } catch (error) {
      // A broker that did not answer may have stored it after all.
      if (isBrokersFailure(error)) return this.#end('error', error)
      this.#isClosed = true
      this.#parts.onClosed(this)
      this.#settle.reject(error)
    }
  }

  /** What is wrong with the value, and then the question stays open; `undefined` when nothing is. */
  answer (value: unknown, userId: string): string | undefined {
    const fault = this.#check?.Errors(value).First()
    if (fault !== undefined) return `/value${fault.path} ${fault.message}`
    this.#end('answered', undefined, { value, user_id: userId })
    this.#settle.resolve(value)
    return undefined
  }

  close (outcome: Outcome): void {
    // The handler is done without its answer.
    this.#end(outcome === 'complete' ? 'interrupted' : outcome, new errors.RUN_ENDED(outcome))
  }

  #end (reason: Outcome | 'timeout' | 'answered', error?: Error, answer: { value?: unknown, user_id?: string } = {}): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#stopClock()
    const { outlet, runId, onClosed } = this.#parts
    onClosed(this)
    outlet.deliver('input_closed', { request_id: this.id, run_id: runId, reason, ...answer })
    if (error !== undefined) this.#settle.reject(error)
  }
}

/** Throws a TypeError when no answer would match. */
function checkOf (schema: TSchema): TypeCheck<TSchema> {
  if (!TypeGuard.IsSchema(schema)) throw new TypeError("the schema of 'ask' is none of TypeBox: make it with Type.Object({ … })")
  const fault = formatFault(schema)
  if (fault !== undefined) throw new TypeError(`the schema of 'ask' ${fault}`)
  return TypeCompiler.Compile(schema)
}
