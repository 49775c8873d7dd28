import { errors, isBrokersFailure } from '../../errors.js'
import type { Outcome } from '../../protocol/chat.js'
import type { ToolContext } from '../hooks.js'
import { report } from '../../server/reports/caught.js'
import { jsonForm } from '../../server/messages/json-form.js'
import type { RunContext } from './context.js'
import type { PartOutlet, OpenPart } from './part.js'

export interface ToolParts<T> {
  context: RunContext
  outlet: PartOutlet
  callId: string
  runId: string
  signal: AbortSignal
  name: string
  args: unknown
  agent: string | undefined
  work: (context: ToolContext) => T | PromiseLike<T>
  onClosed: (tool: LiveTool<T>) => void
}

/** Bytes that count for a `tool_output` beside the output. */
const overhead = 1_024

/** Error that users see when a tool throws. */
const failed = { code: 'tool_failed', message: 'the tool failed' }

/** A tool that is executed: publishes `tool_call`, the latest progress, and one `tool_output`. */
export class LiveTool<T> implements OpenPart {
  /** Settles like `work`, or rejects with RT_ERR_RUN_ENDED when the run ends first. */
  readonly done: Promise<T>
  readonly #parts: ToolParts<T>
  #progress: { value: unknown } | undefined
  #isClosed = false
  #settle!: { resolve: (value: T) => void, reject: (error: unknown) => void }

  constructor (parts: ToolParts<T>) {
    this.#parts = parts
    this.done = new Promise((resolve, reject) => { this.#settle = { resolve, reject } })
  }

  /** Publishes the call, then executes the tool. When publishing fails, `done` rejects and the tool is not executed. Never rejects. */
  async start (): Promise<void> {
    const { callId, runId, name, args, agent, outlet, work, signal } = this.#parts
    try {
      const stored = outlet.publish('tool_call', { call_id: callId, run_id: runId, name, args, agent })
      if (stored instanceof Promise) await stored
      if (this.#isClosed) return
    } catch (error) {
      // A broker that did not answer may have stored the call, so it gets an output.
      if (isBrokersFailure(error)) return this.#end('error', error)
      this.#isClosed = true
      this.#parts.onClosed(this)
      this.#settle.reject(error)
      return
    }
    try {
      this.#end('complete', await work({ progress: value => this.#report(value), signal }))
    } catch (error) {
      this.#end('error', error)
    }
  }

  close (outcome: Outcome): void {
    // In a complete run, the handler returned without waiting for the tool.
    this.#end(outcome === 'complete' ? 'interrupted' : outcome, new errors.RUN_ENDED(outcome))
  }

  #end (status: Outcome, result: unknown): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const { outlet, callId, runId, name, agent, onClosed } = this.#parts
    const isComplete = status === 'complete'
    onClosed(this)
    outlet.deliver('tool_output', {
      call_id: callId,
      run_id: runId,
      name,
      agent,
      status,
      output: isComplete ? this.#sendable(result) : undefined,
      error: status === 'error' ? failed : undefined
    })
    if (isComplete) this.#settle.resolve(result as T)
    else this.#settle.reject(result)
  }

  /** Returns the output that users see: a copy, which the handler cannot change. `undefined` when it is not JSON or too large. */
  #sendable (result: unknown): unknown {
    const { context: { log, limits }, callId } = this.#parts
    if (result === undefined) return undefined
    try {
      const output = jsonForm(result, 'output', { isCopied: true, maxBytes: limits.message })
      const bytes = Buffer.byteLength(JSON.stringify(output)) + overhead
      if (bytes > limits.message) throw new errors.MESSAGE_TOO_LARGE(bytes, limits.message)
      return output
    } catch (error) {
      report(log, error, 'the output of a tool is not shown', { callId })
      return undefined
    }
  }

  #report (value: unknown): void {
    if (this.#isClosed) return
    const isDue = this.#progress !== undefined
    this.#progress = { value }
    if (!isDue) this.#parts.context.soon(() => this.#publishProgress())
  }

  #publishProgress (): void {
    const { context: { log }, outlet, callId, runId, agent } = this.#parts
    const progress = this.#progress?.value
    this.#progress = undefined
    if (this.#isClosed) return
    const failed = (error: unknown) => report(log, error, "a tool's progress was not shown", { callId })
    try {
      const stored = outlet.publish('tool_progress', { call_id: callId, run_id: runId, agent, progress })
      if (stored instanceof Promise) stored.catch(failed)
    } catch (error) {
      failed(error)
    }
  }
}
