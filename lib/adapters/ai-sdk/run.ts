import type { UIMessageChunk } from 'ai'
import type { Envelope } from '../../protocol/envelope.js'
import { grown, growthOf, keyedGrowthOf, partKey } from '../../protocol/growth.js'
import type { ChunkPart, ContinuedMessage, DataPart, RunPart, TextPart, ToolPart } from './run-parts.js'
import { chunkOf, chunksAfter, cursorAtPause, partCursor, type PartCursor } from './ui-chunks.js'

/** Outcome of a run. */
export interface RunEnd {
  readonly status: string
  readonly error?: { code?: string, message?: string }
}

/** Reader of a run. It is informed of changes, and reads them from the parts. */
export interface RunReader {
  /** A run that was queued has started. */
  started (): void
  changed (part: RunPart): void
  /** The run waits for approvals. */
  paused (): void
  ended (): void
}

/** Maximum number of parts of a run. Beyond it the stream of the run fails; the server's own limits are far lower. */
const maxParts = 10_000

type Data = Record<string, any>

/**
 * Current content of one run of a chat, merged from its envelopes. Applying the same envelopes again has no effect, so a run can be
 * replayed.
 */
export class FollowedRun {
  readonly id: string
  /** Id of the message that started the run. */
  readonly messageId: string | undefined
  readonly parts: RunPart[] = []
  outcome: RunEnd | undefined
  /** Whether publications were missed, and none of the run was read since. Set by the chat. */
  isDoubtful = false
  /** Whether the run waits for its turn. */
  isQueued = false
  /** Whether the run waits for approvals, and how often it has. */
  isPaused = false
  pauses = 0
  /** How far each part was streamed when the run last paused. */
  pausedAt = new Map<RunPart, PartCursor>()
  readonly #pauseIds = new Set<string>()
  finishReason: any = 'stop'
  /** Message that the answer continues. */
  continuation: ContinuedMessage | undefined
  /** Metadata of the message. */
  metadata: unknown
  readonly readers = new Set<RunReader>()
  #isStarted = false
  readonly #texts = new Map<string, TextPart>()
  /** Ids of all text parts. */
  readonly #textIds = new Set<string>()
  /** Ids of the questions for approvals, by the ids of the approvals. */
  readonly approvals = new Map<string, string>()
  /** Other parts, by kind and id: agents choose the ids of tool calls, which may equal those of questions. */
  readonly #others = new Map<string, ToolPart | DataPart | ChunkPart>()

  constructor (id: string, messageId?: string) {
    this.id = id
    this.messageId = messageId
  }

  /** Applies an envelope of this run. */
  apply ({ type, data: given, id }: Envelope): void {
    if (this.outcome !== undefined) return
    const data = given as Data
    if (type === 'run_queued') return this.#queue()
    this.#start()
    switch (type) {
      case 'run_started': return
      case 'run_finished': return this.end({ status: String(data.status), error: data.error })
      case 'chat_delta': return this.#text(type, data)
      case 'chat_message': return this.#text(type, { message_id: id, ...data })
      case 'chat_part':
      case 'chat_part_delta': return this.#part(type, data)
      case 'tool_call': return this.#call(data)
      case 'tool_progress': return this.#progress(data)
      case 'tool_output': return this.#output(data)
      case 'input_request': return this.#question(data)
      case 'input_closed': return this.#answer(data)
      default: return this.#own(type, data, id)
    }
  }

  #queue (): void {
    if (!this.#isStarted) this.isQueued = true
  }

