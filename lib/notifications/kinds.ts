import { isId } from '../protocol/ids.js'
import { checkId } from '../server/ids.js'
import type { ChannelKind, ChannelPath } from '../server/kinds.js'

export interface NotificationsTarget {
  readonly kind: 'notifications'
  /** User who receives the notifications. */
  readonly userId: string
}

declare module '../server/target.js' {
  interface Targets { notifications: NotificationsTarget }
}

/** Kind of a user's own channel, to which only the server publishes. */
export const userKind: ChannelKind = {
  name: 'user',
  label: 'u',
  isUnnamed: true,
  start: 'now',
  ownerOf: channel => channel.slice('user:'.length)
}

/** Kind of the channel that all notification connections read. */
export const broadcastKind: ChannelKind = { name: 'broadcast', label: 'b', isUnnamed: true, start: 'now' }

export const broadcastChannel = 'broadcast'

/** Throws RT_ERR_INVALID_ID if `userId` is not an id. */
export function userChannel (userId: string): string {
  return `user:${checkId(userId)}`
}

export const notificationsPath: ChannelPath<NotificationsTarget> = {
  url: '/notifications/:user_id',
  kinds: [userKind, broadcastKind],
  parse ([name, userId, ...more]) {
    if (name !== 'notifications' || userId === undefined || more.length > 0) return undefined
    return isId(userId) ? { kind: 'notifications', userId } : 'invalid'
  },
  channelsOf: ({ userId }) => [userChannel(userId), broadcastChannel]
}
