import { randomUUID } from 'node:crypto'
import type { Outcome } from '../../protocol/chat.js'
import type { ToolCall } from '../hooks.js'
import { GrowingPart, partForm, type GrowingPartParts } from './growing-part.js'
import type { OpenPart } from '../runs/part.js'

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
  readonly #input: GrowingPart
  #state: 'new' | 'input' | 'called' | 'closed' = 'new'
  #saved: Fields
  /** Further fields of the latest progress. */
  #latest: Fields = {}

  constructor (parts: LiveCallParts) {
    const { id = randomUUID(), name, head, context, outlet, charge } = parts
    this.id = id
    this.#parts = parts
    this.#saved = { kind: 'tool', part_id: id, name }
    this.#input = new GrowingPart({
      context, outlet, charge, form: partForm, head: { ...head, part_id: id, kind: 'tool', name }, onClosed: () => {}
    })
  }

  /** The call as it is saved with its message. */
  get saved (): Fields {
    return this.#saved
  }

  flush (): void {
    this.#input.flush()
  }

  write (text: string, fields?: Fields): boolean {
    if (this.#state !== 'new' && this.#state !== 'input') return false
    this.#state = 'input'
    if (fields !== undefined) this.#input.set(fields)
    else if (text === '') this.#input.begin()
    return this.#input.write(text)
  }

  async call (args: unknown, fields: Fields = {}): Promise<void> {
    if (this.#state === 'closed') return
    // The call has its place where its arguments began.
    if (this.#state === 'input') this.#parts.flush()
    this.#state = 'called'
    this.#input.drop()
    Object.assign(this.#saved, { args, ...fields })
    await this.#publish('tool_call', { args, ...fields })
  }

  async progress (value: unknown, fields: Fields = {}): Promise<void> {
    if (this.#state === 'closed') return
    this.#latest = { ...value !== undefined && { progress: value }, ...fields }
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
    this.#end(status, { ...this.#latest, ...status === 'error' && { error: failed } })
  }

  async #end (status: Outcome, fields: Fields): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    const text = this.#input.text
    this.#parts.flush()
    this.#input.drop()
    const { onClosed } = this.#parts
    Object.assign(this.#saved, { status, ...fields })
    onClosed(this)
    // The arguments were not completed: the output closes the call, too.
    if (text !== '') Object.assign(this.#saved, this.#saved.args === undefined && { text })
    await this.#publish('tool_output', { status, ...fields })
  }

  async #publish (type: 'tool_call' | 'tool_progress' | 'tool_output', fields: Fields): Promise<void> {
    const { head, name, publish } = this.#parts
    await publish(type, { ...head, call_id: this.id, name, ...fields })
  }
}
