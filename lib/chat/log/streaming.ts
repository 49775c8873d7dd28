import type { Delta } from '../../protocol/delta.js'
import type { GrowingText } from './growing-text.js'

/** An unfinished message. */
export interface Streaming {
  readonly text: GrowingText
  /** Fields of its deltas other than `at` and `text`. */
  head: Record<string, unknown>
  timestamp: string
}

/** Data of a `chat_delta`: the continuation of a message. */
export interface MessageDelta extends Delta {
  message_id: string
}

/** Data of a `chat_message` with the status `streaming`: an unfinished message so far. */
export interface MessageSnapshot {
  message_id: string
  content: string
  status: 'streaming'
}

export function isDelta (data: object): data is MessageDelta {
  const { message_id: id, at, text } = data as Partial<MessageDelta>
  return typeof id === 'string' && Number.isSafeInteger(at) && at! >= 0 && typeof text === 'string'
}

/** `data`: that of a message with the status `streaming`. */
export function isMessageSnapshot (data: object): data is MessageSnapshot {
  const { message_id: id, content } = data as Partial<MessageSnapshot>
  return typeof id === 'string' && typeof content === 'string'
}

/**
 * Returns the part of an unfinished message that a reader lacks, as the JSON text of a publication: the whole message when the reader
 * has nothing of it, otherwise one delta. The reader has read up to `from`, and may have begun after `since`.
 */
export function restOf ({ text, head, timestamp }: Streaming, from: number, since: number): string {
  const at = text.lengthAt(from, since)
  const rest = text.slice(at)
  return JSON.stringify(at === 0
    ? { type: 'chat_message', data: { role: 'assistant', ...head, content: rest, status: 'streaming' }, timestamp }
    : { type: 'chat_delta', data: { ...head, at, text: rest }, timestamp })
}
