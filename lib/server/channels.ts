import { errors } from '../errors.js'
import { isId } from '../protocol/ids.js'
import type { Label } from '../protocol/position.js'

/** What a connection is for, as its path says. */
export type Target = NotificationsTarget | ChatTarget

export interface NotificationsTarget {
  readonly kind: 'notifications'
  /** The user whose notifications these are. */
  readonly userId: string
}

/** One chat of one user. */
export interface ChatAddress {
  readonly workflow: string
  readonly appId: string
  readonly chatId: string
  readonly userId: string
}

export interface ChatTarget extends ChatAddress {
  readonly kind: 'chat'
}

/** `/ws/notifications/…` is the other route, so no workflow can have this name. */
const reservedWorkflow = 'notifications'

export const broadcastChannel = 'broadcast'

/** Throws RT_ERR_INVALID_ID when `userId` is not an id. */
export function userChannel (userId: string): string {
  return `user:${checkId(userId)}`
}

/**
 * The user id is part of it, so a guessed chat id opens the guesser's own empty log. No id has a slash in it.
 * Throws RT_ERR_INVALID_ID.
 */
export function chatChannel ({ workflow, appId, chatId, userId }: ChatAddress): string {
  if (workflow === reservedWorkflow) throw new errors.INVALID_ID("The workflow 'notifications'")
  return `chat:${[workflow, appId, chatId, userId].map(checkId).join('/')}`
}

/** Whose memory a channel takes: the user's whose channel or chat it is; a channel without a user stands for itself. */
export function ownerOf (channel: string): string {
  const kind = channel.slice(0, channel.indexOf(':') + 1)
  if (kind === 'user:') return channel.slice(kind.length)
  return kind === 'chat:' ? channel.slice(channel.lastIndexOf('/') + 1) : channel
}

/** The channels that a connection reads, in the order in which they are written to it. */
export function channelsOf (target: Target): string[] {
  return target.kind === 'chat' ? [chatChannel(target)] : [userChannel(target.userId), broadcastChannel]
}

/** The label of a channel's positions is the first letter of its name. */
export function labelOf (channel: string): Label {
  return channel[0] as Label
}

/** Reads `/notifications/:user_id` and `/:workflow/:app_id/:chat_id/:user_id`; `undefined` when it is neither. */
export function parseTarget (segments: string[]): Target | 'invalid' | undefined {
  if (segments.length === 2 && segments[0] === reservedWorkflow) {
    return isId(segments[1]) ? { kind: 'notifications', userId: segments[1] } : 'invalid'
  }
  if (segments.length !== 4) return undefined
  const [workflow, appId, chatId, userId] = segments
  if (workflow === reservedWorkflow || !segments.every(isId)) return 'invalid'
  return { kind: 'chat', workflow, appId, chatId, userId }
}

function checkId (id: unknown): string {
  if (isId(id)) return id
  throw new errors.INVALID_ID(typeof id === 'string' ? JSON.stringify(id).slice(0, 140) : typeof id === 'object' && id !== null ? 'An object' : String(id))
}
