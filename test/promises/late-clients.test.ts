import fc from 'fast-check'
import t from 'tap'
import { FollowedRun } from '../../lib/adapters/ai-sdk/run.js'
import { ChatLog } from '../../lib/chat/log/chat-log.js'
import { Conversation } from '../../lib/client/chat/conversation.js'
import type { FrameOf, LogLimits, Reader } from '../../lib/logs/log.js'
import type { Envelope } from '../../lib/protocol/envelope.js'

const timestamp = '2026-01-01T00:00:00.000Z'

/** Frames are lines of JSON. Long ones are Buffers, as in the server. */
const frameOf: FrameOf = ({ epoch, offset }, body) => {
  const bytes = Buffer.from(`${body.slice(0, -1)},"id":"${epoch}.${offset}"}\n`)
  return bytes.length > 2_000 ? bytes : bytes.toString('latin1')
}

/** Name of an agent whose publications some readers do not get. */
const secret = 'secret'
const hidden = fc.constantFrom(undefined, undefined, secret, 'tool_call', 'tool_progress', 'tool_output')

const what = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('text' as const, 'reasoning' as const, 'args' as const) },
  { weight: 6, arbitrary: fc.constantFrom('call' as const, 'progress' as const, 'output' as const) },
  { weight: 2, arbitrary: fc.constantFrom('snapshot' as const, 'end of text' as const, 'end of reasoning' as const, 'source' as const, 'other' as const) }
)
type What = typeof what extends fc.Arbitrary<infer W> ? W : never

const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('publish' as const), what, of: fc.nat(2), length: fc.constantFrom(1, 3, 8, 2_500) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('read' as const), at: fc.nat(5), room: fc.integer({ min: 1, max: 2_000 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('read all' as const), at: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('join' as const), hidden }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('cut' as const), at: fc.nat(5), lost: fc.nat(6) }) }
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

/** Writes an answer with texts, reasoning, sources and tools. `isOrderly`: a tool is called once, then has progress, then one output. */
class Writer {
  readonly #texts = new Map<string, string>()
  readonly #states = new Map<string, 'args' | 'called' | 'ended'>()
  readonly #ended: Record<string, number> = {}
  readonly #isOrderly: boolean
  #count = 0

  constructor (isOrderly: boolean) {
    this.#isOrderly = isOrderly
  }

  bodyOf (what: What, of: number, length: number): string | undefined {
    const [type, data] = this.#publication(what, of, `${++this.#count} `.repeat(length)) ?? []
    return type && JSON.stringify({ type, data: { ...data, agent: of === 1 ? secret : 'a' }, timestamp })
  }

