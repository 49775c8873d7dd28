import type { Inbound } from '../../protocol/envelope.js'
import type { OnMessage, RealtimeConnection } from '../hooks.js'
import { keyOf } from './key.js'

/** Connection whose message is being handled. */
export interface Sender extends RealtimeConnection {
  /** Channel that its messages are for, the same for every connection to that channel. */
  readonly channel: string
}

/** How a message was received. */
export interface Received {
  /** Bytes of its frame. */
  readonly bytes: number
  /** Whether it was handled before and failed; only set where `mayRetry` is. */
  readonly isRetry: boolean
}

/** Handling of client messages of one type. */
export interface MessageRow {
  handle (message: Inbound, connection: Sender, received: Received): unknown
  /**
   * Key that identifies a message among those of its user, if the message is handled once: sent again, it gets the first answer.
   * `undefined`: it is handled each time, and not remembered. May throw a Refusal. Default: always `undefined`.
   */
  onceKey?: (message: Inbound, connection: Sender) => string | undefined
  /** Whether a failed message is handled again when it is sent again. Default: it gets the same error. */
  mayRetry?: boolean
  /** Whether a message is handled without waiting for earlier ones. Default: it waits. */
  isUrgent?: (message: Inbound) => boolean
}

/** Key of a message from its `ref`, if that is a string: clients reuse numbers. */
export function refKey ({ ref }: Inbound, { channel }: Sender): string | undefined {
  return typeof ref === 'string' ? keyOf(channel, ref) : undefined
}

/** Row of a handler of the app. */
export function rowOf (handler: OnMessage): MessageRow {
  return { handle: (message, connection) => handler(message, connection), onceKey: refKey }
}
