import { withDelta } from '../protocol/delta.js'
import type { Envelope } from '../protocol/envelope.js'

/** Outcome of a run. */
export interface RunEnd {
  readonly status: string
  readonly error?: { code?: string, message?: string }
}

/** Text of a message. When another text replaces it, the old and the new text are two parts. */
export interface TextPart {
  readonly kind: 'text'
  /** Unique among the text parts of the run. */
  readonly id: string
  readonly messageId: string
  readonly agent?: string
  text: string
  isDone: boolean
  /** Whether a later part replaces this text. */
  isReplaced: boolean
}

export interface ToolPart {
  readonly kind: 'tool'
  readonly callId: string
  readonly name: string
  readonly args: unknown
  readonly agent?: string
  /** Latest progress. */
  progress?: unknown
  outcome?: { status: string, output?: unknown, error?: { code?: string, message?: string } }
}

/** Question to the user, or a message of the app. */
export interface DataPart {
  readonly kind: 'data'
  readonly type: string
  readonly id: string
  data: unknown
}

export type RunPart = TextPart | ToolPart | DataPart

/** Reader of a run. It is informed of changes, and reads them from the parts. */
export interface RunReader {
  /** A run that was queued has started. */
  started (): void
  changed (part: RunPart): void
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
  /** Whether the run waits for its turn. */
  isQueued = false
  readonly readers = new Set<RunReader>()
  #isStarted = false
  readonly #texts = new Map<string, TextPart>()
  /** Ids of all text parts. */
  readonly #textIds = new Set<string>()
  /** Other parts, by kind and id: agents choose the ids of tool calls, which may equal those of questions. */
  readonly #others = new Map<string, ToolPart | DataPart>()

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
      case 'chat_delta': return this.#delta(data)
      case 'chat_message': return this.#message(data, data.message_id ?? id)
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

  /** Ends the run. Later envelopes are ignored. */
  end (outcome: RunEnd): void {
    if (this.outcome !== undefined) return
    this.#start()
    for (const part of this.#texts.values()) this.#done(part)
    this.outcome = outcome
    for (const reader of this.readers) reader.ended()
  }

  #delta ({ message_id: id, at, text, agent }: Data): void {
    const part = this.#texts.get(id)
    const whole = withDelta(part?.text ?? '', at, text)
    // Without the beginning of the text, a snapshot follows. A replay can repeat deltas that were applied already.
    if (whole === undefined || part?.text.startsWith(whole)) return
    this.#become(part, id, agent, whole)
  }

  #message ({ agent, content, role, status }: Data, id: string): void {
    if (role === 'user') return
    const part = this.#texts.get(id)
    const isFinal = status !== 'streaming'
    const isOlder = !isFinal && part?.text.startsWith(content)
    const now = isOlder ? part : this.#become(part, id, agent, String(content))
    if (isFinal && now !== undefined) this.#done(now)
  }

  /** Sets the text of a message. */
  #become (part: TextPart | undefined, messageId: string, agent: string | undefined, text: string): TextPart | undefined {
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
    const id = this.#partId(part === undefined ? messageId : `${messageId}~${this.parts.length}`)
    const next: TextPart = { kind: 'text', id, messageId, agent, text, isDone: false, isReplaced: false }
    if (!this.#add(next)) return undefined
    this.#texts.set(messageId, next)
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

  #call ({ call_id: callId, name, args, agent }: Data): void {
    this.#addOther(toolKey(callId), () => ({ kind: 'tool', callId, name: String(name), args, agent }))
  }

  #progress ({ call_id: callId, progress }: Data): void {
    const part = this.#others.get(toolKey(callId))
    if (part?.kind !== 'tool' || part.outcome !== undefined) return
    part.progress = progress
    this.#changed(part)
  }

  #output ({ call_id: callId, name, status, output, error }: Data): void {
    const part = this.#addOther(toolKey(callId), () => ({ kind: 'tool', callId, name: String(name), args: undefined }))
    if (part?.kind !== 'tool' || part.outcome !== undefined) return
    part.outcome = { status, output, error }
    this.#changed(part)
  }

  #question (data: Data): void {
    const { run_id: _, ...question } = data
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
  #addOther (key: string, make: () => ToolPart | DataPart): ToolPart | DataPart | undefined {
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
