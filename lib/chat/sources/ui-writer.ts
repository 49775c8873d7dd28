import type { PartWriter, Reply, ToolCall, UiChunk } from '../hooks.js'
import { frame } from './ui-chunks.js'

type Fields = Record<string, any>

/** Returns the fields of a chunk that are set, to be kept with the part. */
function fieldsOf (chunk: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(names.filter(name => chunk[name] != null).map(name => [name, chunk[name]]))
}

const toolFields = ['providerExecuted', 'providerMetadata', 'toolMetadata', 'dynamic', 'title', 'inputEncoding']

interface OpenText {
  readonly writer: PartWriter
  native: Fields
}

interface OpenCall {
  readonly call: ToolCall
  native: Fields
  /** Metadata of its latest output, its approvals, and which of them came before its latest preliminary output. */
  result: Fields
  /** Latest preliminary output. */
  shown?: unknown
  readonly isCalled: boolean
  /** Number of the step in which it began. */
  readonly step: number
}

interface Call {
  readonly name: string
  /** Undefined when its further chunks are published as they are. */
  open: OpenCall | undefined
}

/** Request of the AI SDK for an approval. */
export interface ApprovalRequest {
  readonly toolCallId: string
  readonly toolName: string
  readonly chunk: Fields & { approvalId: string }
}

/** Message that an answer continues, and the outputs and approvals that its page has added to tool calls. */
export interface Continuation {
  readonly id: string
  readonly tools: ReadonlyArray<Fields & { toolCallId: string }>
}

/** Writes the chunks of an AI SDK stream as the parts of a reply. */
export class UiWriter {
  /** Approvals that a user has to give. */
  readonly requests: ApprovalRequest[] = []
  readonly #reply: Reply
  readonly #texts = new Map<string, OpenText>()
  readonly #calls = new Map<string, Call>()
  /** Calls by the ids of their approvals. */
  readonly #asked = new Map<string, Call>()
  #metadata: unknown
  #finishReason: string | undefined
  /** Data gets new ids after parts were removed. */
  #generation = 0
  #step = 0
  /** Message that the answer continues, until this is published. */
  #continuation: Continuation | undefined

  constructor (reply: Reply, continuation?: Continuation) {
    this.#reply = reply
    this.#continuation = continuation
  }

  /** Publishes that the answer waits for approvals, or goes on. */
  async wait (isWaiting: boolean): Promise<void> {
    // A part of its own: it comes after all parts before it, also for a client that reads them late.
    await this.#reply.data('ai_sdk', { type: isWaiting ? 'pause' : 'continue' })
  }

