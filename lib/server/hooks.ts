import type { FastifyRequest } from 'fastify'
import type { Inbound, Message, Messages } from '../protocol/envelope.js'
import type { Target } from './target.js'

type Awaitable<T> = T | Promise<T>

/**
 * Who is connected, as `authenticate` said. An app that returns more says so, and has it in `authorize` and `onConnect`:
 *
 *     declare module 'fastify-realtime' {
 *       interface Identity { role: 'admin' | 'member' }
 *     }
 */
export interface Identity {
  /** Must equal the `:user_id` of the path, unless `authorize` says otherwise. */
  readonly userId: string
  /** When the credential expires, a Date or milliseconds since 1970: the connection is closed with 4401 then. Default: never. */
  readonly expiresAt?: Date | number | undefined
}

/** A connection as hooks and handlers see it. */
export interface RealtimeConnection {
  /** Unique on this server. */
  readonly id: string
  /** The authenticated user. */
  readonly userId: string
  /** What `authenticate`, or `renew`, returned. */
  readonly identity: Identity
  /** What the connection is for. */
  readonly target: Target
  /**
   * Sends to this connection alone, outside of every log: it is not recovered after a reconnect. What `onConnect`
   * sends comes after `connection_ack`, and not at all when it closes the connection.
   * Throws RT_ERR_INVALID_MESSAGE or RT_ERR_MESSAGE_TOO_LARGE.
   */
  send<const T extends string> (message: Message<T>): void
  /**
   * Closes the connection, by default with 4403, after which clients do not come back.
   * Throws RT_ERR_UNKNOWN_CLOSE_CODE when the code is not in `closeCodes`.
   */
  close (code?: number, reason?: string): void
}

/** Says who is connecting. `null` or `undefined`, or an error with a 4xx `statusCode`: nobody (4401). */
export type Authenticate = (request: FastifyRequest) => Awaitable<Identity | null | undefined>

/**
 * Says what a new credential of a connected client is worth, so that it need not reconnect when the present one expires.
 * `null`, `undefined`, another user, an error, or nothing within `timeouts.authenticate`: the client gets
 * `renew_refused`, and what it had still holds. Errors are logged, except those with a 4xx `statusCode`.
 *
 * `authorize` is then asked again, with the new identity. A no closes the connection with 4403; an error of `authorize` is
 * `renew_refused` too. Until it says yes, the identity of the connection is the old one.
 */
export type Renew = (token: string, connection: RealtimeConnection) => Awaitable<Identity | null | undefined>

/**
 * Says whether someone may connect to a target, and stay connected when a credential is renewed. `true` admits, even to
 * another user's channel; `false` refuses (4403); `undefined` leaves it at the rule that holds without this hook:
 * everyone to what is theirs.
 */
export type Authorize = (identity: Identity, target: Target) => Awaitable<boolean | undefined>

/** How a connection was closed: the code that this server sent, or the one that came. */
export interface Closed {
  readonly code: number
  readonly reason: string
}

/** Called before `connection_ack`. Throwing closes the connection with 1011. */
export type OnConnect = (connection: RealtimeConnection, request: FastifyRequest) => unknown

/** Called once for each connection whose `onConnect` succeeded. */
export type OnDisconnect = (connection: RealtimeConnection, close: Closed) => unknown

/** Called for each client message of its type, in order and one at a time per connection. */
export type OnMessage<T extends string = string> = {
  // A method, so that a handler of one type may stand where a handler is asked for: its messages are checked before.
  handle (message: Inbound<T>, connection: RealtimeConnection): unknown
}['handle']

type KnownHandlers = { [T in keyof Messages]?: OnMessage<T> | undefined }

/** The handlers of clients' messages by type; `data` is typed for the types in the catalogue. */
export interface MessageHandlers extends KnownHandlers {
  [type: string]: OnMessage | undefined
}
