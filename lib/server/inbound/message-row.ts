import type { Inbound } from '../../protocol/envelope.js'
import type { OnMessage, RealtimeConnection } from '../hooks.js'
import { keyOf } from './key.js'

/** A connection whose message is handled. */
export interface Sender extends RealtimeConnection {
  /** What its messages are for, the same on every connection to it. */
  readonly channel: string
}

/** How a message came. */
export interface Received {
  /** Of its frame. */
  readonly bytes: number
  /** It came before, and failed; only where `mayRetry` is set. */
  readonly isRetry: boolean
}

/** What the server does with clients' messages of one type. */
export interface MessageRow {
  handle (message: Inbound, connection: Sender, received: Received): unknown
  /**
   * Tells a message that is answered once from the other messages of its user: sent again, it gets the answer of the first time.
   * `undefined`: it is handled whenever it comes, and leaves no trace. May throw a Refusal. Default: always `undefined`.
   */
  onceKey?: (message: Inbound, connection: Sender) => string | undefined
  /** A message that failed is handled again when it is sent again. Default: it gets the same error again. */
  mayRetry?: boolean
  /** Whether a message does not wait for those before it. Default: it does. */
  isUrgent?: (message: Inbound) => boolean
}

/** The key of a message by its `ref`, where that is a string: numbers are used again. */
export function refKey ({ ref }: Inbound, { channel }: Sender): string | undefined {
  return typeof ref === 'string' ? keyOf(channel, ref) : undefined
}

/** The row of a handler of the app's. */
export function rowOf (handler: OnMessage): MessageRow {
  return { handle: (message, connection) => handler(message, connection), onceKey: refKey }
}
