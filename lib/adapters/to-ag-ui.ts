import { EventType, type CustomEvent, type Event } from '@ag-ui/core'
import { withDelta } from '../protocol/delta.js'
import type { Envelope } from '../protocol/envelope.js'

/** Message for `run.send` and `chat.send`. It has no id, which only a log assigns. */
export interface UnsentMessage {
  type: string
  action?: string
  message?: string
  data?: Record<string, any>
  timestamp?: string
}

/** Key of an event's `metadata` with the fields that AG-UI does not have. `CUSTOM` events are named `fastify-realtime.<type>`. */
export const agUiName = 'fastify-realtime'

/** Type of messages that carry an AG-UI event in `data.event`, for events without an equivalent message. */
export const agUiType = 'ag_ui'

export type Data = Record<string, any>

/** Fields of a message for which its event has no field. `data` omits all fields that the event has. */
export interface Kept extends UnsentMessage {
  /** Set on all events of a message except the one with the message's fields. */
  part?: true
  /** Set when the `content` of the event is the output itself. */
  isOutput?: true
}

const roles = new Set<unknown>(['developer', 'system', 'assistant', 'user'])

/**
 * Returns a function that converts the envelopes of a chat, in order, to AG-UI events. It keeps the text of unfinished messages.
 *
 * Messages that `fromAgUi` created become the original events.
 */
export function toAgUi ({ threadId }: { threadId: string }): (envelope: Envelope | UnsentMessage) => Event[] {
  const thread = new ToAgUi(threadId)
  return envelope => thread.take(envelope)
}

class ToAgUi {
  readonly #threadId: string
  /** Unfinished messages, by id: their text so far, and their run. */
  readonly #open = new Map<string, { text: string, runId: unknown }>()
  /** Ids of active runs. */
  readonly #runs = new Set<unknown>()
  #nameless = 0

  constructor (threadId: string) {
    this.#threadId = threadId
  }

  take (envelope: Envelope | UnsentMessage): Event[] {
    const data = (envelope.data ?? {}) as Data
    if (data.ag_ui?.isDerived) return []
    switch (envelope.type) {
      case agUiType: return [data.event as Event]
      case 'run_started': return this.#started(envelope, data)
      case 'run_finished': return this.#finished(envelope, data)
      case 'chat_delta': return this.#delta(envelope, data)
      case 'chat_message': return this.#message(envelope, data)
      case 'tool_call': return called(envelope, data)
      case 'tool_output': return [returned(envelope, data)]
      default: return [custom(envelope)]
    }
  }

  #started (envelope: Envelope | UnsentMessage, { run_id: runId, ag_ui: native, ...rest }: Data): Event[] {
    this.#runs.add(runId)
    const event = { type: EventType.RUN_STARTED, threadId: this.#threadId, runId } as const
    return [native === undefined ? { ...event, ...keeping(envelope, rest) } : { ...event, ...native }]
  }

  #finished (envelope: Envelope | UnsentMessage, data: Data): Event[] {
    const { run_id: runId, ag_ui: native, ...rest } = data
    for (const [id, open] of this.#open) if (open.runId === runId) this.#open.delete(id)
    const run = { threadId: this.#threadId, runId }
    // A run that was cancelled before it started gets a start, which AG-UI requires.
    const before: Event[] = this.#runs.delete(runId) ? [] : [{ type: EventType.RUN_STARTED, ...run, ...part }]
    const { status, error } = rest
    if (native !== undefined) {
      const isError = status === 'error'
      return [isError ? { type: EventType.RUN_ERROR, ...native } : { type: EventType.RUN_FINISHED, ...run, ...native }]
    }
    if (status === 'error' || status === 'interrupted') {
      const why = { message: String(error?.message ?? status), code: String(error?.code ?? status) }
      return [...before, { type: EventType.RUN_ERROR, ...why, ...keeping(envelope, data) }]
    }
    const outcome = { type: status === 'cancelled' ? 'cancelled' : 'success' } as const
    return [...before, { type: EventType.RUN_FINISHED, ...run, outcome, ...keeping(envelope, rest) }]
  }

  #delta (envelope: Envelope | UnsentMessage, { message_id: messageId, text, ag_ui: native, ...rest }: Data): Event[] {
    const open = this.#open.get(messageId)
    const length = open?.text.length ?? 0
    const whole = withDelta(open?.text ?? '', rest.at, text)
    // Without the beginning of the text, a snapshot follows. A replay can repeat deltas that were applied already.
    if (whole === undefined || open?.text.startsWith(whole)) return []
    if (open !== undefined && !whole.startsWith(open.text)) return this.#replace(envelope, messageId, whole, rest)
    const delta = whole.slice(length)
    const event = { type: EventType.TEXT_MESSAGE_CONTENT, messageId, delta } as const
    if (native !== undefined) return [...this.#begin(messageId, rest, delta, native.start), { ...event, ...native.content }]
    return [...this.#begin(messageId, rest, delta), { ...event, ...keeping(envelope, { ...rest, at: length }) }]
  }

  #message (envelope: Envelope | UnsentMessage, data: Data): Event[] {
    const { message_id: given, content, ag_ui: native, ...rest } = data
    const messageId: string = given ?? (envelope as Envelope).id ?? `message-${++this.#nameless}`
    const before = this.#open.get(messageId)?.text
    if (before !== undefined && !content.startsWith(before)) return this.#replace(envelope, messageId, content, rest)
    const isFinal = rest.status !== 'streaming'
    const delta = content.slice(before?.length ?? 0)
    const begin = this.#begin(messageId, rest, delta, native?.start)
    if (isFinal) this.#open.delete(messageId)
    const text = { type: EventType.TEXT_MESSAGE_CONTENT, messageId, delta } as const
    const end = { type: EventType.TEXT_MESSAGE_END, messageId } as const
    if (native !== undefined) return [...begin, ...delta === '' ? [] : [text], ...isFinal ? [{ ...end, ...native.end }] : []]
    const kept = keeping(envelope, { ...given !== undefined && { message_id: given }, ...rest })
    if (isFinal) return [...begin, ...delta === '' ? [] : [{ ...text, ...part }], { ...end, ...kept }]
    if (delta !== '') return [...begin, { ...text, ...kept }]
    return begin.map(event => ({ ...event, ...kept }))
  }

  /** Replaces the text of a message. AG-UI has no event for this, so the message ends and begins again. */
  #replace (envelope: Envelope | UnsentMessage, messageId: string, content: string, rest: Data): Event[] {
    this.#open.delete(messageId)
    const { at: _, status = 'streaming', ...more } = rest
    return [
      { type: EventType.TEXT_MESSAGE_END, messageId, ...part },
      ...this.#message({ ...envelope, type: 'chat_message' } as UnsentMessage & { data: Data }, { message_id: messageId, content, status, ...more })
    ]
  }

