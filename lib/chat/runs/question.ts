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
  /** Time for an answer, in ms. `Infinity`: until the run ends. */
  timeout: number
  onClosed: (question: LiveQuestion) => void
}

/** A question to the user, open until the first answer that matches its schema. */
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

  /** Publishes the question. Never rejects: `answered` rejects with the error. */
  async ask (): Promise<void> {
    const { context: { timers }, runId, question: { prompt, schema, component, callId, fields }, timeout, outlet } = this.#parts
    try {
      if (schema !== undefined) this.#check = checkOf(schema)
      const expiresAt = timeout === Infinity ? undefined : new Date(Date.now() + timeout).toISOString()
      const stored = outlet.publish('input_request', {
        ...fields, request_id: this.id, run_id: runId, prompt, schema, component, call_id: callId, expires_at: expiresAt
      })
      if (timeout !== Infinity) this.#stopClock = timers.after(timeout, () => this.#end('timeout', new errors.NO_ANSWER(timeout)))
      if (stored instanceof Promise) await stored
    } catch (error) {
      // A broker that did not answer may have stored the question, so it is closed like an open one.
      if (isBrokersFailure(error)) return this.#end('error', error)
      this.#isClosed = true
      this.#parts.onClosed(this)
      this.#settle.reject(error)
    }
  }

  /** Accepts an answer and returns `undefined`. Returns a fault, and stays open, when the value does not match the schema. */
  answer (value: unknown, userId: string): string | undefined {
    const fault = this.#check?.Errors(value).First()
    if (fault !== undefined) return `/value${fault.path} ${fault.message}`
    this.#end('answered', undefined, { value, user_id: userId })
    this.#settle.resolve(value)
    return undefined
  }

  close (outcome: Outcome): void {
    // In a complete run, the handler returned without waiting for the answer.
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

/** Compiles a schema. Throws a TypeError when it is not one of TypeBox, or has an unknown format. */
function checkOf (schema: TSchema): TypeCheck<TSchema> {
  if (!TypeGuard.IsSchema(schema)) throw new TypeError("the schema of 'ask' is not a TypeBox schema: create it with Type.Object({ … })")
  const fault = formatFault(schema)
  if (fault !== undefined) throw new TypeError(`the schema of 'ask' ${fault}`)
  return TypeCompiler.Compile(schema)
}
