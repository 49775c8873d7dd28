import type { Static, TSchema } from '@sinclair/typebox'
import type { Channels } from './kind-name.js'

/** Member of a channel: a user with at least one connection to it. */
export interface Member<D = unknown> {
  readonly userId: string
  /** The user's connections to the channel, for example one per device. */
  readonly connections: readonly MemberConnection<D>[]
}

export interface MemberConnection<D = unknown> {
  /** Id of the connection: `connection_id` of its `connection_ack`. */
  readonly id: string
  /** Own data of the connection, as it was updated last. */
  readonly data?: D
}

/**
 * Type of the own data of a connection to a chat: `unknown` while this interface is empty. Apps add the fields of the schema in the option
 * `chat.presence.data`:
 *
 *     declare module 'fastify-realtime' { interface ChatPresence { typing: boolean } }
 */
export interface ChatPresence {}

/** Type of the own data of a connection to a channel of a kind. `chat`: to a chat. */
export type PresenceOf<K> = K extends keyof Channels
  ? Channels[K] extends { readonly presence?: infer P } ? DataOf<Exclude<P, true | undefined>> : unknown
  : K extends 'chat' ? keyof ChatPresence extends never ? unknown : ChatPresence : unknown

// In brackets, because `presence: true`, or a kind without a schema, leaves `never`.
type DataOf<P> = [P] extends [{ readonly data?: infer S }] ? StaticOf<Exclude<S, undefined>> : unknown
type StaticOf<S> = [S] extends [never] ? unknown : S extends TSchema ? Static<S> : unknown