  #publication (what: What, of: number, text: string): [type: string, data: object] | undefined {
    const message = { message_id: this.#idOf('m', of) }
    const reasoning = { message_id: 'm', part_id: this.#idOf('r', of), kind: 'reasoning' }
    switch (what) {
      case 'text': return ['chat_delta', { ...message, ...this.#grow(message.message_id, text) }]
      case 'snapshot':
        this.#texts.set(message.message_id, text)
        return ['chat_message', { ...message, content: text, status: 'streaming' }]
      case 'end of text': return ['chat_message', { ...message, content: this.#end('m', of), status: 'complete' }]
      case 'reasoning': return ['chat_part_delta', { ...reasoning, ...this.#grow(reasoning.part_id, text) }]
      case 'end of reasoning': return ['chat_part', { ...reasoning, text: this.#end('r', of), status: 'complete' }]
      case 'source': return ['chat_part', { message_id: 'm', part_id: `s${of}`, kind: 'source', value: text }]
      case 'other': return ['other', {}]
      default: return this.#ofTool(what, of, text)
    }
  }

  #ofTool (what: 'args' | 'call' | 'progress' | 'output', of: number, text: string): [type: string, data: object] | undefined {
    const id = this.#isOrderly ? this.#idOf('c', of) : `c${of}`
    const state = this.#states.get(id)
    if (what === 'args') {
      if (state === 'called' || state === 'ended') return undefined
      this.#states.set(id, 'args')
      return ['chat_part_delta', { message_id: 'm', part_id: id, kind: 'tool', name: 'n', ...this.#grow(id, text) }]
    }
    if (this.#isOrderly && (what === 'call') === (state === 'called')) return undefined
    const call = { call_id: id, message_id: 'm', name: 'n' }
    if (what === 'call') {
      if (state === 'ended') return undefined
      this.#states.set(id, 'called')
      return ['tool_call', { ...call, args: id }]
    }
    if (what === 'progress') return state === 'called' ? ['tool_progress', { call_id: id, progress: text }] : undefined
    if (this.#isOrderly) this.#end('c', of)
    else if (state !== 'called') this.#states.set(id, 'ended')
    return ['tool_output', { ...call, status: 'complete', output: text }]
  }

  /** What has ended is followed by another one. */
  #idOf (prefix: string, of: number): string {
    return `${prefix}${of}-${this.#ended[`${prefix}${of}`] ?? 0}`
  }

  #end (prefix: string, of: number): string {
    const id = this.#idOf(prefix, of)
    this.#ended[`${prefix}${of}`] = (this.#ended[`${prefix}${of}`] ?? 0) + 1
    return this.#texts.get(id) ?? ''
  }

  #grow (id: string, text: string): { at: number, text: string } {
    const before = this.#texts.get(id) ?? ''
    this.#texts.set(id, before + text)
    return { at: before.length, text }
  }
}

/** A client of a chat, with all that it has received. */
class Client implements Reader {
  offset: number
  epoch = 'e'
  ahead: Reader['ahead']
  joined = 0
  readonly sees: Reader['sees']
  readonly hidden: string | undefined
  readonly received: Envelope[] = []
  readonly #log: ChatLog
  readonly #conversation = new Conversation(async () => {})
  readonly #run = new FollowedRun('r')

  constructor (log: ChatLog, hidden: string | undefined, offset = 0, received: Envelope[] = []) {
    this.#log = log
    this.hidden = hidden
    if (hidden !== undefined) this.sees = ({ type, data }) => type !== hidden && (data as { agent?: string }).agent !== hidden
    this.offset = offset
    for (const envelope of received) this.#apply(envelope)
    log.add(this)
  }

  wake () {}

  catchUp () {
    this.readAll()
  }

  /** Reads one chunk; `false` if there was none. */
  read (room: number): boolean {
    const chunk = this.#log.read(this, room)
    const text = typeof chunk === 'string' ? Buffer.from(chunk, 'latin1').toString() : chunk.toString()
    for (const line of text.split('\n').slice(0, -1)) this.#apply(JSON.parse(line))
    return text !== ''
  }

  /** Returns the frames that it has read. */
  readAll (): Envelope[] {
    const { length } = this.received
    const behind = this.#log.isLost(this) ? 0 : this.#log.behind(this)
    while (!this.#log.isLost(this) && this.read(300));
    const frames = this.received.slice(length)
    if (frames.length !== behind) throw new Error(`${frames.length} frames instead of ${behind}`)
    return frames
  }

  /** Shown items, and the tools for the AI SDK. Without the progress of tools that have ended. */
  get shown (): string {
    const items = this.#conversation.items.map(item => {
      const fields = Object.entries(item).filter(([name, value]) => value !== undefined && (name !== 'progress' || item.status === 'running'))
      return [`${item.kind} ${item.id}`, ...fields.map(([name, value]) => `${name}: ${value}`).sort()]
    })
    const tools = this.#run.parts.filter(part => part.kind === 'tool').map(({ callId, name, args, isCalled, outcome }) => ({ callId, name, args, isCalled, outcome }))
    return JSON.stringify([items.sort(([a], [b]) => a < b ? -1 : 1), tools.sort((a, b) => a.callId < b.callId ? -1 : 1)])
  }

  #apply (envelope: Envelope): void {
    this.received.push(envelope)
    this.#conversation.apply(envelope)
    this.#run.apply(envelope)
  }
}

/** Part of the chat that a frame is about, unless it is about none. */
function partOf ({ type, data }: Envelope): string | undefined {
  const { message_id: messageId, part_id: partId, call_id: callId, kind } = data as Record<string, string>
  if (type === 'other') return undefined
  if (type.startsWith('tool_') || kind === 'tool') return `tool ${callId ?? partId}`
  return `${messageId} ${partId}`
}

class Checked {
  readonly log: ChatLog
  readonly #writer: Writer
  readonly #isOrderly: boolean
  /** Clients that are there from the beginning and never behind, by what they do not get. */
  readonly #early = new Map<string | undefined, Client>()
  /** Clients that have lost nothing. */
  #clients: Client[] = []

  constructor (limits: LogLimits, isOrderly: boolean) {
    this.log = new ChatLog('e', limits, frameOf)
    this.#writer = new Writer(isOrderly)
    this.#isOrderly = isOrderly
    for (const hidden of [undefined, secret]) this.#early.set(hidden, new Client(this.log, hidden))
  }

  take (step: Step): void {
    if (step.do === 'publish') return this.#publish(this.#writer.bodyOf(step.what, step.of, step.length))
    if (step.do === 'join') return this.#join(step.hidden)
    const client = this.#clients.at(step.at % Math.max(1, this.#clients.length))
    if (client === undefined) return
    if (step.do === 'cut') return this.#cut(client, step.lost)
    if (step.do === 'read all') client.readAll()
    else if (!this.log.isLost(client)) client.read(step.room)
  }

  /** All clients, and one that comes now, must show the same. */
  check (): void {
    this.#join(undefined)
    this.#join(secret)
    this.#clients = this.#clients.filter(client => !this.log.isLost(client))
    for (const client of this.#clients) {
      client.readAll()
      if (client.ahead !== undefined || client.offset !== this.log.head) throw new Error('it is not at the head')
      const early = this.#early.get(client.hidden)
      if (early !== undefined && client.shown !== early.shown) throw new Error(`${client.shown} instead of ${early.shown}`)
    }
  }

  #publish (body: string | undefined): void {
    if (body === undefined) return
    this.log.append(body, 0)
    for (const client of this.#early.values()) client.readAll()
  }

  #join (hidden: string | undefined): void {
    const late = new Client(this.log, hidden, this.log.beginning)
    const parts = late.readAll().map(partOf).filter(part => part !== undefined)
    const isTwice = new Set(parts).size < parts.length
    if (this.#isOrderly && isTwice && !hidden?.startsWith('tool_')) throw new Error(`a part twice: ${parts}`)
    this.log.remove(late)
    if (this.log.beginning === 0) this.#clients.push(new Client(this.log, hidden))
  }

  /** Disconnects a client, which loses its last `lost` frames and resumes after the others. */
  #cut (client: Client, lost: number): void {
    const received = client.received.slice(0, Math.max(0, client.received.length - lost))
    const offset = Number(received.at(-1)?.id?.split('.')[1] ?? 0)
    this.log.remove(client)
    this.#clients.splice(this.#clients.indexOf(client), 1)
    if (this.log.canRecover({ epoch: 'e', offset })) this.#clients.push(new Client(this.log, client.hidden, offset, received))
  }
}

const limits = fc.record({ size: fc.constantFrom(3, 8, 1_000), ttl: fc.constant(1_000), lag: fc.constantFrom(2_000, 1_000_000) })

for (const isOrderly of [true, false]) {
  const title = isOrderly ? 'gets each part in one frame, and ends with what an early one has' : 'ends with what an early one has, when tools repeat and skip publications'
  t.test(`a client of a chat that comes late, is slow or is cut off ${title}`, async t => {
    t.doesNotThrow(() => fc.assert(fc.property(limits, fc.array(step, { maxLength: 80, size: 'max' }), (limits, steps) => {
      const checked = new Checked(limits, isOrderly)
      for (const step of steps) checked.take(step)
      checked.check()
    }), { numRuns: 400 }))
  })
}
