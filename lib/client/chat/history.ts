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

/** Part of a conversation that a page is inserted into. */
interface Log {
  isComplete: boolean
  hasHole: boolean
  readonly byKey: Map<string, ChatItem>
  readonly order: string[]
  readonly unsettled: Set<string>
  readonly wholes: Map<string, Whole>
  isFinal (key: string): boolean
  set (key: string, item: ChatItem): void
  interrupt (key: string): void
  forget (key: string): void
  sibling (publications: readonly Publication[]): Log
}

/** Inserts a page of older messages: those before the message `before`, or else the newest. */
export function insertPage (conversation: Log, { messages, is_complete: isComplete }: Page, before?: string): void {
  const { byKey, order, wholes } = conversation
  const page = conversation.sibling(messages.flatMap(publicationsOf))
  for (const [id, whole] of page.wholes) if (!wholes.has(id)) wholes.set(id, whole)
  const anchor = order.map(key => byKey.get(key)!).findIndex(({ kind, id }) => kind === 'message' && id === before)
  let at = anchor === -1 ? order.length : anchor
  let isNew = false
  for (const [key, item] of [...page.byKey].reverse()) {
    const isFinal = conversation.isFinal(key)
    conversation.unsettled.delete(key)
    const index = order.indexOf(key)
    isNew = index === -1
    if (!isNew) at = Math.min(at, index)
    else {
      while (at > 0 && isLater(byKey.get(order[at - 1])!.createdAt, item.createdAt)) at--
      order.splice(at, 0, key)
    }
    if (isFinal || (item.status === 'streaming' && !isNew)) continue
    conversation.set(key, isNew ? item : { ...item, createdAt: byKey.get(key)!.createdAt })
    // Only the log knows whether the message is still being written.
    if (item.status === 'streaming') conversation.interrupt(key)
  }
  conversation.isComplete ||= isComplete
  if (before || !conversation.hasHole) return
  conversation.hasHole = false
  if (!isNew || isComplete) return
  // Items before the page may not be adjacent to it. They can be loaded again.
  for (const key of order.splice(0, at)) conversation.forget(key)
  conversation.isComplete = false
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
