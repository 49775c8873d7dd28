import { EventType, type Event } from '@ag-ui/core'
import type { Envelope } from '../protocol/envelope.js'
import { grown, keyedGrowthOf, partKey, type KeyedGrowth } from '../protocol/growth.js'
import { keeping, part, type Data, type UnsentMessage } from './ag-ui-kept.js'

type Message = Envelope | UnsentMessage

/** Part that is still being written: the text that AG-UI has of it, and its run. */
interface OpenPart {
  readonly kind: 'reasoning' | 'tool'
  /** Id of its events. */
  readonly id: string
  readonly name: string
  readonly messageId: string
  readonly runId: unknown
  text: string
}

/** Converts the parts of answers beside their texts, in order: reasoning, tools and steps. */
export class PartsToAgUi {
  /** By the key of their growth. */
  readonly #open = new Map<string, OpenPart>()
  /** Text of reasonings of AG-UI that are not finished, and their runs, by the key of their growth. */
  readonly #read = new Map<string, { readonly runId: unknown, readonly text: string }>()
  /** Latest step of each active run, and the number of its steps. */
  readonly #steps = new Map<unknown, { name: string, count: number, isOpen: boolean }>()

  /** Converts a `chat_part` or `chat_part_delta`. Returns `undefined` if AG-UI has no event for it. */
  take (envelope: Message, data: Data): Event[] | undefined {
    if (data.ag_ui !== undefined) return this.#native(envelope, data)
    if (data.kind === 'step') return this.#step(envelope, data)
    const growth = keyedGrowthOf(envelope.type, data)
    if (growth === undefined) return undefined
    const { kind } = data
    return kind === 'reasoning' || kind === 'tool' ? this.#grow(envelope, data, growth, kind) : undefined
  }

