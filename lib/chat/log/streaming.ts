import type { Delta } from '../../protocol/delta.js'
import type { GrowingText } from './growing-text.js'

/** A message that still grows. */
export interface Streaming {
  readonly text: GrowingText
  /** What its deltas have beside `at` and `text`. */
  head: Record<string, unknown>
  timestamp: string
}

/** What a message goes on with. */
export interface MessageDelta extends Delta {
  message_id: string
}

/** All that there is of a message by now. */
export interface MessageSnapshot {
  message_id: string
  content: string
  status: 'streaming'
}

export function isDelta (data: object): data is MessageDelta {
  const { message_id: id, at, text } = data as Partial<MessageDelta>
  return typeof id === 'string' && Number.isSafeInteger(at) && at! >= 0 && typeof text === 'string'
}

/** Of a message whose status is `streaming`. */
export function isMessageSnapshot (data: object): data is MessageSnapshot {
  const { message_id: id, content } = data as Partial<MessageSnapshot>
  return typeof id === 'string' && typeof content === 'string'
}

/**
 * What a reader lacks of a message that grows, as the JSON text of a publication: the whole message where it has read nothing of
 * it, otherwise one delta. The reader has read up to `from`, and may have begun after `since`.
 */
export function restOf ({ text, head, timestamp }: Streaming, from: number, since: number): string {
  const at = text.lengthAt(from, since)
  const rest = text.slice(at)
  return JSON.stringify(at === 0
    ? { type: 'chat_message', data: { role: 'assistant', ...head, content: rest, status: 'streaming' }, timestamp }
    : { type: 'chat_delta', data: { ...head, at, text: rest }, timestamp })
}
