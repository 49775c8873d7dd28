import { Type, type Static, type TSchema } from '@sinclair/typebox'
import { ChannelName, Subscribed, Unsubscribed } from './channels.js'
import { chatMessages } from './chat.js'
import type { DataField } from './data-field.js'
import type { Presence } from './presence.js'
import { Id, Name, Timestamp, open } from './schemas.js'

export { Id, Timestamp } from './schemas.js'

/** Schemas of the `data` of the common message types. A `system_announcement` has its text in `message`, and `data` of the app. */
export const commonMessages = {
  notification: open(Type.Object({
    title: Type.String(),
    message: Type.Optional(Type.String()),
    id: Type.Optional(Type.Union([Type.String(), Type.Number()]))
  })),
  task_update: open(Type.Object({ task_id: Type.Union([Type.String(), Type.Number()]) })),
  system_announcement: Type.Optional(Type.Unknown()),
  ...chatMessages
}

/** Types of connection-level frames: only the plugin sends them, and they have no `id`. Clients send `presence`, too. */
export const controlTypes = ['connection_ack', 'pong', 'ack', 'error', 'resync', 'renewed', 'subscribed', 'unsubscribed', 'presence'] as const

/** Types that only the plugin sends or handles. */
export const reservedTypes = [...controlTypes, 'subscribe', 'unsubscribe'] as const

/** Limits of the server for a connection. Older servers omit some of them. */
export const Limits = Type.Object({
  /** Maximum bytes of a frame. */
  frame: Type.Integer({ minimum: 1 }),
  /** Maximum frames per second, and in one burst. */
  rate: Type.Integer({ minimum: 1 }),
  burst: Type.Integer({ minimum: 1 }),
  /** Maximum number of values in the JSON of a frame. */
  nodes: Type.Optional(Type.Integer({ minimum: 1 })),
  /** Maximum number of channels that a connection may subscribe to. */
  channels: Type.Optional(Type.Integer({ minimum: 1 }))
})
export type Limits = Static<typeof Limits>

/** `data` of `connection_ack`, the first frame on every connection. */
export const ConnectionAck = Type.Object({
  user_id: Id,
  connection_id: Type.String(),
  /** Positions at which this connection starts, in the form of `since`. */
  position: Type.String(),
  /**
   * Whether all publications after the positions in `since` follow now; if `false`, load the state again. For `since=0`: whether the log
   * still has its first publication. Without `since`: absent, or `false` when publications that were to follow have left the history
   * meanwhile.
   */
  recovered: Type.Optional(Type.Boolean()),
  /** Number of publications that are replayed right after this frame. */
  replayed: Type.Integer({ minimum: 0 }),
  /** Interval of the server's pings, in ms. */
  heartbeat_ms: Type.Integer({ minimum: 1 }),
  /** Time until the credential expires, in ms; absent when it does not expire. */
  expires_in_ms: Type.Optional(Type.Integer({ minimum: 0 })),
  /** Absent from older servers. */
  limits: Type.Optional(Limits)
})

/** `data` of `renewed`: a new credential was accepted. */
export const Renewed = Type.Object({ expires_in_ms: Type.Optional(Type.Integer({ minimum: 0 })) })

/** `data` of a client's `renew`. */
export const Renewal = Type.Object({ token: Type.String({ minLength: 1 }) })

/** `data` of `resync`: publications of this channel were missed. Load the state again, then continue from `position`. */
export const Resync = Type.Object({ position: Type.String() })

/** `data` of `error`: a stable code and a text for developers, never the message of an exception. */
export const ErrorData = Type.Object({ code: Type.String(), message: Type.String() })

/** Schema of a message as a sender passes it. `data`: the schema for its type. */
export function messageSchema<T extends TSchema> (type: string | undefined, data: T) {
  return Type.Object({
    type: type === undefined ? Name : Type.Literal(type),
    action: Type.Optional(Name),
    data,
    message: type === 'system_announcement' ? Type.String() : Type.Optional(Type.String()),
    timestamp: Type.Optional(Timestamp)
  }, { additionalProperties: false })
}

/** Echoed in the answer to a frame, so that the client can match the two. */
export const Ref = Type.Union([
  Type.String({ minLength: 1, maxLength: 128 }),
  Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER })
])

/** A frame from a client. */
export const InboundMessage = Type.Object({
  type: Name,
  ref: Type.Optional(Ref),
  /** Channel that the message is for. Default: that of the connection's path. */
  channel: Type.Optional(ChannelName),
  id: Type.Optional(Type.String({ maxLength: 128 })),
  action: Type.Optional(Name),
  data: Type.Optional(Type.Unknown()),
  message: Type.Optional(Type.String()),
  timestamp: Type.Optional(Timestamp)
}, { additionalProperties: false })

type CommonMessages = { [T in keyof typeof commonMessages]: Static<(typeof commonMessages)[T]> }

/**
 * The message catalogue: the type of `data` by the type of message. Apps add their own:
 *
 *     declare module 'fastify-realtime' {
 *       interface Messages { order_shipped: Static<typeof OrderShipped> }
 *     }
 */
export interface Messages extends CommonMessages {}

/**
 * Types of the answers of the app's handlers, by the type of the message that is answered. Apps add their own, as to `Messages`, for the
 * schemas in the option `answers`.
 */
export interface Answers {}

/** Answer to a message type; `unknown` for a type that is not in `Answers`. */
export type AnswerOf<T extends string> = T extends keyof Answers ? Answers[T] : unknown

/** `data` of the connection-level frames. */
export interface ControlMessages {
  connection_ack: Static<typeof ConnectionAck>
  resync: Static<typeof Resync>
  renewed: Static<typeof Renewed>
  error: Static<typeof ErrorData>
  subscribed: Static<typeof Subscribed>
  unsubscribed: Static<typeof Unsubscribed>
  presence: Presence
  /** The answer of the handler, for types with a schema in `answers`. */
  ack: unknown
  pong: undefined
}

/** `data` of a message type: required if its schema requires it, `unknown` for a type that is not in the catalogue. */
type DataOf<T extends string> =
  T extends keyof Messages ? DataField<Messages[T]> : T extends keyof ControlMessages ? DataField<ControlMessages[T]> : { data?: unknown }

/** A frame as a client receives it. */
export type Envelope<T extends string = string> = {
  type: T
  action?: string
  message?: string
  /** ISO 8601 UTC. */
  timestamp: string
  /** The position of the publication; absent on connection-level frames. */
  id?: string
  /** Channel of the publication, such as `board:b1`. Absent for the channels of a user's notifications. */
  channel?: string
  /** The `ref` of the client's frame that this frame answers. */
  ref?: string | number
} & DataOf<T>

/** Message for `sendToUser`, `broadcast` and `send`. Its `data` is typed for a type of the catalogue, and `unknown` for others. */
export type Message<T extends string = string> =
  { type: T, action?: string | undefined, timestamp?: string | undefined } &
  (T extends 'system_announcement' ? { message: string } : { message?: string | undefined }) &
  (T extends keyof Messages ? DataField<Messages[T]> : { data?: unknown })

/** A client's message as a handler receives it. */
export type Inbound<T extends string = string> =
  Omit<Static<typeof InboundMessage>, 'type' | 'data'> & { type: T } &
  (T extends keyof Messages ? DataField<Messages[T]> : { data?: unknown })