  /** Marks the run as started. Every envelope except `run_queued` implies that. */
  #start (): void {
    this.#isStarted = true
    if (!this.isQueued) return
    this.isQueued = false
    for (const reader of this.readers) reader.started()
  }

  /** Whether a chunk is about a call of the message that this run continues. */
  isOfContinued (chunk: UIMessageChunk): boolean {
    const { toolCallId, approvalId } = chunk as Data
    const tools = this.continuation?.tools ?? []
    return tools.some(tool => tool.toolCallId === toolCallId || (approvalId !== undefined && tool.approval?.id === approvalId))
  }

  /** Closes the calls that the AI SDK left open, because the run was cancelled or interrupted. */
  cut (): void {
    for (const part of this.#others.values()) {
      if (part.kind !== 'tool' || part.native === undefined) continue
      part.isCut = true
      if (part.outcome !== undefined) this.#changed(part)
    }
  }

  /** Ends the run. Later envelopes are ignored. */
  end (outcome: RunEnd): void {
    if (this.outcome !== undefined) return
    this.#start()
    for (const part of this.#texts.values()) this.#done(part)
    if (outcome.status === 'cancelled' || outcome.status === 'interrupted') this.cut()
    this.outcome = outcome
    for (const reader of this.readers) reader.ended()
  }

  /** Applies a publication of a text or of reasoning. A replay may repeat publications. */
  #text (type: string, data: Data): void {
    if (data.role === 'user') return
    const growth = keyedGrowthOf(type, data)
    if (growth === undefined) return
    const part = this.#texts.get(growth.key)
    const whole = grown(part?.text, growth)
    // Without the beginning of the text, a snapshot follows.
    if (whole === undefined) return
    const isOlder = growth.isOpen && part?.text.startsWith(whole)
    const now = isOlder ? part : this.#become(part, growth.key, data, whole)
    if (now === undefined) return
    if (data.ai_sdk !== undefined && !now.isDone && JSON.stringify(data.ai_sdk) !== JSON.stringify(now.native)) {
      now.native = data.ai_sdk
      this.#changed(now)
    }
    if (growth.isOpen) return
    if (data.status === 'cancelled' || data.status === 'interrupted') now.isCut = true
    this.#done(now)
  }

  /** Applies a publication of a part other than a text of a message. */
  #part (type: string, data: Data): void {
    const { message_id: messageId, part_id: partId, kind, ai_sdk: native } = data
    if (kind === 'reasoning') return this.#text(type, data)
    if (kind === 'tool') return this.#input(type, data)
    if (kind === 'data' && data.name === 'ai_sdk' && (data.value?.type === 'pause' || data.value?.type === 'continue')) {
      // A replay repeats the pauses.
      if (this.#pauseIds.has(partId)) return
      this.#pauseIds.add(partId)
      return this.#pause(data.value.type === 'pause')
    }
    if (kind === 'data' && data.name === 'ai_sdk' && data.value?.type === 'continues') {
      this.continuation = data.value
      return
    }
    const chunk = chunkOf(data)
    if (kind === 'message' && native?.finishReason !== undefined) this.finishReason = native.finishReason
    if (chunk !== undefined) {
      const part = this.#addOther(partKey(messageId, kind, partId), () => ({ kind: 'chunk', chunk }))
      const isNew = part?.kind === 'chunk' && part.chunk !== chunk && JSON.stringify(part.chunk) !== JSON.stringify(chunk)
      if (isNew) {
        part.chunk = chunk
        this.#changed(part)
      }
    }
    if (kind === 'message') this.metadata = data.value ?? this.metadata
  }

  #pause (isPaused: boolean): void {
    if (isPaused === this.isPaused) return
    this.isPaused = isPaused
    if (!isPaused) return
    this.pauses++
    this.pausedAt = new Map(this.parts.map(part => {
      const cursor = partCursor()
      if (part.kind === 'tool' && part.isMerged) Object.assign(cursor, cursorAtPause(part))
      else chunksAfter(part, cursor)
      return [part, cursor]
    }))
    for (const reader of this.readers) reader.paused()
  }

  #input (type: string, data: Data): void {
    const { part_id: callId, name, agent, status, ai_sdk: native } = data
    const growth = growthOf(type, data)
    const known = this.#others.get(toolKey(callId)) as ToolPart | undefined
    const inputText = growth && grown(known?.inputText, growth)
    // Without the beginning of the text, a snapshot follows.
    if (inputText === undefined || known?.isCalled || known?.outcome !== undefined) return
    const isClosed = status !== undefined && status !== 'streaming'
    const news = { inputText, ...native && { native }, ...isClosed && { outcome: { status } } }
    if (known === undefined) this.#addOther(toolKey(callId), () => ({ kind: 'tool', callId, name: String(name), args: undefined, agent, ...news }))
    else this.#changed(Object.assign(known, news))
  }

  /** Sets the text of a message. */
  #become (part: TextPart | undefined, key: string, data: Data, text: string): TextPart | undefined {
    if (part?.text === text) return part
    if (part !== undefined && !part.isDone && text.startsWith(part.text)) {
      part.text = text
      this.#changed(part)
      return part
    }
    if (part !== undefined) {
      part.isReplaced = true
      this.#done(part, true)
    }
    const { message_id: messageId, part_id: partId, agent, ai_sdk: native } = data
    const name = partId === undefined ? messageId : `${messageId} ${partId}`
    const id = this.#partId(part === undefined ? name : `${name}~${this.parts.length}`)
    const next: TextPart = { kind: 'text', id, messageId, agent, text, isDone: false, isReplaced: false }
    if (partId !== undefined) next.isReasoning = true
    if (native !== undefined) next.native = native
    if (!this.#add(next)) return undefined
    this.#texts.set(key, next)
    return next
  }

  /** Makes the id of a text part unique: the id of a message may equal that of another message's part. */
  #partId (wanted: string): string {
    let id = wanted
    while (this.#textIds.has(id)) id += '~'
    this.#textIds.add(id)
    return id
  }

  #done (part: TextPart, isChanged = !part.isDone): void {
    part.isDone = true
    if (isChanged) this.#changed(part)
  }

  /** Applies the call that a reader which came after it gets with later news of the tool. */
  #missedCall ({ data }: { data: Data }): void {
    this.#call(data)
    const part = this.#others.get(toolKey(data.call_id))
    if (part?.kind === 'tool') part.isMerged = true
  }

  #call ({ call_id: callId, name, args, agent, ai_sdk: native }: Data): void {
    const part = this.#addOther(toolKey(callId), () => ({ kind: 'tool', callId, name: String(name), args, agent, isCalled: true, ...native && { native } }))
    if (part?.kind !== 'tool' || part.isCalled || part.outcome !== undefined) return
    Object.assign(part, { args, isCalled: true, ...native && { native } })
    this.#changed(part)
  }

  #progress ({ call_id: callId, call, progress, ai_sdk: native }: Data): void {
    if (call !== undefined) this.#missedCall(call)
    const part = this.#others.get(toolKey(callId))
    if (part?.kind !== 'tool' || part.outcome !== undefined) return
    part.progress = progress
    if (native !== undefined) part.progressNative = native
    this.#changed(part)
  }

  #output ({ call_id: callId, call, name, status, output, error, progress, ai_sdk: native }: Data): void {
    if (call !== undefined) this.#missedCall(call)
    const news = {
      outcome: { status, output, error, ...native && { native } },
      // The latest progress of a call that was left open.
      ...progress !== undefined && { progress, progressNative: native }
    }
    const part = this.#addOther(toolKey(callId), () => ({ kind: 'tool', callId, name: String(name), args: undefined, ...news }))
    if (part?.kind !== 'tool' || part.outcome !== undefined) return
    this.#changed(Object.assign(part, news))
  }

  #question (data: Data): void {
    const { run_id: _, ...question } = data
    // A tool of the AI SDK needs an approval, which its own part shows.
    if (data.ai_sdk !== undefined) {
      this.approvals.set(data.ai_sdk.approvalId, data.request_id)
      return
    }
    this.#addOther(questionKey(data.request_id), () => ({ kind: 'data', type: 'input_request', id: data.request_id, data: question }))
  }

  #answer ({ request_id: id, reason, value, user_id: userId }: Data): void {
    const part = this.#others.get(questionKey(id))
    if (part?.kind !== 'data' || (part.data as Data).closed !== undefined) return
    part.data = { ...part.data as Data, closed: { reason, value, user_id: userId } }
    this.#changed(part)
  }

  /** Adds a message of the app, once for each id. */
  #own (type: string, data: Data, id = `${this.parts.length}`): void {
    const { run_id: _, ...rest } = data
    this.#addOther(ownKey(id), () => ({ kind: 'data', type, id, data: rest }))
  }

  /** Returns the part with this key, or else a new one. `undefined` when the run has too many parts. */
  #addOther (key: string, make: () => ToolPart | DataPart | ChunkPart): ToolPart | DataPart | ChunkPart | undefined {
    const present = this.#others.get(key)
    if (present !== undefined) return present
    const part = make()
    if (!this.#add(part)) return undefined
    this.#others.set(key, part)
    return part
  }

  #add (part: RunPart): boolean {
    if (this.parts.length >= maxParts) {
      this.end({ status: 'error', error: { code: 'too_big', message: `a run of more than ${maxParts} parts` } })
      return false
    }
    this.parts.push(part)
    this.#changed(part)
    return true
  }

  #changed (part: RunPart): void {
    for (const reader of this.readers) reader.changed(part)
  }
}

const toolKey = (id: unknown) => `tool ${id}`
const questionKey = (id: unknown) => `question ${id}`
const ownKey = (id: unknown) => `own ${id}`