  /** Appends `delta` to the text of a message. Returns its start, if the message has not begun. */
  #begin (messageId: string, { role = 'assistant', agent, run_id: runId }: Data, delta: string, native?: Data): Event[] {
    const open = this.#open.get(messageId)
    this.#open.set(messageId, { text: (open?.text ?? '') + delta, runId })
    if (open !== undefined) return []
    const start = { type: EventType.TEXT_MESSAGE_START, messageId } as const
    if (native !== undefined) return [{ ...start, ...native }]
    return [{ ...start, role: roles.has(role) ? role : 'assistant', ...agent !== undefined && { name: agent }, ...part }]
  }
}

function called (envelope: Envelope | UnsentMessage, data: Data): Event[] {
  const { call_id: toolCallId, name: toolCallName, args, ag_ui: native, ...rest } = data
  const end = { type: EventType.TOOL_CALL_END, toolCallId } as const
  // The start and the arguments of the call were carried as events.
  if (native !== undefined) return [{ ...end, ...native }]
  const delta = args === undefined ? [] : [{ type: EventType.TOOL_CALL_ARGS as const, toolCallId, delta: JSON.stringify(args), ...part }]
  return [{ type: EventType.TOOL_CALL_START, toolCallId, toolCallName, ...part }, ...delta, { ...end, ...keeping(envelope, rest) }]
}

function returned (envelope: Envelope | UnsentMessage, data: Data): Event {
  const { call_id: toolCallId, output, ag_ui: native, ...rest } = data
  const event = { type: EventType.TOOL_CALL_RESULT, toolCallId, messageId: `${toolCallId}-result` } as const
  if (native !== undefined) return { ...event, content: output, ...native }
  if (typeof output === 'string') return { ...event, content: output, ...keeping(envelope, rest, { isOutput: true }) }
  if (output === undefined) return { ...event, content: String(rest.error?.message ?? ''), ...keeping(envelope, rest) }
  return { ...event, content: JSON.stringify(output), ...keeping(envelope, { ...rest, output }) }
}

function custom (envelope: Envelope | UnsentMessage): CustomEvent {
  return { type: EventType.CUSTOM, name: `${agUiName}.${envelope.type}`, value: envelope.data ?? null, ...keeping(envelope) }
}

const part = { metadata: { [agUiName]: { part: true } } }

function keeping ({ type, timestamp, action, message }: Envelope | UnsentMessage, data?: Data, more?: Partial<Kept>) {
  const time = timestamp === undefined ? NaN : Date.parse(timestamp)
  const isExact = !Number.isNaN(time) && new Date(time).toISOString() === timestamp
  const kept: Kept = {
    type,
    ...data !== undefined && { data },
    ...timestamp !== undefined && !isExact && { timestamp },
    ...action !== undefined && { action },
    ...message !== undefined && { message },
    ...more
  }
  return { ...isExact && { timestamp: time }, metadata: { [agUiName]: kept } }
}
