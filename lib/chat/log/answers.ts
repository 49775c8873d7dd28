import type { SavedPart } from '../hooks.js'
import { savedCall, textOf } from '../saved-part.js'
import type { Streaming } from './text/streaming.js'

type Data = Record<string, any>

/** Entry of a chat's log: a publication, or the `text` of an unfinished one. */
interface Piece {
  readonly body: string
  readonly text?: Streaming
}

/** A message of a run, with its parts so far. */
interface Answer {
  readonly data: Data
  readonly parts: Map<unknown, Data>
  /** Whether it has more than one text. */
  isWhole: boolean
  isOpen: boolean
}

/** Returns the unfinished messages of a run whose server died, in the form in which messages are saved. */
export function unfinishedAnswers (pieces: Iterable<Piece>, runId: string): Data[] {
  const answers = new Map<string, Answer>()
  const answerOf = (id: string, { run_id: runId, agent, role = 'assistant' }: Data): Answer => {
    const known = answers.get(id)
    const data = { message_id: id, run_id: runId, ...agent !== undefined && { agent }, role }
    const answer = known ?? { data, parts: new Map<unknown, Data>(), isWhole: false, isOpen: false }
    answers.set(id, answer)
    return answer
  }
  for (const { body, text } of pieces) {
    const { type, data } = text === undefined
      ? publicationOf(body, runId)
      : { type: `${text.form} text`, data: { ...text.head, text: text.text.slice(0) } as Data }
    if (data?.run_id !== runId || data.message_id === undefined) continue
    const { message_id: messageId, part_of: partOf, part_id: partId, call_id: callId, status, content, ...rest } = data
    const { run_id: _, agent: __, role: ___, ...fields } = rest
    const answer = answerOf(partOf ?? messageId, data)
    const put = (part: Data) => {
      const key = `${part.kind} ${part.part_id}`
      answer.parts.set(key, { ...answer.parts.get(key), ...part })
    }
    if (type === 'message text' || type === 'chat_message') {
      put({ ...fields, kind: 'text', part_id: messageId, text: fields.text ?? content })
      answer.isOpen ||= text !== undefined && !answer.isWhole
    } else if (type === 'part text') put({ ...fields, part_id: partId })
    else if (type === 'tool_call') put({ ...fields, kind: 'tool', part_id: callId })
    else if (type === 'tool_output') {
      const { name, ...outcome } = fields
      put(savedCall({ ...answer.parts.get(`tool ${callId}`), kind: 'tool', part_id: callId, name }, { status, ...outcome }))
    } else if (type === 'chat_part' && fields.kind === 'message') {
      answer.isWhole = true
      answer.isOpen = status === 'streaming'
      if (fields.value !== undefined) answer.data.metadata = fields.value
    } else if (type === 'chat_part' && fields.is_transient !== true) put({ ...fields, part_id: partId })
  }
  return [...answers.values()].filter(({ isOpen }) => isOpen).map(({ data, parts, isWhole }) => {
    const all = [...parts.values()]
    return { ...data, content: textOf(all as SavedPart[]), status: 'interrupted', ...isWhole && { parts: all } }
  })
}

function publicationOf (body: string, runId: string): { type?: string, data?: Data } {
  return body.includes(runId) ? JSON.parse(body) : {}
}
