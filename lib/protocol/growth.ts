import { withDelta } from './delta.js'

/** What a publication does to the text of a message, or of another part of an answer. */
export interface Growth {
  /** Where `text` continues the known text, in UTF-16 code units; absent when `text` replaces it. */
  readonly at?: number
  readonly text: string
  /** Whether more text may follow. */
  readonly isOpen: boolean
}

/** A growth with the key of its text, unique in the chat. */
export interface KeyedGrowth extends Growth {
  readonly key: string
}

/** Key of a message, which is also that of its first text. */
export const messageKey = (messageId: unknown) => `message ${messageId}`
/** Key of another part of a message. The part id of a tool is its `call_id`: the model chooses it, and it may be that of another part. */
export const partKey = (messageId: unknown, kind: unknown, partId: unknown) => `part ${messageId} ${kind} ${partId}`

/**
 * Reads what a publication does to a text; `undefined` when it does nothing to one. `chat_message` and `chat_part` carry a whole text,
 * `chat_delta` and `chat_part_delta` continue it.
 */
export function growthOf (type: string, { status, at, text, content }: Record<string, any>): Growth | undefined {
  if (type === 'chat_delta' || type === 'chat_part_delta') {
    return Number.isSafeInteger(at) && at >= 0 && typeof text === 'string' ? { at, text, isOpen: true } : undefined
  }
  const whole = type === 'chat_message' ? content : type === 'chat_part' ? text : undefined
  return typeof whole === 'string' ? { text: whole, isOpen: status === 'streaming' } : undefined
}

/** Like `growthOf`, with the key of the text; `undefined` also when an id is missing. */
export function keyedGrowthOf (type: string, data: Record<string, any>): KeyedGrowth | undefined {
  const { message_id: messageId, kind, part_id: partId } = data
  const isPart = type === 'chat_part' || type === 'chat_part_delta'
  const growth = growthOf(type, data)
  if (growth === undefined || typeof messageId !== 'string' || (isPart && typeof partId !== 'string')) return undefined
  return { key: isPart ? partKey(messageId, kind, partId) : messageKey(messageId), ...growth }
}

/** Applies a growth to the known text. Returns `undefined` when the text before `at` is unknown: a snapshot follows. */
export function grown (known: string | undefined, { at, text }: Growth): string | undefined {
  return at === undefined ? text : withDelta(known ?? '', at, text)
}
