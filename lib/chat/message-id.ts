import { randomUUID } from 'node:crypto'
import { errors } from '../errors.js'
import type { Inbound } from '../protocol/envelope.js'
import { isId } from '../protocol/ids.js'
import { isSentId, messageIdOf } from '../protocol/message-id.js'
import type { ChatAddress } from './address.js'
import { Refusal } from '../server/inbound/fault.js'

/** A lone surrogate has no UTF-8 form: a database would store two such ids as the same one. */
const loneSurrogate = /\p{Surrogate}/u

/** Creates a message id that begins with a slash. An id that a client chose never does: it has no slash, or begins with a user id. */
export function newMessageId (): string {
  return `/${randomUUID()}`
}

/**
 * The `message_id` under which a user's message is published and saved. Throws a Refusal when the client's id is not usable,
 * and RT_ERR_INVALID_ID when the user's is not.
 */
export function receivedMessageId ({ ref, data }: Inbound<'chat_message'>, userId: string, { userId: ownerId }: ChatAddress): string {
  // `authorize` may admit any user id. Message ids of a user id with a slash could begin like those of another user.
  if (userId !== ownerId && !isId(userId)) throw new errors.INVALID_ID(`The user id ${JSON.stringify(userId).slice(0, 140)} of an author in a shared chat`)
  if (data.message_id === undefined && typeof ref !== 'string') return newMessageId()
  const sentId = data.message_id ?? String(ref)
  const fault = faultOf(sentId)
  if (fault !== undefined) throw new Refusal('bad_message', data.message_id === undefined ? `/ref ${fault}; or send a message_id` : `/data/message_id ${fault}`)
  return messageIdOf(sentId, userId, ownerId)
}

function faultOf (sentId: string): string | undefined {
  if (!isSentId(sentId)) return 'must have 1 to 128 characters and no slash: use a UUID'
  if (loneSurrogate.test(sentId)) return 'contains half of a surrogate pair: use a UUID'
  return undefined
}
