import { errors, isBrokersFailure } from '../../errors.js'
import type { Outcome } from '../../protocol/chat.js'
import { report } from '../../server/reports/caught.js'
import type { DataOptions, FilePart, PartOptions, PartWriter, Reply, SavedPart, SourcePart, ToolCall } from '../hooks.js'
import { LiveCall } from './call.js'
import type { RunContext } from '../runs/context.js'
import { GrowingPart, messageForm, partForm, type GrowingPartParts } from './growing-part.js'
import { KeptPart } from './kept-part.js'
import { isBlank, textOf } from '../saved-part.js'
import { quiet, type OpenPart, type PartOutlet } from '../runs/part.js'

type Fields = Record<string, unknown>

/** Bytes that count for a message beside its text, and for each further part. */
const messageOverhead = 2_048
const partOverhead = 256

/** Part id of the message as a whole. */
const wholeId = 'message'

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

/** A message that is being written: publishes its text and its other parts, and then their final forms. */
export class LiveReply implements Reply, OpenPart {
  readonly id: string
  readonly #parts: ReplyParts
  /** Fields of every publication of this reply. */
  readonly #head: { message_id: string, run_id: string, agent?: string, role?: string }
  readonly #kept: KeptPart[] = []
  /** Open texts and calls, in the order in which they began. */
  readonly #open = new Map<GrowingPart | LiveCall, KeptPart>()
  /** Data by its id: a later value replaces the earlier one. */
  readonly #data = new Map<string, KeptPart>()
  /** The text that `write` continues; `undefined` once another part has begun. */
  #text: GrowingPart | undefined
  #bytes: number
  #count = 0
  #texts = 0
  /** Whether it has more than one text: then the message as a whole is published, too. */
  #isWhole = false
  #metadata: unknown
  /** Further fields of the message as a whole. */
  #wholeFields: Fields = {}
  #isClosing = false
  #closed: Promise<void> | undefined

  constructor (parts: ReplyParts) {
    const { id, runId, agent, role } = parts
    this.id = id
    this.#parts = parts
    // The default role of a delta is `assistant`.
    this.#head = { message_id: id, run_id: runId, ...(agent !== undefined && { agent }), ...(role !== 'assistant' && { role }) }
    this.#bytes = messageOverhead + JSON.stringify(this.#head).length
    if (parts.isOver) this.#closed = Promise.resolve()
  }

  /** All of its text, with an empty line between two texts. */
  get text (): string {
    return textOf(this.parts)
  }

  /** Number of bytes that count for it. */
  get size (): number {
    return this.#bytes
  }

  /** Whether nothing was written. */
  get isEmpty (): boolean {
    return this.#kept.length === 0 && !this.#isWhole
  }

  get parts (): SavedPart[] {
    return this.#kept.map(({ saved }) => saved)
  }

  get isOpen (): boolean {
    return this.#closed === undefined
  }

