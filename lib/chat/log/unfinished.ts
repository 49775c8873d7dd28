import type { Message } from '../../protocol/envelope.js'
import { partKey } from '../../protocol/growth.js'
import { wholeOf, type Streaming } from './text/streaming.js'

/** Entry of a chat's log: a publication, or the `text` of an unfinished message. */
interface Piece {
  readonly body: string
  readonly text?: Streaming
}

/**
 * Returns the messages that close the open parts of a run whose server died: unfinished replies, tools without an output, and
 * questions without an answer. `undefined` when the run is over.
 */
export function unfinished (pieces: Iterable<Piece>, runId: string): Message[] | undefined {
  const open = new Map<unknown, Message>()
  for (const { body, text } of pieces) {
    const { type, data } = text === undefined ? mentioning(body, runId) : { type: undefined, data: text.head }
    if (data?.run_id !== runId) continue
    const about = { run_id: runId }
    if (type === 'run_finished') return undefined
    if (text !== undefined) {
      const { type, data } = wholeOf(text, text.text.slice(0), 'interrupted')
      open.set(text, { type, data } as Message)
    }
    if (type === 'chat_part' && data.status === 'streaming') {
      open.set(partKey(data.message_id, data.kind, data.part_id), { type, data: { ...data, status: 'interrupted' } } as Message)
    }
    if (type === 'tool_call') {
      const { call_id: id, name } = data as { call_id: string, name: string }
      open.set(toolKey(id), { type: 'tool_output', data: { ...about, call_id: id, name, status: 'interrupted' } })
    }
    if (type === 'input_request') {
      const { request_id: id } = data as { request_id: string }
      open.set(questionKey(id), { type: 'input_closed', data: { ...about, request_id: id, reason: 'interrupted' } })
    }
    if (type === 'tool_output') open.delete(toolKey(data.call_id))
    if (type === 'input_closed') open.delete(questionKey(data.request_id))
  }
  return [...open.values()]
}

// An agent's tool may have the same id as a question.
const toolKey = (id: unknown) => `tool ${id}`
const questionKey = (id: unknown) => `question ${id}`

/** Parses a publication if it mentions a run; otherwise returns an empty object. */
function mentioning (body: string, runId: string): Partial<{ type: string, data: Record<string, unknown> }> {
  return body.includes(runId) ? JSON.parse(body) : {}
}
