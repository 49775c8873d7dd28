/** Maximum length of an id that a client chooses, and of a user id. */
const maxId = 128

/** Maximum length of a `message_id`: a user id, a slash and a client's id. */
export const maxMessageId = maxId + 1 + maxId

/**
 * Returns the `message_id` of a user's message, from the id that the client sent. Ids from the owner of the chat stay the same. Those
 * from other users begin with their user id, so that no user can send the id of another user's message.
 */
export function messageIdOf (sentId: string, userId: string, ownerId: string): string {
  return userId === ownerId ? sentId : `${userId}/${sentId}`
}

/** Reverses `messageIdOf`; `undefined` for a message of another user. */
export function sentIdOf (messageId: string, userId: string, ownerId: string): string | undefined {
  const prefix = messageIdOf('', userId, ownerId)
  if (!messageId.startsWith(prefix)) return undefined
  const sentId = messageId.slice(prefix.length)
  return isSentId(sentId) ? sentId : undefined
}

/** Whether a client may send this id. Only ids that the server creates contain a slash. */
export function isSentId (id: string): boolean {
  return id.length > 0 && id.length <= maxId && !id.includes('/')
}
