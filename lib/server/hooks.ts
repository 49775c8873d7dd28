import type { FastifyRequest } from 'fastify'
import type { Awaitable } from '../time/awaitable.js'
import type { Inbound, Message, Messages } from '../protocol/envelope.js'
import type { Target } from './target.js'

/**
 * Authenticated user of a connection, as returned by `authenticate`. An app that returns further fields declares them, and can then
 * read them in `authorize` and `onConnect`:
 *
 *     declare module 'fastify-realtime' {
 *       interface Identity { role: 'admin' | 'member' }
 *     }
 */
export interface Identity {
  /** Must equal the `:user_id` of the path, unless `authorize` returns `true`. */
  readonly userId: string
  /** Time at which the credential expires, a Date or ms since 1970. The connection is closed with 4401 then. Default: never. */
  readonly expiresAt?: Date | number | undefined
}

/** Connection of a user, as passed to hooks and handlers. */
export interface RealtimeConnection {
  /** Unique on this server. */
  readonly id: string
  /** The authenticated user. */
  readonly userId: string
  /** Identity that `authenticate`, or later `renew`, returned. */
  readonly identity: Identity
  /** Target of the connection, parsed from its path. */
  readonly target: Target
  /**
   * Sends a message to this connection only. The message is not stored in a log, so it is not recovered after a reconnect.
   * Messages sent by `onConnect` follow `connection_ack`. They are dropped if the hook closes the connection.
   * Throws RT_ERR_INVALID_MESSAGE or RT_ERR_MESSAGE_TOO_LARGE.
   */
  send<const T extends string> (message: Message<T>): void
  /**
   * Closes the connection, by default with 4403, after which clients do not reconnect.
   * Throws RT_ERR_UNKNOWN_CLOSE_CODE if the code is not in `closeCodes`.
   */
  close (code?: number, reason?: string): void
}

/**
 * Returns the identity of the user who connects. `null`, `undefined` and errors with a 4xx `statusCode` refuse the connection with
 * 4401, other errors with 1011, and a timeout with 4408.
 */
export type Authenticate = (request: FastifyRequest) => Awaitable<Identity | null | undefined>

/**
 * Returns the identity for a new credential of a connected client, so that the client need not reconnect when the current one
 * expires. The client gets `renew_refused` and keeps its identity if this returns `null`, `undefined` or another user, throws, or
 * takes longer than `timeouts.authenticate`. Errors are logged; of those with a 4xx `statusCode`, only the codes.
 *
 * `authorize` then runs with the new identity. If it does not admit the user, the connection is closed with 4403. If it throws, the
 * client gets `renew_refused`. The connection keeps its old identity until `authorize` admits the new one.
 */
export type Renew = (token: string, connection: RealtimeConnection) => Awaitable<Identity | null | undefined>

/**
 * Decides whether a user may connect to a target, and stay connected after a renewal. `true` admits the user, even to another
 * user's channel; `{ presence: 'hidden' }` does so without listing the user in the presence of the channel; `false` refuses with
 * 4403; `undefined` applies the default rule: users may connect only as the user of the path.
 */
export type Authorize = (identity: Identity, target: Target) => Awaitable<boolean | Hidden | undefined>

/** Admits a user who is not listed in the presence of the channel. */
export interface Hidden {
  readonly presence: 'hidden'
}

/** How a connection was closed: the code that this server sent, or else the code that it received. */
export interface Closed {
  readonly code: number
  readonly reason: string
}

/** Called before `connection_ack` is sent. An error closes the connection with 1011. */
export type OnConnect = (connection: RealtimeConnection, request: FastifyRequest) => unknown

/** Called once for each connection whose `onConnect` succeeded, after it is closed. */
export type OnDisconnect = (connection: RealtimeConnection, close: Closed) => unknown

/** Called for each client message of its type, in order and one at a time per connection. */
export type OnMessage<T extends string = string> = {
  // A method, for bivariance: a handler of one type is assignable to a general handler, because its messages are validated first.
  handle (message: Inbound<T>, connection: RealtimeConnection): unknown
}['handle']

type KnownHandlers = { [T in keyof Messages]?: OnMessage<T> | undefined }

/** Handlers of client messages, by type. `data` is typed for types in the catalogue. */
export interface MessageHandlers extends KnownHandlers {
  [type: string]: OnMessage | undefined
}