  /** Writes a chunk. Resolves when the next one may come. */
  async write (chunk: UiChunk): Promise<void> {
    const of = chunk as Fields & { type: string }
    // Not before there is content: an answer that fails before leaves nothing.
    if (this.#continuation !== undefined && !frame.includes(of.type)) await this.#continues(this.#continuation)
    switch (chunk.type) {
      case 'text-start': return this.#begin(`text ${chunk.id}`, fields => this.#reply.addText({ fields }), fieldsOf(of, ['providerMetadata']))
      case 'reasoning-start':
        return this.#begin(`reasoning ${chunk.id}`, fields => this.#reply.reasoning({ fields }), fieldsOf(of, ['id', 'providerMetadata']))
      case 'text-delta': return await this.#continue(`text ${chunk.id}`, chunk.delta, of)
      case 'reasoning-delta': return await this.#continue(`reasoning ${chunk.id}`, chunk.delta, of)
      case 'text-end': return await this.#end(`text ${chunk.id}`, of)
      case 'reasoning-end': return await this.#end(`reasoning ${chunk.id}`, of)
      case 'tool-input-start': return await this.#beginCall(of)
      case 'tool-input-delta': return await this.#continueCall(of)
      case 'tool-input-available': return await this.#called(of)
      case 'tool-input-error': return await this.#invalid(of)
      case 'tool-output-available': return await this.#output(of)
      case 'tool-output-error':
      case 'tool-output-denied': return await this.#failed(of)
      case 'tool-approval-request': return await this.#request(of as Fields as ApprovalRequest['chunk'])
      case 'tool-approval-response' as string: return await this.#response(of)
      case 'source-url': return await this.#reply.source(
        { url: chunk.url, ...fieldsOf(of, ['title']), id: chunk.sourceId }, native(fieldsOf(of, ['providerMetadata'])))
      case 'source-document': return await this.#reply.source(
        { title: chunk.title, media_type: chunk.mediaType, ...fieldsOf(of, ['filename']), id: chunk.sourceId }, native(fieldsOf(of, ['providerMetadata'])))
      case 'file': return await this.#file(of, {})
      case 'reasoning-file' as string: return await this.#file(of, { isReasoning: true })
      case 'start-step':
        this.#step++
        return await this.#reply.step()
      case 'finish-step': return await this.#endTexts()
      case 'start':
      case 'message-metadata':
      case 'finish': return await this.#meta(of)
    }
    if (of.type === 'reset-step') await this.#reset()
    if (of.type.startsWith('data-')) return await this.#data(of)
    await this.#carry(of)
  }

  async #continues (continuation: Continuation): Promise<void> {
    this.#continuation = undefined
    await this.#carry({ type: 'continues', ...continuation })
  }

  #begin (key: string, open: (fields: Fields) => PartWriter, kept: Fields): void {
    this.#texts.set(key, { writer: open({ ai_sdk: kept }), native: kept })
  }

  async #continue (key: string, delta: string, chunk: Fields): Promise<void> {
    const open = this.#texts.get(key)
    if (open === undefined) return await this.#carry(chunk)
    const isNew = chunk.providerMetadata != null
    if (isNew) open.native = { ...open.native, providerMetadata: chunk.providerMetadata }
    open.writer.write(delta, isNew ? { ai_sdk: open.native } : undefined)
    await this.#reply.ready()
  }

  async #end (key: string, chunk: Fields): Promise<void> {
    const open = this.#texts.get(key)
    if (open === undefined) return await this.#carry(chunk)
    this.#texts.delete(key)
    await open.writer.end({ ai_sdk: { ...open.native, ...fieldsOf(chunk, ['providerMetadata', 'citations']), ended: true } })
  }

  /** The texts of a step get nothing more. The next ones are others, even with the same ids. */
  async #endTexts (): Promise<void> {
    const open = [...this.#texts.values()]
    this.#texts.clear()
    await Promise.all(open.map(({ writer, native }) => writer.end({ ai_sdk: native })))
  }

  /** Closes the parts of a step that the AI SDK removes: chunks about them after that would be errors. */
  async #reset (): Promise<void> {
    this.#generation++
    await this.#endTexts()
    for (const call of this.#calls.values()) {
      if (call.open?.step !== this.#step) continue
      const { open } = call
      call.open = undefined
      await open.call.fail({ code: 'reset', message: 'the model began this step again' }, { ai_sdk: { ...open.result, ended: true } })
    }
  }

  /**
   * Whether the chunks of a call are published as they are from now on: the AI SDK makes another part of a call that goes on in another
   * step, or begins again.
   */
  #isAnother (call: Call | undefined, isToBegin = false): boolean {
    if (call === undefined) return false
    const { open } = call
    if (open?.isCalled === false && (isToBegin || open.step !== this.#step)) call.open = undefined
    return call.open === undefined
  }

  async #beginCall (chunk: Fields): Promise<void> {
    if (this.#isAnother(this.#calls.get(chunk.toolCallId), true)) return await this.#carry(chunk)
    const kept = fieldsOf(chunk, toolFields)
    const call = this.#reply.call(chunk.toolName, { id: chunk.toolCallId, fields: { ...titleOf(kept), ai_sdk: kept } })
    this.#calls.set(chunk.toolCallId, { name: chunk.toolName, open: { call, native: kept, result: {}, isCalled: false, step: this.#step } })
  }

  async #continueCall (chunk: Fields): Promise<void> {
    const known = this.#calls.get(chunk.toolCallId)
    if (known?.open === undefined || this.#isAnother(known)) return await this.#carry(chunk)
    known.open.call.write(chunk.inputTextDelta)
    await this.#reply.ready()
  }

  async #called (chunk: Fields): Promise<void> {
    const known = this.#calls.get(chunk.toolCallId)
    if (this.#isAnother(known)) return await this.#carry(chunk)
    const kept = { ...known?.open?.native, ...fieldsOf(chunk, toolFields) }
    const { call = this.#reply.call(chunk.toolName, { id: chunk.toolCallId }), result = {}, step = this.#step } = known?.open ?? {}
    this.#calls.set(chunk.toolCallId, { name: chunk.toolName, open: { call, native: kept, result, isCalled: true, step } })
    await call.call(chunk.input, { ...titleOf(kept), ai_sdk: kept })
  }

  async #invalid (chunk: Fields): Promise<void> {
    const known = this.#calls.get(chunk.toolCallId)
    if (this.#isAnother(known)) return await this.#carry(chunk)
    const { call = this.#reply.call(chunk.toolName, { id: chunk.toolCallId }), native = {} } = known?.open ?? {}
    const kept = { ...fieldsOf(chunk, toolFields), ...fieldsOf(native, ['title']), input: chunk.input, isInput: true, ended: true }
    this.#calls.set(chunk.toolCallId, { name: chunk.toolName, open: undefined })
    await call.fail({ code: 'invalid_input', message: chunk.errorText }, { ai_sdk: kept })
  }

  async #output (chunk: Fields): Promise<void> {
    const known = this.#calls.get(chunk.toolCallId)
    // The call is of an earlier message.
    if (known?.open === undefined) return await this.#carry(chunk)
    const { open } = known
    open.result = { ...open.result, ...fieldsOf(chunk, ['providerExecuted', 'providerMetadata', 'toolMetadata', 'dynamic']) }
    if (chunk.preliminary === true) {
      open.shown = chunk.output
      open.result.preliminary = { count: (open.result.preliminary?.count ?? 0) + 1, after: open.result.approval?.length ?? 0 }
      return await open.call.progress(chunk.output, { ai_sdk: open.result })
    }
    known.open = undefined
    await open.call.output(chunk.output, { ai_sdk: { ...open.result, ended: true } })
  }

  async #failed (chunk: Fields): Promise<void> {
    const known = this.#calls.get(chunk.toolCallId)
    if (known?.open === undefined) return await this.#carry(chunk)
    const { open } = known
    known.open = undefined
    if (chunk.type === 'tool-output-denied') {
      // The AI SDK keeps what the call has shown.
      const shown = { ai_sdk: { ...open.result, isDenied: true, ended: true }, ...open.shown !== undefined && { progress: open.shown } }
      return await open.call.fail({ code: 'denied', message: 'the user denied the call' }, shown)
    }
    const kept = { ...open.result, ...fieldsOf(chunk, ['providerExecuted', 'providerMetadata', 'toolMetadata', 'dynamic']), ended: true }
    await open.call.fail({ code: 'tool_failed', message: chunk.errorText }, { ai_sdk: kept })
  }

  async #request (chunk: ApprovalRequest['chunk']): Promise<void> {
    const known = this.#calls.get(chunk.toolCallId)
    if (known === undefined) return await this.#carry(chunk)
    this.#asked.set(chunk.approvalId, known)
    if (chunk.isAutomatic !== true) this.requests.push({ toolCallId: chunk.toolCallId, toolName: known.name, chunk })
    await (known.open === undefined ? this.#carry(chunk) : this.#approval(known.open, chunk))
  }

  async #response (chunk: Fields): Promise<void> {
    const open = this.#asked.get(chunk.approvalId)?.open
    if (open === undefined) return await this.#carry(chunk)
    await this.#approval(open, chunk)
  }

  /** Publishes a chunk about the approval of a call, with those before it. */
  async #approval (open: OpenCall, chunk: Fields): Promise<void> {
    open.result = { ...open.result, approval: [...open.result.approval ?? [], chunk] }
    await open.call.progress(open.shown, { ai_sdk: open.result })
  }

  async #file (chunk: Fields, more: Fields): Promise<void> {
    await this.#reply.file({ url: chunk.url, media_type: chunk.mediaType }, native({ ...fieldsOf(chunk, ['providerMetadata']), ...more }))
  }

  async #data ({ type, id, data, transient }: Fields): Promise<void> {
    const name = type.slice('data-'.length)
    const partId = id === undefined ? undefined : `${name} ${id} ${this.#generation}`
    await this.#reply.data(name, data, { id: partId, isTransient: transient === true, ...native(id === undefined ? {} : { id }) })
  }

  async #meta ({ messageMetadata, finishReason }: Fields): Promise<void> {
    this.#finishReason = finishReason ?? this.#finishReason
    if (messageMetadata == null && finishReason === undefined) return
    this.#metadata = mergedMetadata(this.#metadata, messageMetadata)
    await this.#publishMetadata()
  }

  async #publishMetadata (): Promise<void> {
    const kept = this.#finishReason === undefined ? {} : { finishReason: this.#finishReason }
    await this.#reply.metadata(this.#metadata, native(kept))
  }

  /** Publishes a chunk that no part of a message stands for, as it is. */
  async #carry (chunk: Fields): Promise<void> {
    await this.#reply.data('ai_sdk', chunk)
  }
}

function native (fields: Fields): { fields: Fields } {
  return { fields: { ai_sdk: fields } }
}

function titleOf ({ title }: Fields): Fields {
  return title === undefined ? {} : { title }
}

const isPlain = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Merges metadata like the AI SDK: objects deeply, anything else is replaced. */
function mergedMetadata (known: unknown, next: unknown): unknown {
  if (next == null) return known
  if (!isPlain(known) || !isPlain(next)) return next
  const merged: Fields = { ...known }
  for (const [name, value] of Object.entries(next)) {
    if (value !== undefined) merged[name] = isPlain(merged[name]) && isPlain(value) ? mergedMetadata(merged[name], value) : value
  }
  return merged
}