  /** Whether the source must pause until the broker has stored more. */
  get isFull (): boolean {
    return [...this.#open.keys()].some(part => part.isFull)
  }

  async ready (): Promise<void> {
    while (this.isFull && this.stored !== undefined) await this.stored
  }

  /** Resolves when the broker has answered; `undefined` when no delta is being stored. */
  get stored (): Promise<unknown> | undefined {
    for (const part of this.#open.keys()) if (part.stored !== undefined) return part.stored
    return undefined
  }

  write (text: string): boolean {
    if (typeof text !== 'string') throw new TypeError(`'write' takes a string, not ${typeof text}`)
    if (this.#closed !== undefined) return false
    if (text === '') return true
    if (this.#text?.isClosed !== false) this.#text = this.#newText()
    return this.#text.write(text)
  }

  addText ({ fields = {} }: PartOptions = {}): PartWriter {
    // The text before it gets nothing more.
    this.#endText()
    const text = this.#newText()
    text.set(fields)
    return this.#writer(text)
  }

  reasoning ({ fields = {} }: PartOptions = {}): PartWriter {
    this.#divide()
    const { message_id: messageId, run_id: runId, agent } = this.#head
    const partId = this.#newId()
    const about = { kind: 'reasoning', part_id: partId } as const
    const part = this.#grow(about, { message_id: messageId, ...about, run_id: runId, ...agent !== undefined && { agent } }, partForm)
    part.set(fields)
    return this.#writer(part)
  }

  call (name: string, { id, fields }: PartOptions & { id?: string | undefined } = {}): ToolCall {
    this.#divide()
    const { role: _, ...head } = this.#head
    const { context, outlet } = this.#parts
    const call: LiveCall = new LiveCall({
      context,
      outlet,
      id,
      name,
      head,
      charge: bytes => this.#charge(bytes),
      publish: (type, data) => this.#store(type, data),
      flush: () => this.flush(),
      onClosed: () => this.#finished(call)
    })
    if (!this.#begin(call)) call.close('interrupted')
    if (fields !== undefined) call.write('', fields)
    return call
  }

  source (source: SourcePart, { fields }: PartOptions = {}): Promise<void> {
    return this.#add('source', { value: source, ...fields })
  }

  file (file: FilePart, { fields }: PartOptions = {}): Promise<void> {
    return this.#add('file', { value: file, ...fields })
  }

  step ({ fields }: PartOptions = {}): Promise<void> {
    return this.#add('step', { ...fields })
  }

  data (name: string, value: unknown, { id, isTransient = false, fields = {} }: DataOptions = {}): Promise<void> {
    if (isTransient) {
      this.#divide()
      return this.#publishPart('data', `transient ${name}`, { name, value, is_transient: true, ...fields })
    }
    const kept = this.#data.get(id ?? '') ?? new KeptPart()
    if (id !== undefined) this.#data.set(id, kept)
    return this.#add('data', { name, value, ...fields }, id, kept)
  }

  metadata (value: unknown, { fields = {} }: PartOptions = {}): Promise<void> {
    this.#metadata = value
    this.#wholeFields = fields
    this.#isWhole = true
    return this.#publishWhole('streaming')
  }

  end (): Promise<void> {
    if (this.isEmpty && this.#closed === undefined) this.#newText()
    return this.#close('complete')
  }

  fail (error?: unknown): Promise<void> {
    if (this.#closed === undefined && error !== undefined) report(this.#parts.context.log, error, 'a reply failed', { messageId: this.id })
    return this.#close('error')
  }

  close (outcome: Outcome): void {
    this.#close(outcome)
  }

  /** Publishes the text that was written since the last delta. Called before anything else of the run is published. */
  flush (): void {
    for (const part of this.#open.keys()) part.flush()
  }

  #flushBefore (part: GrowingPart): void {
    for (const other of this.#open.keys()) {
      if (other === part) return
      other.flush()
    }
  }

  #close (status: Outcome): Promise<void> {
    if (this.#closed !== undefined) return this.#closed
    if (this.#isClosing) return Promise.resolve()
    this.#isClosing = true
    const { context, role, onClosed } = this.#parts
    const open = [...this.#open.keys()]
    if (this.#isWhole) this.flush()
    const ends = open.map(part => part instanceof GrowingPart ? part.close(status, {}, this.#isWhole) : part.close(status))
    if (this.#isWhole) ends.push(this.#publishWhole(status))
    this.#closed = quiet(Promise.all(ends).then(() => {}))
    const { parts } = this
    const more = this.#isWhole && { parts, metadata: this.#metadata }
    // An answer that fails before it has content leaves no message.
    const isSaved = status === 'complete' ? !this.isEmpty : !parts.every(isBlank)
    if (isSaved) context.save({ ...this.#head, role, content: textOf(parts), status, ...more })
    onClosed(this)
    return this.#closed
  }

  /** Keeps a part from its beginning. Returns `false`, and keeps nothing, when the reply is closed. */
  #begin (part: GrowingPart | LiveCall): boolean {
    if (this.#closed !== undefined) return false
    const kept = new KeptPart(part)
    this.#kept.push(kept)
    this.#open.set(part, kept)
    return true
  }

  #finished (part: GrowingPart | LiveCall): void {
    const kept = this.#open.get(part)
    this.#open.delete(part)
    // All parts of a reply that closes are about to be saved.
    if (!this.#isClosing) kept?.finish()
  }

  #newId (): string {
    return `${++this.#count}`
  }

  #newText (): GrowingPart {
    const count = this.#texts++
    if (count > 0) this.#divide()
    const id = count === 0 ? this.id : `${this.id}.${count}`
    const head = { ...this.#head, message_id: id, ...count > 0 && { part_of: this.id } }
    return this.#grow({ kind: 'text', part_id: id }, head, messageForm, { role: this.#parts.role })
  }

  #grow (about: GrowingPartParts['about'], head: Fields, form: typeof messageForm, tail?: Fields): GrowingPart {
    const { context, outlet } = this.#parts
    const part: GrowingPart = new GrowingPart({
      context, outlet, form, head, tail, about, charge: bytes => this.#charge(bytes), onClosed: () => this.#finished(part)
    })
    if (!this.#begin(part)) part.drop()
    return part
  }

  #writer (part: GrowingPart): PartWriter {
    return {
      write: (text, fields) => {
        if (fields !== undefined) part.set(fields)
        return part.write(text)
      },
      end: fields => {
        // Parts that began before it have their places first.
        if (this.#isWhole) this.#flushBefore(part)
        return part.close('complete', fields, this.#isWhole)
      }
    }
  }

  /** Makes the message one of several parts. The text before gets nothing more. */
  #divide (): void {
    this.#endText()
    if (this.#isWhole) return
    this.#isWhole = true
    quiet(this.#publishWhole('streaming'))
  }

  #endText (): void {
    const text = this.#text
    this.#text = undefined
    if (text?.isClosed !== false) return
    // It has its place before the next part.
    this.#flushBefore(text)
    text.flush()
    quiet(text.close('complete', {}, true))
  }

  /** Adds a part that is finished at once. `kept`: that of the data which it replaces. */
  #add (kind: 'source' | 'file' | 'data' | 'step', fields: Fields, partId = this.#newId(), kept = new KeptPart()): Promise<void> {
    try {
      const isNew = !kept.isSet
      kept.set({ ...fields, kind, part_id: partId } as SavedPart)
      if (isNew) {
        this.#divide()
        this.#kept.push(kept)
      }
      return this.#publishPart(kind, partId, fields)
    } catch (error) {
      return quiet(Promise.reject(error))
    }
  }

  #publishPart (kind: string, partId: string, fields: Fields): Promise<void> {
    const { message_id: messageId, run_id: runId, agent } = this.#head
    return this.#store('chat_part', { message_id: messageId, part_id: partId, kind, run_id: runId, ...agent !== undefined && { agent }, ...fields })
  }

  #publishWhole (status: string): Promise<void> {
    const { role } = this.#head
    const fields = this.#wholeFields
    return this.#publishPart('message', wholeId, { ...fields, ...role !== undefined && { role }, status, ...this.#metadata !== undefined && { value: this.#metadata } })
  }

  /** Publishes after everything that was written, and with retries when the broker fails. Rejects when it is given up. */
  #store (type: 'chat_part' | 'tool_call' | 'tool_progress' | 'tool_output', data: Fields): Promise<void> {
    if (this.#closed !== undefined) return Promise.resolve()
    const { outlet } = this.#parts
    try {
      const bytes = Buffer.byteLength(JSON.stringify(data)) + partOverhead
      if (!this.#isClosing && !this.#charge(bytes)) return Promise.resolve()
      this.flush()
      const stored = Promise.resolve(outlet.publish(type, data as never)).then(() => {}, error => this.#again(type, data, error))
      return quiet(stored)
    } catch (error) {
      return quiet(this.#again(type, data, error))
    }
  }

  async #again (type: 'chat_part' | 'tool_call' | 'tool_progress' | 'tool_output', data: Fields, error: unknown): Promise<void> {
    if (!isBrokersFailure(error)) throw error
    await this.#parts.outlet.deliver(type, data as never)
  }

  /** Counts bytes of the message. Returns `false` when nothing more may be written. */
  #charge (bytes: number): boolean {
    const { charge, fail, context: { limits } } = this.#parts
    if (this.#closed !== undefined || this.#isClosing) return false
    if (this.#bytes + bytes > limits.message) {
      fail(new errors.REPLY_TOO_LONG(limits.message))
      return false
    }
    if (!charge(bytes)) return false
    this.#bytes += bytes
    return true
  }
}