  /** Converts a step or a reasoning of AG-UI. The starts of a reasoning, and the ends of steps, were carried as events. */
  #native ({ type }: Message, data: Data): Event[] {
    const { kind, message_id: messageId, run_id: runId, name, ag_ui: native } = data
    if (kind === 'step') return [{ type: EventType.STEP_STARTED, stepName: name, ...native }]
    const growth = keyedGrowthOf(type, data)
    if (growth === undefined) return []
    const known = this.#read.get(growth.key)?.text ?? ''
    const whole = grown(known, growth)
    // The log merges deltas, and a replay can repeat them.
    if (whole === undefined || (growth.isOpen && known.startsWith(whole))) return []
    if (growth.isOpen) this.#read.set(growth.key, { runId, text: whole })
    else this.#read.delete(growth.key)
    const delta = whole.slice(known.length)
    return [
      ...delta === '' ? [] : [{ type: EventType.REASONING_MESSAGE_CONTENT as const, messageId, delta, ...native.content }],
      ...growth.isOpen ? [] : [{ type: EventType.REASONING_MESSAGE_END as const, messageId, ...native.end }]
    ]
  }

  /** Converts a `tool_call`: adds the arguments that AG-UI does not have yet. */
  called (envelope: Message, data: Data): Event[] {
    const { call_id: id, name, args, ag_ui: native, ...rest } = data
    // The start and the arguments of the call were carried as events.
    if (native !== undefined) return [{ type: EventType.TOOL_CALL_END, toolCallId: id, ...native }]
    const key = partKey(data.message_id, 'tool', id)
    const text = args === undefined ? '' : JSON.stringify(args)
    const known = this.#open.get(key)?.text
    // Models may write spaces into their JSON.
    const whole = known !== undefined && isSameJson(known, text) ? known : text
    const events = this.#write(key, { kind: 'tool', id, name, messageId: data.message_id, runId: data.run_id, text: whole })
    return kept([...events, ...this.#end(key)], envelope, rest)
  }

  /** Ends the arguments of a tool whose `tool_output` comes without a `tool_call`. */
  ended ({ message_id: messageId, call_id: id }: Data): Event[] {
    return this.#end(partKey(messageId, 'tool', id)).map(event => ({ ...event, ...part }))
  }

  /** Ends all parts of a run that are still open. */
  finish (runId: unknown): Event[] {
    const ends = this.pause(runId)
    this.#steps.delete(runId)
    for (const [key, read] of this.#read) if (read.runId === runId) this.#read.delete(key)
    return ends
  }

  /** Ends the parts of a run that are still open; its steps are counted on. */
  pause (runId: unknown): Event[] {
    const keys = [...this.#open.keys()].filter(key => this.#open.get(key)!.runId === runId)
    const ends = [...keys.flatMap(key => this.#end(key)), ...this.#endStep(runId)]
    return ends.map(event => ({ ...event, ...part }))
  }

  #step (envelope: Message, data: Data): Event[] {
    const count = (this.#steps.get(data.run_id)?.count ?? 0) + 1
    const name = typeof data.name === 'string' ? data.name : `step ${count}`
    const before = this.#endStep(data.run_id)
    this.#steps.set(data.run_id, { name, count, isOpen: true })
    return kept([...before, { type: EventType.STEP_STARTED, stepName: name }], envelope, data)
  }

  #endStep (runId: unknown): Event[] {
    const step = this.#steps.get(runId)
    if (step?.isOpen !== true) return []
    step.isOpen = false
    return [{ type: EventType.STEP_FINISHED, stepName: step.name }]
  }

  #grow (envelope: Message, data: Data, growth: KeyedGrowth, kind: OpenPart['kind']): Event[] {
    const { key, at, isOpen } = growth
    const known = this.#open.get(key)
    const { message_id: messageId, part_id: partId, run_id: runId, name = known?.name ?? '' } = data
    const whole = grown(known?.text, growth)
    // Without the beginning of the text, a snapshot follows. A replay can repeat deltas that were applied already.
    if (whole === undefined || (at !== undefined && known?.text.startsWith(whole))) return []
    const id = kind === 'tool' ? partId : `${messageId}:reasoning:${partId}`
    const from = known !== undefined && whole.startsWith(known.text) ? known.text.length : 0
    const events = this.#write(key, { kind, id, name, messageId, runId, text: whole })
    // The arguments of a tool end with its call.
    const ends = isOpen || kind === 'tool' ? [] : this.#end(key)
    const { text: _, ...rest } = data
    return kept([...events, ...ends], envelope, at === undefined ? rest : { ...rest, at: from })
  }

  /** Makes `next.text` the text of a part. AG-UI cannot replace a text, so a part with another text ends and begins again. */
  #write (key: string, next: OpenPart): Event[] {
    const known = this.#open.get(key)
    const isContinued = known !== undefined && next.text.startsWith(known.text)
    const before = isContinued ? [] : [...this.#end(key), ...starts(next)]
    this.#open.set(key, next)
    const delta = isContinued ? next.text.slice(known.text.length) : next.text
    return delta === '' ? before : [...before, content(next, delta)]
  }

  #end (key: string): Event[] {
    const open = this.#open.get(key)
    this.#open.delete(key)
    return open === undefined ? [] : ends(open)
  }
}

function starts ({ kind, id, name, messageId }: OpenPart): Event[] {
  const parent = messageId !== undefined && { parentMessageId: messageId }
  if (kind === 'tool') return [{ type: EventType.TOOL_CALL_START, toolCallId: id, toolCallName: name, ...parent }]
  return [
    { type: EventType.REASONING_START, messageId: id },
    { type: EventType.REASONING_MESSAGE_START, messageId: id, role: 'reasoning' }
  ]
}

function content ({ kind, id }: OpenPart, delta: string): Event {
  return kind === 'tool'
    ? { type: EventType.TOOL_CALL_ARGS, toolCallId: id, delta }
    : { type: EventType.REASONING_MESSAGE_CONTENT, messageId: id, delta }
}

function ends ({ kind, id }: OpenPart): Event[] {
  if (kind === 'tool') return [{ type: EventType.TOOL_CALL_END, toolCallId: id }]
  return [{ type: EventType.REASONING_MESSAGE_END, messageId: id }, { type: EventType.REASONING_END, messageId: id }]
}

/** Keeps the fields of a message in its last event. */
function kept (events: Event[], envelope: Message, data: Data): Event[] {
  return events.map((event, at) => ({ ...event, ...at === events.length - 1 ? keeping(envelope, data) : part }))
}

/** Whether a text is the JSON `json`, apart from spaces. */
function isSameJson (text: string, json: string): boolean {
  try {
    return JSON.stringify(JSON.parse(text)) === json
  } catch {
    return false
  }
}
