/** Maximum length of an id that a client makes, and of a user id. */
const maxId = 128

/** Maximum length of a `message_id`: a user id, a slash and a client's id. */
export const maxMessageId = maxId + 1 + maxId

/**
 * The `message_id` of a user's message, from the id that the client sent. Ids of the chat's owner stay as they are; ids of
 * everybody else begin with their user id, so that nobody can send the id of another user's message.
 */
export function messageIdOf (sentId: string, userId: string, ownerId: string): string {
  return userId === ownerId ? sentId : `${userId}/${sentId}`
}

/** Reverses `messageIdOf`; `undefined` for a message that somebody else sent. */
export function sentIdOf (messageId: string, userId: string, ownerId: string): string | undefined {
  const prefix = messageIdOf('', userId, ownerId)
  if (!messageId.startsWith(prefix)) return undefined
  const sentId = messageId.slice(prefix.length)
  return isSentId(sentId) ? sentId : undefined
}

/** Whether a client may send this id. A slash is for the ids that the server makes. */
export function isSentId (id: string): boolean {
  return id.length > 0 && id.length <= maxId && !id.includes('/')
}
