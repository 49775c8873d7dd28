import type { Log } from '../../logs/log.js'
import type { Inbound } from '../../protocol/envelope.js'
import type { OnMessage, RealtimeConnection } from '../hooks.js'
import { keyOf } from './key.js'

/** Connection whose message is being handled, with methods that only the server uses. */
export interface SendingConnection extends RealtimeConnection {
  /** Sends a connection-level frame. */
  control (type: string, parts?: { ref?: Inbound['ref'], channel?: string, data?: unknown }): void
  /** Charges bytes that the server sends because the user requested them. */
  charge (bytes: number): void
}

/** Sender of a message. */
export interface Sender<C extends SendingConnection = SendingConnection> {
  readonly connection: C
  readonly userId: string
  /** Channel that the message is for: the one that it names, or that of the connection's path. */
  readonly channel: string
  /** Log of that channel; `undefined` if the connection does not read it. */
  readonly log: Log | undefined
}

/** How a message was received. */
export interface Received {
  /** Bytes of its frame. */
  readonly bytes: number
  /** Whether it was handled before and failed; only set where `mayRetry` is. */
  readonly isRetry: boolean
}

/** A part of a message, for one channel. */
export interface MessagePart {
  readonly channel: string
  readonly message: Inbound
}

/** Handling of client messages of one type. */
export interface MessageRow {
  handle (message: Inbound, sender: Sender, received: Received): unknown
  /**
   * Key that identifies a message among those of its user, if the message is handled once: sent again, it gets the first answer.
   * `undefined`: it is handled each time, and not remembered. May throw a Refusal. Default: always `undefined`.
   */
  onceKey?: (message: Inbound, sender: Sender) => string | undefined
  /** Whether a failed message is handled again when it is sent again. Default: it gets the same error. */
  mayRetry?: boolean
  /** Whether a message is handled without waiting for earlier ones. Default: it waits. */
  isUrgent?: (message: Inbound) => boolean
  /**
   * Splits a message about several channels. Each part is handled in the order of the messages of its channel, without a time limit, and
   * the message is answered when all are handled. May throw a Refusal. Default: the message is for one channel.
   */
  split?: (message: Inbound) => MessagePart[]
  /** Calls `handle` when the next part of a split message of a connection may be handled. Default: at once. */
  whenDue?: (connection: SendingConnection, handle: () => Promise<void>) => void
  /** JSON of the data of the answer, from what the handler returned; `undefined` for no data. May throw. Default: no data. */
  answerOf?: (returned: unknown) => string | undefined
}

/** Key of a message from its `ref`, if that is a string: clients reuse numbers. */
export function refKey ({ ref }: Inbound, { channel }: Sender): string | undefined {
  return typeof ref === 'string' ? keyOf(channel, ref) : undefined
}

/** Row of a handler of the app. */
export function rowOf (handler: OnMessage, answerOf?: MessageRow['answerOf']): MessageRow {
  return { handle: (message, { connection }) => handler(message, connection), onceKey: refKey, answerOf }
}
