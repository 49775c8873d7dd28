import type { ChatItem, ChatMessage, Whole, WholeMessage } from './items.js'

/**
 * Collects items into messages with their parts. An answer that has ended with nothing but steps is none. Returns the same objects as in
 * `before` for unchanged messages.
 */
export function wholeMessages (
  items: readonly ChatItem[], wholes: ReadonlyMap<string, Whole>, before: readonly WholeMessage[]
): WholeMessage[] {
  const groups = new Map<string, ChatItem[]>()
  for (const item of items) {
    const { kind, id: itemId, messageId = kind === 'message' ? itemId : undefined } = item as ChatMessage
    if (messageId === undefined) continue
    const parts = groups.get(messageId)
    if (parts) parts.push(item)
    else groups.set(messageId, [item])
  }
  const known = new Map(before.map(message => [message.id, message]))
  return [...groups].flatMap(([id, parts]) => {
    const whole = wholes.get(id)
    const next = wholeOf(id, parts, whole)
    if (!/^(streaming|complete)$/.test(next.status) && parts.every(({ kind }) => kind === 'step')) return []
    const last = known.get(id)
    const isSame = last && last.status === next.status && last.metadata === next.metadata &&
      last.parts.length === parts.length && last.parts.every((part, at) => part === parts[at])
    return isSame ? last : next
  })
}

function wholeOf (id: string, parts: ChatItem[], whole: Whole | undefined): WholeMessage {
  const texts = parts.filter(part => part.kind === 'message')
  const { runId, agent, createdAt } = parts[0] as ChatMessage
  const first = texts[0] ?? { kind: 'message', role: 'assistant', runId, agent, createdAt, status: 'complete' }
  const text = texts.map(({ text }) => text).filter(Boolean).join('\n\n')
  const { messageId: _, ...rest } = first
  return { ...rest, id, text, status: whole?.status ?? first.status, parts, metadata: whole?.metadata }
}
