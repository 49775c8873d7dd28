import { withDelta } from './delta.js'

/** What a publication does to the text of a message, or of another part of an answer. */
export interface Growth {
  /** Key of the text, unique in the chat. */
  readonly key: string
  /** Where `text` continues the known text, in UTF-16 code units; absent when `text` replaces it. */
  readonly at?: number
  readonly text: string
  /** Whether more text may follow. */
  readonly isOpen: boolean
}

/** Key of a message, which is also that of its first text. */
export const messageKey = (messageId: unknown) => `message ${messageId}`
/** Key of another part of a message. A tool has its `call_id` as part id. */
export const partKey = (messageId: unknown, partId: unknown) => `part ${messageId} ${partId}`

/**
 * Reads what a publication does to a text; `undefined` when it does nothing to one. `chat_message` and `chat_part` carry a whole text,
 * `chat_delta` and `chat_part_delta` continue it.
 */
export function growthOf (type: string, data: Record<string, any>): Growth | undefined {
  const { message_id: messageId, part_id: partId, status, at, text, content } = data
  if (typeof messageId !== 'string') return undefined
  const isPart = type === 'chat_part' || type === 'chat_part_delta'
  if (isPart && typeof partId !== 'string') return undefined
  const key = isPart ? partKey(messageId, partId) : messageKey(messageId)
  if (type === 'chat_delta' || type === 'chat_part_delta') {
    return Number.isSafeInteger(at) && at >= 0 && typeof text === 'string' ? { key, at, text, isOpen: true } : undefined
  }
  const whole = type === 'chat_message' ? content : type === 'chat_part' ? text : undefined
  return typeof whole === 'string' ? { key, text: whole, isOpen: status === 'streaming' } : undefined
}

/** Applies a growth to the known text. Returns `undefined` when the text before `at` is unknown: a snapshot follows. */
export function grown (known: string | undefined, { at, text }: Growth): string | undefined {
  return at === undefined ? text : withDelta(known ?? '', at, text)
}
