// Logs of a chat and their readers, for the tests of this folder.
import { ChatLog } from '../../../lib/chat/log/chat-log.js'
import type { Frame, FrameOf, LogLimits, Reader } from '../../../lib/logs/log.js'

const endless: LogLimits = { size: 1_000, ttl: 60_000, lag: 10_000_000 }
export const timestamp = '2026-01-01T00:00:00.000Z'

interface Received {
  type: string
  data: Record<string, any>
  id: string
}

/** Frames are lines of JSON. Long ones are Buffers, as in the server. */
const frameOf: FrameOf = ({ epoch, offset }, body) => {
  const text = `${body.slice(0, -1)},"id":"${epoch}.${offset}"}\n`
  const bytes = Buffer.from(text)
  return bytes.length > 4096 ? bytes : bytes.toString('latin1')
}

export const bodyOf = (type: string, data: object) => JSON.stringify({ type, data, timestamp })
export const delta = (id: string, at: number, text: string) => bodyOf('chat_delta', { message_id: id, agent: 'a', at, text })
export const message = (id: string, content: string, status = 'complete') => bodyOf('chat_message', { message_id: id, role: 'assistant', content, status })

export function logOf (bodies: string[] = [], limits: Partial<LogLimits> = {}): ChatLog {
  const log = new ChatLog('e', { ...endless, ...limits }, frameOf)
  for (const body of bodies) log.append(body, 0)
  return log
}

/** A client that applies its messages as the protocol requires. */
export class Client implements Reader {
  offset: number
  epoch: string
  ahead: Reader['ahead']
  readonly received: Received[] = []
  readonly texts = new Map<string, string>()
  readonly log: ChatLog
  isReading = true

  constructor (log: ChatLog, offset = log.beginning) {
    this.log = log
    this.offset = offset
    this.epoch = log.epoch
    log.add(this)
  }

  wake () {}

  catchUp () {
    if (this.isReading) this.readAll()
  }

  /** Reads one chunk; `false` if there was none. */
  read (room = 1_000): boolean {
    const chunk = this.log.read(this, room)
    if (chunk.length === 0) return false
    this.#receive(chunk)
    return true
  }

  readAll (room = 1_000): this {
    while (!this.log.isLost(this) && this.read(room));
    return this
  }

  get types (): string[] {
    return this.received.map(({ type }) => type)
  }

  get lastOffset (): number {
    return Number(this.received.at(-1)?.id.split('.')[1] ?? this.offset)
  }

  #receive (chunk: Frame) {
    for (const line of chunk.toString(typeof chunk === 'string' ? 'latin1' : 'utf8').split('\n').slice(0, -1)) {
      this.apply(JSON.parse(typeof chunk === 'string' ? Buffer.from(line, 'latin1').toString() : line))
    }
  }

  apply (received: Received) {
    const { type, data } = received
    this.received.push(received)
    const text = this.texts.get(data.message_id) ?? ''
    if (type === 'chat_message') this.texts.set(data.message_id, data.content)
    if (type === 'chat_delta' && data.at <= text.length) this.texts.set(data.message_id, text.slice(0, data.at) + data.text)
  }
}

export const progressOf = (n: number) => bodyOf('tool_progress', { call_id: 'c', progress: n })
export const callOf = (args: unknown) => bodyOf('tool_call', { call_id: 'c', args })
export const outputOf = (output: unknown) => bodyOf('tool_output', { call_id: 'c', output })
export const other = bodyOf('other', {})

/** What a client receives of tools: its type, whether it has the call in it, and its position. */
export const toolsOf = (client: Client) => client.readAll().received.map(({ type, data, id }) => `${type}${'call' in data ? ' with call' : ''} ${id}`)
