import { randomUUID } from 'node:crypto'
import type { Outcome } from '../../protocol/chat.js'
import type { SavedPart, ToolCall } from '../hooks.js'
import { GrowingPart, partForm, type GrowingPartParts } from './growing-part.js'
import type { OpenPart } from '../runs/part.js'
import { savedCall } from '../saved-part.js'

type Fields = Record<string, unknown>

export interface LiveCallParts extends Pick<GrowingPartParts, 'context' | 'outlet' | 'charge'> {
  id?: string | undefined
  name: string
  /** Fields of every publication of the message. */
  head: { message_id: string, run_id: string, agent?: string }
  /** Publishes in the order of the calls, also of the other parts of the message. */
  publish: (type: 'tool_call' | 'tool_progress' | 'tool_output' | 'chat_part', data: Fields) => Promise<void>
  /** Publishes the unpublished text of all parts of the message, in their order. */
  flush: () => void
  onClosed: (call: LiveCall) => void
}

/** Errors that users see when a call has none of its own. */
const failed = { code: 'tool_failed', message: 'the tool failed' }

/** A call of a tool that runs elsewhere, for example in the library of a model: publishes its arguments, progress and outcome. */
export class LiveCall implements ToolCall, OpenPart {
  readonly id: string
  readonly #parts: LiveCallParts
  /** Arguments that are being written; `undefined` once they are complete. */
  #input: GrowingPart | undefined
  #state: 'new' | 'input' | 'called' | 'closed' = 'new'
  /** Fields of the call, of its latest progress and of its outcome, as JSON text: values take far more memory. */
  #called: string | undefined
  #latest = '{}'
  #outcome = '{}'

  constructor (parts: LiveCallParts) {
    const { id = randomUUID(), name, head, context, outlet, charge } = parts
    this.id = id
    this.#parts = parts
    this.#input = new GrowingPart({
      context, outlet, charge, form: partForm, head: { ...head, part_id: id, kind: 'tool', name }, onClosed: () => {}
    })
  }

  /** The call so far, as it is saved with its message. */
  get saved (): SavedPart {
    const called = JSON.parse(this.#called ?? this.#begun())
    return { kind: 'tool', part_id: this.id, name: this.#parts.name, ...savedCall(called, JSON.parse(this.#outcome)) }
  }

  /** Arguments so far, if they have begun, and further fields. */
  #begun (): string {
    return this.#state === 'input' ? JSON.stringify({ ...this.#input!.fields, text: this.#input!.text }) : '{}'
  }

  /** Whether the source must pause until the broker has stored more. */
  get isFull (): boolean {
    return this.#input?.isFull === true
  }

  /** Resolves when the broker has answered; `undefined` when no delta is being stored. */
  get stored (): Promise<unknown> | undefined {
    return this.#input?.stored
  }

  flush (): void {
    this.#input?.flush()
  }

  write (text: string, fields: Fields = {}): boolean {
    const input = this.#input
    if (input === undefined) return false
    this.#state = 'input'
    const isTaken = input.write(text)
    if (isTaken) input.set(fields)
    return isTaken
  }

  async call (args: unknown, fields: Fields = {}): Promise<void> {
    if (this.#state === 'closed') return
    const called = JSON.stringify({ args, ...fields })
    // The call has its place where its arguments began.
    if (this.#state === 'input') this.#parts.flush()
    this.#state = 'called'
    this.#input?.drop()
    this.#input = undefined
    this.#called = called
    await this.#publish('tool_call', { args, ...fields })
  }

  async progress (value: unknown, fields: Fields = {}): Promise<void> {
    if (this.#state === 'closed') return
    this.#latest = JSON.stringify({ progress: value, ...fields })
    await this.#publish('tool_progress', { progress: value, ...fields })
  }

  async output (value: unknown, fields: Fields = {}): Promise<void> {
    await this.#end('complete', { output: value, ...fields })
  }

  async fail (error: { code: string, message: string } = failed, fields: Fields = {}): Promise<void> {
    await this.#end('error', { error, ...fields })
  }

  close (outcome: Outcome): void {
    const status = outcome === 'complete' ? 'interrupted' : outcome
    this.#end(status, { ...JSON.parse(this.#latest), ...status === 'error' && { error: failed } })
  }

  async #end (status: Outcome, fields: Fields): Promise<void> {
    if (this.#state === 'closed') return
    this.#outcome = JSON.stringify({ status, ...fields })
    // Arguments that were not completed are saved so far: the output closes them, too.
    this.#called ??= this.#begun()
    this.#state = 'closed'
    this.#parts.flush()
    this.#input?.drop()
    this.#input = undefined
    this.#parts.onClosed(this)
    await this.#publish('tool_output', { status, ...fields })
  }

  async #publish (type: 'tool_call' | 'tool_progress' | 'tool_output', fields: Fields): Promise<void> {
    const { head, name, publish } = this.#parts
    await publish(type, { ...head, call_id: this.id, name, ...fields })
  }
}
