import { withDelta } from '../protocol/delta.js'
import type { Envelope } from '../protocol/envelope.js'

/** How a run ended. */
export interface RunEnd {
  readonly status: string
  readonly error?: { code?: string, message?: string }
}

/** A stretch of text: that of one message. When a message is replaced by another text, its old text is one and its new text another. */
export interface TextPart {
  readonly kind: 'text'
  /** Of no other part. */
  readonly id: string
  readonly messageId: string
  readonly agent?: string
  text: string
  isDone: boolean
  /** It does not hold any more: the message has another text now, which follows. */
  isReplaced: boolean
}

export interface ToolPart {
  readonly kind: 'tool'
  readonly callId: string
  readonly name: string
  readonly args: unknown
  readonly agent?: string
  /** The latest. */
  progress?: unknown
  outcome?: { status: string, output?: unknown, error?: { code?: string, message?: string } }
}

/** A question to the user, or a message of the app's own. */
export interface DataPart {
  readonly kind: 'data'
  readonly type: string
  readonly id: string
  data: unknown
}

export type RunPart = TextPart | ToolPart | DataPart

/** Who reads a run: told what has changed, and reads it from the part. */
export interface RunReader {
  /** A run that was queued has started. */
  started (): void
  changed (part: RunPart): void
  ended (): void
}

/** Over this the run's stream fails: the server's own limits are far below. */
const maxParts = 10_000

type Data = Record<string, any>

/**
 * One run of a chat as it stands, merged from its envelopes: what one who comes late needs, and no more. Pure. Applying the same
 * envelopes again changes nothing, so that a run can be replayed.
 */
export class FollowedRun {
  readonly id: string
  /** Of the message that started it. */
  readonly messageId: string | undefined
  readonly parts: RunPart[] = []
  outcome: RunEnd | undefined
  /** It waits for its turn. */
  isQueued = false
  readonly readers = new Set<RunReader>()
  #isStarted = false
  readonly #texts = new Map<string, TextPart>()
  /** Ids of the text parts. */
  readonly #textIds = new Set<string>()
  /** By kind and id: agents make up ids of tools, which may be those of questions. */
  readonly #others = new Map<string, ToolPart | DataPart>()

  constructor (id: string, messageId?: string) {
    this.id = id
    this.messageId = messageId
  }

  /** Takes an envelope that belongs to this run. */
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

  /** Whatever else comes of a run says that its turn has come. */
  #start (): void {
    this.#isStarted = true
    if (!this.isQueued) return
    this.isQueued = false
    for (const reader of this.readers) reader.started()
  }

  /** It is over, and nothing more is taken. */
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

  /** The text of a message is now this one. */
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

  /** Of no other part: a message may be called as another one's part is. */
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

  /** A message of the app's own: as often as it comes, once. */
  #own (type: string, data: Data, id = `${this.parts.length}`): void {
    const { run_id: _, ...rest } = data
    this.#addOther(ownKey(id), () => ({ kind: 'data', type, id, data: rest }))
  }

  /** The part of this key, and if there is none a new one. */
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
