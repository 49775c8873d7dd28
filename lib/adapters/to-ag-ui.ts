import { EventType, type CustomEvent, type Event, type Interrupt } from '@ag-ui/core'
import { withDelta } from '../protocol/delta.js'
import type { Envelope } from '../protocol/envelope.js'
import { agUiName, agUiType, keeping, part, type Data, type UnsentMessage } from './ag-ui-kept.js'
import { PartsToAgUi } from './parts-to-ag-ui.js'

const roles = new Set<unknown>(['developer', 'system', 'assistant', 'user'])
/** Types of the publications of a tool after its call. */
const newsOfTools = new Set(['tool_progress', 'tool_output'])

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
  readonly #parts = new PartsToAgUi()
  /** Open approvals as interrupts, by the ids of their questions. */
  readonly #interrupts = new Map<string, Interrupt & { runId: unknown }>()
  #nameless = 0

  constructor (threadId: string) {
    this.#threadId = threadId
  }

  take (envelope: Envelope | UnsentMessage): Event[] {
    const data = (envelope.data ?? {}) as Data
    const { call, ...rest } = data
    // A client that came after the call gets it with a later frame of the tool.
    if (newsOfTools.has(envelope.type) && call !== undefined) return [...this.take(call), ...this.take({ ...envelope, data: rest })]
    if (data.ag_ui?.isDerived) return []
    switch (envelope.type) {
      case agUiType: return [data.event as Event]
      case 'run_started': return this.#started(envelope, data)
      case 'run_finished': return this.#finished(envelope, data)
      case 'chat_delta': return this.#delta(envelope, data)
      case 'chat_message': return this.#message(envelope, data)
      case 'tool_call': return this.#parts.called(envelope, data)
      case 'tool_output': return [...this.#parts.ended(data), returned(envelope, data)]
      case 'chat_part':
      case 'chat_part_delta': return this.#pause(envelope, data) ?? this.#parts.take(envelope, data) ?? [custom(envelope)]
      case 'input_request':
        if (data.ai_sdk !== undefined) this.#interrupts.set(data.request_id, { runId: data.run_id, ...interruptOf(data) })
        return [custom(envelope)]
      case 'input_closed':
        this.#interrupts.delete(data.request_id)
        return [custom(envelope)]
      default: return [custom(envelope)]
    }
  }

  /** A run that waits for approvals ends with interrupts in AG-UI, and starts again. Returns `undefined` for any other part. */
  #pause (envelope: Envelope | UnsentMessage, data: Data): Event[] | undefined {
    const { kind, name, value, run_id: runId } = data
    if (kind !== 'data' || name !== 'ai_sdk' || typeof runId !== 'string') return undefined
    const { run_id: _, ...rest } = data
    const kept = { threadId: this.#threadId, runId, ...keeping(envelope, rest) }
    if (value?.type === 'continue' && !this.#runs.has(runId)) {
      this.#runs.add(runId)
      return [{ type: EventType.RUN_STARTED, ...kept }]
    }
    const ofRun = [...this.#interrupts.values()].filter(interrupt => interrupt.runId === runId)
    const interrupts = ofRun.map(({ runId: _, ...interrupt }) => interrupt)
    if (value?.type !== 'pause' || interrupts.length === 0 || !this.#runs.delete(runId)) return undefined
    const ends = [...this.#endTexts(runId), ...this.#parts.pause(runId)]
    return [...ends, { type: EventType.RUN_FINISHED, outcome: { type: 'interrupt', interrupts }, ...kept }]
  }

  #started (envelope: Envelope | UnsentMessage, { run_id: runId, ag_ui: native, ...rest }: Data): Event[] {
    this.#runs.add(runId)
    const event = { type: EventType.RUN_STARTED, threadId: this.#threadId, runId } as const
    return [native === undefined ? { ...event, ...keeping(envelope, rest) } : { ...event, ...native }]
  }

  #finished (envelope: Envelope | UnsentMessage, data: Data): Event[] {
    const { run_id: runId, ag_ui: native, ...rest } = data
    const run = { threadId: this.#threadId, runId }
    const ends = [...this.#endTexts(runId), ...this.#parts.finish(runId)]
    // A run that was cancelled before it started gets a start, which AG-UI requires.
    const isStarted = this.#runs.delete(runId) || native !== undefined
    for (const [id, interrupt] of this.#interrupts) if (interrupt.runId === runId) this.#interrupts.delete(id)
    const before: Event[] = [...ends, ...isStarted ? [] : [{ type: EventType.RUN_STARTED as const, ...run, ...part }]]
    const { status, error } = rest
    if (native !== undefined) {
      const isError = status === 'error'
      return [...before, isError ? { type: EventType.RUN_ERROR, ...native } : { type: EventType.RUN_FINISHED, ...run, ...native }]
    }
    if (status === 'error' || status === 'interrupted') {
      const why = { message: String(error?.message ?? status), code: String(error?.code ?? status) }
      return [...before, { type: EventType.RUN_ERROR, ...why, ...keeping(envelope, data) }]
    }
    const outcome = { type: status === 'cancelled' ? 'cancelled' : 'success' } as const
    return [...before, { type: EventType.RUN_FINISHED, ...run, outcome, ...keeping(envelope, rest) }]
  }

  /** Ends the texts of a run that are still open. */
  #endTexts (runId: unknown): Event[] {
    const open = [...this.#open].filter(([, text]) => text.runId === runId)
    return open.map(([messageId]) => {
      this.#open.delete(messageId)
      return { type: EventType.TEXT_MESSAGE_END, messageId, ...part }
    })
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

function interruptOf ({ request_id: id, prompt: message, call_id: toolCallId, schema: responseSchema }: Data): Interrupt {
  return { id, reason: 'tool_approval', message, ...toolCallId !== undefined && { toolCallId }, ...responseSchema !== undefined && { responseSchema } }
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
