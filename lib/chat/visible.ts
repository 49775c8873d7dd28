import type { FastifyBaseLogger } from 'fastify'
import type { Envelope, Message } from '../protocol/envelope.js'
import { ignoreRejection, report } from '../server/reports/caught.js'
import type { ChatOptions } from './hooks.js'
import type { Identity } from '../server/hooks.js'
import { outgoing } from '../server/messages/outgoing.js'
import type { Receipt } from '../server/messages/publisher.js'
import { timestamp } from '../server/messages/timestamp.js'

type Visible = NonNullable<ChatOptions['visible']>

/** Whether a message is published at all. `false` only when a `visible` with one parameter hides it. */
export function isForUsers ({ visible }: ChatOptions, message: Message, log: FastifyBaseLogger): boolean {
  return visible === undefined || dependsOnWho(visible) || isSeen(visible, message, undefined, log)
}

/** The message to pass to `isForUsers`, and then to send: a copy that cannot change in between. Throws RT_ERR_INVALID_MESSAGE. */
export function askedAbout<M extends Message> ({ visible }: ChatOptions, message: M, maxBytes: number): M {
  return visible === undefined || dependsOnWho(visible) ? message : outgoing(message, maxBytes)
}

/** Receipt of a message that is not published. */
export function unpublished (): Receipt {
  return { id: '', timestamp: timestamp() }
}

/** Whether `visible` takes the identity of the reader. */
export function dependsOnWho (visible: Visible): boolean {
  return visible.length > 1
}

/** Whether a reader sees a publication. `false` when `visible` throws, which is logged. */
export function isSeen (visible: Visible, message: Message, identity: Identity | undefined, log: FastifyBaseLogger): boolean {
  try {
    const answer: unknown = visible(message as Envelope, identity!)
    if (ignoreRejection(answer)) throw new TypeError('it returned a promise. It has to return true or false: a publication does not wait')
    return answer === true
  } catch (error) {
    report(log, error, 'chat.visible failed', { type: message.type })
    return false
  }
}
