import {
  EventType,
  type ContentPart, type Event, type Message as AgUiMessage, type TextMessageChunkEvent, type ToolCallChunkEvent, type ToolCallResultEvent
} from '@ag-ui/core'
import { agUiName, agUiType, type Data, type Kept, type UnsentMessage } from './ag-ui-kept.js'

/**
 * Returns a function that converts AG-UI events, in order, to messages of a chat. It keeps the text of unfinished messages and the
 * arguments of unfinished calls.
 *
 * Events that `toAgUi` created become the original messages, without their ids.
 */
export function fromAgUi (): (event: Event) => UnsentMessage[] {
  const thread = new FromAgUi()
  return event => thread.take(event)
}

class FromAgUi {
  #runId: string | undefined
  #steps = 0
  readonly #texts = new Map<string, { text: string, start: Data, role?: string, name?: string }>()
  readonly #calls = new Map<string, { name: string, args: string }>()
  /** Names of the calls without a result, by id. */
  readonly #names = new Map<string, string>()
  /** Message or call that a chunk without an id continues. */
  #chunked: { kind: 'text' | 'call', id: string } | undefined

  take (event: Event): UnsentMessage[] {
    const kept = event.metadata?.[agUiName] as Kept | undefined
    switch (event.type) {
      case EventType.TEXT_MESSAGE_CHUNK: return this.#textChunk(event)
      case EventType.TOOL_CALL_CHUNK: return this.#callChunk(event)
    }
    const closed = this.#closeChunk()
    return [...closed, ...kept === undefined ? this.#native(event) : this.#ours(event, kept)]
  }

  // Events that `toAgUi` created.

  #ours (event: Event, kept: Kept): UnsentMessage[] {
    const text = this.#textOf(event)
    const { data, part, isOutput, ...rest } = kept
    if (part && event.type === EventType.TOOL_CALL_END) this.#calls.delete(event.toolCallId)
    if (part) return []
    const whole = this.#wholeOf(event, isOutput ? { output: (event as ToolCallResultEvent).content, ...data } : data, text)
    return [{ ...stamped(event, whole), ...rest }]
  }

