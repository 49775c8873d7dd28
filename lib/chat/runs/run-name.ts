import { messageIdOf } from '../../protocol/message-id.js'
import type { ChatAddress } from '../address.js'

/** Which runs a `chat_cancel` ends: the one with this id, or those that a user names by what started them. */
export type RunName = { runId: string } | { userId: string, ref: string, messageId: string }

/** What started a run. */
export interface RunOrigin {
  /** Who started it, or whose chat it is. */
  userId: string
  /** Of the client's frame, or chosen by the app. */
  ref?: string | number
  /** Of the user's message; absent when the app started the run. */
  messageId?: string
}

/**
 * What a user means by the `ref` of `chat_cancel`: a message that they sent themselves, by its `ref` or by its id as they sent
 * it; a run that the app started with this `ref`; or, with a slash in it, any user's message by its `message_id`.
 */
export function runNameOf (ref: string | number, userId: string, { userId: ownerId }: ChatAddress): RunName {
  const text = String(ref)
  return { userId, ref: text, messageId: text.includes('/') ? text : messageIdOf(text, userId, ownerId) }
}

/** Whether a run was started by what the name stands for. Two users' refs may be the same. */
export function isStartedBy (origin: RunOrigin, name: RunName): boolean {
  if ('runId' in name) return false
  const { userId, ref, messageId } = name
  if (origin.messageId === messageId) return true
  if (origin.ref === undefined || String(origin.ref) !== ref) return false
  return origin.messageId === undefined || origin.userId === userId
}
