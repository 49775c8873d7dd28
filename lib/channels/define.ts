import type { TSchema, Static } from '@sinclair/typebox'
import type { MessagesOf } from '../protocol/kind-name.js'
import type { DataField } from '../protocol/data-field.js'
import type { Inbound, Message } from '../protocol/envelope.js'
import type { PresenceOptions } from '../presence/options.js'
import type { Member, PresenceOf } from '../protocol/member.js'
import type { Hidden, Identity, RealtimeConnection } from '../server/hooks.js'
import type { Receipt } from '../server/messages/publisher.js'

type Awaitable<T> = T | Promise<T>
/** @inline */
type Schemas = Readonly<Record<string, TSchema>>

/** A channel of a kind. */
export interface ChannelAddress {
  readonly kind: string
  readonly id: string
}

/** Message for a channel. Its `data` is typed for the types of the kind, then for those of the catalogue. */
export type ChannelMessage<K, T extends string = string> = T extends keyof MessagesOf<K>
  ? Pick<Message<T>, 'action' | 'timestamp'> & { type: T, message?: string | undefined } & DataField<MessagesOf<K>[T]>
  : Message<T>

/** A channel of the app, to publish to. */
export interface Channel<K extends string = string> extends ChannelAddress {
  /**
   * Publishes a message. Current subscribers get it, and so do clients that resume while the history contains it. Resolves and rejects
   * like `fastify.ws.sendToUser`.
   */
  send<const T extends string> (message: ChannelMessage<K, T>): Promise<Receipt>
  /**
   * Ends all subscriptions of a user, on all servers. Nothing that is published after the promise resolved reaches the user. Clients get
   * `removed` and do not return by themselves; `authorize` decides about a new `subscribe`. Rejects like `send`.
   */
  remove (userId: string): Promise<void>
  /**
   * Users who are connected to the channel on any server, or were until at most 5 s ago, with their connections. Hidden users are not
   * among them. Rejects with RT_ERR_NO_PRESENCE if the kind has no `presence`, and with RT_ERR_BROKER.
   */
  members (): Promise<Member<PresenceOf<K>>[]>
}

/** What a handler of a channel kind gets beside the message. */
export interface ChannelContext {
  readonly channel: Channel
  readonly connection: RealtimeConnection
}

/** A client's message to a channel, as a handler receives it. @inline */
type InboundOf<T extends string, S> = Omit<Inbound<T>, 'data'> & (S extends TSchema ? DataField<Static<S>> : { data?: unknown })

/** Ids of channels that a user may subscribe to. @inline */
type AllowedIds = readonly string[] | ReadonlySet<string> | ReadonlyMap<string, true | Hidden>

/** Definition of a channel kind. */
export interface ChannelDefinition<M extends Schemas = Schemas, A extends Schemas = Schemas, P extends TSchema = TSchema> {
  /**
   * Whether a user may subscribe to a channel. `{ presence: 'hidden' }`: yes, without being listed in its presence. `false` and `undefined`
   * are final: the client does not try again. If it throws, or takes longer than `timeouts.authenticate`, the client tries again later. It
   * decides again after a renewal of the credential.
   */
  readonly authorize: (identity: Identity, channel: ChannelAddress) => Awaitable<boolean | Hidden | undefined>
  /**
   * Returns those of the ids whose channels a user may subscribe to; as a Map, each with `true` or `{ presence: 'hidden' }`. Called instead
   * of `authorize`: once for the channels of a frame, and once for those of a connection after a renewal. While many subscriptions wait, it
   * is called for parts of a frame.
   */
  readonly authorizeAll?: ((identity: Identity, ids: readonly string[]) => Awaitable<AllowedIds>) | undefined
  /** Schemas of `data` of the kind's message types, sent and received. They come before those of the option `messages`. */
  readonly messages?: M | undefined
  /** Schemas of the answers to messages of clients, by message type. What a handler returns for other types is not sent. */
  readonly answers?: A | undefined
  /** Handlers of messages of clients to a channel, by type: in order, and one at a time per connection and channel. */
  readonly onMessage?: {
    // Methods, for bivariance.
    readonly [T in keyof M & string]?: { handle (message: InboundOf<T, M[T]>, context: ChannelContext): unknown }['handle'] | undefined
  } & { readonly [type: string]: { handle (message: never, context: ChannelContext): unknown }['handle'] | undefined } | undefined
  /**
   * Which publications clients can recover: at most `size`, for `ttl` ms. Default: the option `history`. `false`: none, only connected
   * clients get them.
   */
  readonly history?: { readonly size?: number | undefined, readonly ttl?: number | undefined } | false | undefined
  /**
   * Whether clients see who else is subscribed. `data`: schema of what a connection says about itself. `max`: number of members above
   * which clients get their number only, by default 200. Default: no presence.
   */
  readonly presence?: true | PresenceOptions<P> | undefined
}

/** Channel kinds, by name. */
export type ChannelDefinitions = Readonly<Record<string, ChannelDefinition>>

/** Defines a channel kind for the option `channels`. Returns the definition, with the types of its messages and answers. */
export function defineChannel<M extends Schemas = {}, A extends Schemas = {}, P extends TSchema = TSchema> (
  definition: ChannelDefinition<M, A, P>
): ChannelDefinition<M, A, P> {
  return definition
}