  /** Applies an event to its unfinished message or call. Returns the text of the message so far. */
  #textOf (event: Event): string | undefined {
    switch (event.type) {
      case EventType.TEXT_MESSAGE_START:
      case EventType.REASONING_MESSAGE_START:
        this.#texts.set(event.messageId, { text: '', start: {} })
        return ''
      case EventType.TEXT_MESSAGE_CONTENT:
      case EventType.REASONING_MESSAGE_CONTENT: return this.#append(event.messageId, event.delta)
      case EventType.TEXT_MESSAGE_END:
      case EventType.REASONING_END: {
        const text = this.#texts.get(event.messageId)?.text ?? ''
        this.#texts.delete(event.messageId)
        return text
      }
      case EventType.TOOL_CALL_START:
        this.#calls.set(event.toolCallId, { name: event.toolCallName, args: '' })
        return ''
      case EventType.TOOL_CALL_ARGS:
        this.#addArgs(event.toolCallId, event.delta)
        return this.#calls.get(event.toolCallId)?.args
    }
  }

  #wholeOf (event: Event, data: Data | undefined, text: string | undefined): Data | undefined {
    switch (event.type) {
      case EventType.RUN_STARTED:
      case EventType.RUN_FINISHED: return { run_id: event.runId, ...data }
      case EventType.TEXT_MESSAGE_CONTENT:
        return data?.at === undefined ? { ...data, content: text } : { message_id: event.messageId, ...data, text: event.delta }
      case EventType.TEXT_MESSAGE_START:
      case EventType.TEXT_MESSAGE_END: return { ...data, content: text }
      case EventType.REASONING_MESSAGE_START:
      case EventType.REASONING_END:
      case EventType.TOOL_CALL_START: return { ...data, text }
      case EventType.REASONING_MESSAGE_CONTENT:
      case EventType.TOOL_CALL_ARGS: return { ...data, text: data?.at === undefined ? text : event.delta }
      case EventType.TOOL_CALL_END: {
        const { name, args } = this.#calls.get(event.toolCallId) ?? { name: '', args: '' }
        this.#calls.delete(event.toolCallId)
        return { call_id: event.toolCallId, name, ...args !== '' && { args: parsed(args) }, ...data }
      }
      case EventType.TOOL_CALL_RESULT: return { call_id: event.toolCallId, ...data }
      case EventType.CUSTOM: return event.value ?? undefined
      default: return data
    }
  }

  // Events from other sources.

  #native (event: Event): UnsentMessage[] {
    switch (event.type) {
      case EventType.RUN_STARTED: {
        const { type: _, runId, ...native } = event
        this.#runId = runId
        return [message(event, 'run_started', { run_id: runId, ag_ui: native })]
      }
      case EventType.RUN_FINISHED: {
        const { type: _, runId, ...native } = event
        this.#forget()
        return [message(event, 'run_finished', { run_id: runId, status: event.outcome?.type === 'cancelled' ? 'cancelled' : 'complete', ag_ui: native })]
      }
      case EventType.RUN_ERROR: {
        const { type: _, ...native } = event
        const run = this.#run()
        this.#forget()
        return [message(event, 'run_finished', { ...run, status: 'error', error: { code: event.code ?? 'error', message: event.message }, ag_ui: native })]
      }
      case EventType.TEXT_MESSAGE_START: {
        const { type: _, messageId, ...start } = event
        const { role = 'assistant', name } = event
        this.#texts.set(messageId, { text: '', start, role, name })
        return [message(event, 'chat_message', this.#message(messageId, 'streaming', { start }))]
      }
      case EventType.TEXT_MESSAGE_CONTENT: {
        const { type: _, messageId, delta, ...content } = event
        const at = this.#texts.get(messageId)?.text.length ?? 0
        this.#append(messageId, delta)
        return [message(event, 'chat_delta', { message_id: messageId, ...this.#run(), ...this.#agent(messageId), at, text: delta, ag_ui: { content } })]
      }
      case EventType.TEXT_MESSAGE_END: {
        const { type: _, messageId, ...end } = event
        const data = this.#message(messageId, 'complete', { start: this.#texts.get(messageId)?.start ?? {}, end })
        this.#texts.delete(messageId)
        return [message(event, 'chat_message', data)]
      }
      case EventType.REASONING_MESSAGE_START:
        this.#texts.set(event.messageId, { text: '', start: {} })
        return [this.#carried(event)]
      case EventType.REASONING_MESSAGE_CONTENT: {
        const { type: _, messageId, delta, ...content } = event
        const at = this.#texts.get(messageId)?.text.length ?? 0
        this.#append(messageId, delta)
        return [message(event, 'chat_part_delta', { ...this.#reasoning(messageId), at, text: delta, ag_ui: { content } })]
      }
      case EventType.REASONING_MESSAGE_END: {
        const { type: _, messageId, ...end } = event
        const text = this.#texts.get(messageId)?.text ?? ''
        this.#texts.delete(messageId)
        return [message(event, 'chat_part', { ...this.#reasoning(messageId), text, status: 'complete', ag_ui: { end } })]
      }
      case EventType.STEP_STARTED: {
        // A step is a part of a message, and no message is known yet.
        if (this.#runId === undefined) return [this.#carried(event)]
        const { type: _, stepName: name, ...native } = event
        return [message(event, 'chat_part', { message_id: this.#runId, part_id: `${++this.#steps}`, kind: 'step', ...this.#run(), name, ag_ui: native })]
      }
      case EventType.TOOL_CALL_START:
        this.#calls.set(event.toolCallId, { name: event.toolCallName, args: '' })
        return [this.#carried(event)]
      case EventType.TOOL_CALL_ARGS:
        this.#addArgs(event.toolCallId, event.delta)
        return [this.#carried(event)]
      case EventType.TOOL_CALL_END: {
        const { type: _, toolCallId, ...native } = event
        return [message(event, 'tool_call', { ...this.#call(toolCallId), ag_ui: native })]
      }
      case EventType.TOOL_CALL_RESULT: {
        const { type: _, toolCallId, content, ...native } = event
        const name = this.#names.get(toolCallId) ?? ''
        this.#names.delete(toolCallId)
        return [message(event, 'tool_output', { call_id: toolCallId, ...this.#run(), name, status: 'complete', output: content, ag_ui: native })]
      }
      case EventType.MESSAGES_SNAPSHOT: return [this.#carried(event), ...event.messages.flatMap(message => this.#derived(message))]
      default: return [this.#carried(event)]
    }
  }

  #run (): Data {
    return this.#runId === undefined ? {} : { run_id: this.#runId }
  }

  #reasoning (messageId: string): Data {
    return { message_id: messageId, part_id: 'reasoning', kind: 'reasoning', ...this.#run() }
  }

  #agent (messageId: string): Data {
    const name = this.#texts.get(messageId)?.name
    return name === undefined ? {} : { agent: name }
  }

  #message (messageId: string, status: string, native: Data): Data {
    const { role = 'assistant', text = '' } = this.#texts.get(messageId) ?? {}
    return { message_id: messageId, ...this.#run(), role, ...this.#agent(messageId), content: text, status, ag_ui: native }
  }

  #call (callId: string): Data {
    const { name, args } = this.#calls.get(callId) ?? { name: '', args: '' }
    this.#calls.delete(callId)
    this.#names.set(callId, name)
    return { call_id: callId, ...this.#run(), name, ...args !== '' && { args: parsed(args) } }
  }

  #carried (event: Event): UnsentMessage {
    return message(event, agUiType, { ...this.#run(), event })
  }

  /** Converts a message of a snapshot, for clients that do not know snapshots. */
  #derived (of: AgUiMessage): UnsentMessage[] {
    const derived = { ...this.#run(), ag_ui: { isDerived: true } }
    if (of.role === 'activity' || of.role === 'reasoning') return []
    if (of.role === 'tool') {
      const { toolCallId, content, error } = of
      const name = this.#names.get(toolCallId) ?? ''
      this.#names.delete(toolCallId)
      const outcome = error === undefined ? { status: 'complete', output: content } : { status: 'error', error: { code: 'error', message: error } }
      return [{ type: 'tool_output', data: { call_id: toolCallId, name, ...outcome, ...derived } }]
    }
    const { id, role, name, content } = of
    const data = { message_id: id, role, ...name !== undefined && { agent: name }, status: 'complete', ...derived }
    const calls = of.role === 'assistant' ? of.toolCalls ?? [] : []
    return [
      ...content === undefined ? [] : [{ type: 'chat_message', data: { ...data, content: plain(content) } }],
      ...calls.map(({ id, function: { name, arguments: args } }) => {
        this.#names.set(id, name)
        return { type: 'tool_call', data: { call_id: id, name, args: parsed(args), ...derived } }
      })
    ]
  }

  #append (messageId: string, delta: string): string {
    const open = this.#texts.get(messageId) ?? { text: '', start: {} }
    open.text += delta
    this.#texts.set(messageId, open)
    return open.text
  }

  #addArgs (callId: string, delta: string): void {
    const call = this.#calls.get(callId)
    if (call !== undefined) call.args += delta
  }

  /** Forgets all unfinished messages and calls, because their run is over. */
  #forget (): void {
    this.#runId = undefined
    this.#texts.clear()
    this.#calls.clear()
    this.#names.clear()
  }

  // A sequence of chunks stands for a start, contents and an end.

  #textChunk ({ type: _, messageId, role, name, delta = '', ...rest }: TextMessageChunkEvent): UnsentMessage[] {
    const [id, isNew] = this.#continued('text', messageId)
    if (id === undefined) return []
    const who = { ...role !== undefined && { role }, ...name !== undefined && { name } }
    const start = { type: EventType.TEXT_MESSAGE_START, messageId: id, ...rest, ...who } as const
    const content = { type: EventType.TEXT_MESSAGE_CONTENT, messageId: id, ...rest, delta } as const
    return this.#chunk({ kind: 'text', id }, [...isNew ? [start] : [], ...delta === '' ? [] : [content]])
  }

  #callChunk ({ type: _, toolCallId, toolCallName = '', parentMessageId, delta = '', ...rest }: ToolCallChunkEvent): UnsentMessage[] {
    const [id, isNew] = this.#continued('call', toolCallId)
    if (id === undefined) return []
    const parent = parentMessageId !== undefined && { parentMessageId }
    const start = { type: EventType.TOOL_CALL_START, toolCallId: id, ...rest, toolCallName, ...parent } as const
    const args = { type: EventType.TOOL_CALL_ARGS, toolCallId: id, ...rest, delta } as const
    return this.#chunk({ kind: 'call', id }, [...isNew ? [start] : [], ...delta === '' ? [] : [args]])
  }

  /** Returns the id of the message or call of a chunk, and whether the chunk is its first. */
  #continued (kind: 'text' | 'call', given: string | undefined): [string | undefined, boolean] {
    const last = this.#chunked?.kind === kind ? this.#chunked.id : undefined
    return [given ?? last, given !== undefined && given !== last]
  }

  #chunk (chunked: { kind: 'text' | 'call', id: string }, events: Event[]): UnsentMessage[] {
    const before = this.#chunked?.id === chunked.id && this.#chunked.kind === chunked.kind ? [] : this.#closeChunk()
    this.#chunked = chunked
    return [...before, ...events.flatMap(event => this.#native(event))]
  }

  #closeChunk (): UnsentMessage[] {
    const chunked = this.#chunked
    this.#chunked = undefined
    if (chunked === undefined) return []
    return this.#native(chunked.kind === 'text'
      ? { type: EventType.TEXT_MESSAGE_END, messageId: chunked.id }
      : { type: EventType.TOOL_CALL_END, toolCallId: chunked.id })
  }
}

function message (event: Event, type: string, data: Data): UnsentMessage {
  return { type, ...stamped(event, data) }
}

function stamped ({ timestamp }: Event, data: Data | undefined) {
  const isTime = timestamp !== undefined && Math.abs(timestamp) <= 8.64e15
  return { ...data !== undefined && { data }, ...isTime && { timestamp: new Date(timestamp).toISOString() } }
}

/** Parses arguments, which should be JSON. Returns other text unchanged. */
function parsed (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function plain (content: string | ContentPart[]): string {
  if (typeof content === 'string') return content
  return content.map(part => part.type === 'text' ? part.text : '').join('')
}
