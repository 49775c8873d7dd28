import { messageIdOf } from '../../protocol/message-id.js'
import type { ChatAddress } from '../address.js'

/** Runs that a `chat_cancel` names: by the id of the run, or by the message or `ref` that started it. */
export type RunName = { runId: string } | { userId: string, ref: string, messageId: string }

/** What started a run. */
export interface RunOrigin {
  /** User whose message started the run, or else the owner of the chat. */
  userId: string
  /** The `ref` of the client's frame, or of the app. */
  ref?: string | number
  /** Id of the user's message; absent when the app started the run. */
  messageId?: string
}

/**
 * Returns the runs that a user names with the `ref` of `chat_cancel`. It stands for a message of this user, by the `ref` or the id that
 * the client sent; for a run that the app started with this `ref`; or, if it contains a slash, for any user's message by its `message_id`.
 */
export function runNameOf (ref: string | number, userId: string, { userId: ownerId }: ChatAddress): RunName {
  const text = String(ref)
  return { userId, ref: text, messageId: text.includes('/') ? text : messageIdOf(text, userId, ownerId) }
}

/** Whether a name stands for the origin of a run. Different users may use the same `ref`. */
export function isStartedBy (origin: RunOrigin, name: RunName): boolean {
  if ('runId' in name) return false
  const { userId, ref, messageId } = name
  if (origin.messageId === messageId) return true
  if (origin.ref === undefined || String(origin.ref) !== ref) return false
  return origin.messageId === undefined || origin.userId === userId
}
