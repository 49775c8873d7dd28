import type { Envelope, Messages } from '../../protocol/envelope.js'
import type { ChatItem, Whole } from './items.js'

type Data = Record<string, any>
type Saved = Messages['chat_message'] & { timestamp?: string, parts?: Data[], metadata?: unknown }

/** The answer to `chat_history`: messages, oldest first. */
export interface Page {
  messages: readonly Saved[]
  /** Whether there are no older messages. */
  is_complete: boolean
}

type Publication = Pick<Envelope, 'type' | 'data' | 'timestamp'>

/** Items of a conversation by key, in their order, and the state of its messages. */
interface Content {
  readonly log: ReadonlyMap<string, ChatItem>
  readonly wholes: Map<string, Whole>
}

/** Part of a conversation that a page is inserted into. */
interface Paged extends Content {
  isComplete: boolean
  hasHole: boolean
  sibling (publications: readonly Publication[]): Content
  restore (items: ReadonlyMap<string, ChatItem>, order: string[], first: number): void
}

/** Inserts a page of older messages: those before the message `before`, or else the newest. */
export function insertPage (conversation: Paged, { messages, is_complete: isComplete }: Page, before?: string): void {
  const { log, wholes } = conversation
  const page = conversation.sibling(messages.flatMap(publicationsOf))
  for (const [id, whole] of page.wholes) if (!wholes.has(id)) wholes.set(id, whole)
  const all = new Map([...page.log, ...log])
  const order = [...log.keys()]
  const anchor = [...log.values()].findIndex(({ kind, id }) => kind === 'message' && id === before)
  let at = anchor === -1 ? order.length : anchor
  let isNew = false
  const items = new Map<string, ChatItem>()
  for (const [key, item] of [...page.log].reverse()) {
    const { createdAt } = all.get(key)!
    const index = order.indexOf(key)
    isNew = index === -1
    if (!isNew) at = Math.min(at, index)
    else {
      while (at > 0 && isLater(all.get(order[at - 1])!.createdAt, createdAt)) at--
      order.splice(at, 0, key)
    }
    if (isNew || item.status !== 'streaming') items.set(key, { ...item, createdAt })
  }
  // Items before the page may not be adjacent to it. They can be loaded again.
  const isDetached = !before && conversation.hasHole && isNew && !isComplete
  conversation.restore(items, order, isDetached ? at : 0)
  conversation.isComplete = !isDetached && (isComplete || conversation.isComplete)
  conversation.hasHole &&= !!before
}

/** Publications that a saved message stands for. */
function publicationsOf ({ parts, metadata, timestamp = '', ...message }: Saved): Publication[] {
  const { message_id: id, run_id: runId, agent, status } = message
  if (id === undefined) return []
  const of = (type: string, data: Data) => ({ type, data, timestamp })
  if (!parts) return [of('chat_message', message)]
  return [
    of('chat_part', { kind: 'message', message_id: id, run_id: runId, status, value: metadata }),
    ...parts.map(part => part.kind === 'text'
      ? of('chat_message', { ...message, message_id: part.part_id, content: part.text, part_of: part.part_id === id ? undefined : id })
      : of('chat_part', { ...part, message_id: id, run_id: runId, agent }))
  ]
}

/** Whether the time `a` is after `b`; `false` when one of them is not a time. */
function isLater (a: string, b: string): boolean {
  return Date.parse(a) > Date.parse(b)
}
