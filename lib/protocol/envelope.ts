import { Type, type Static, type TSchema } from '@sinclair/typebox'
import { chatMessages } from './chat.js'
import { Id, Name, Timestamp, open } from './schemas.js'

export { Id, Timestamp } from './schemas.js'

/** The `data` of the common message types. `system_announcement` speaks through `message`, its `data` is the app's. */
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

/** The connection-level types: only the plugin sends them, and they have no `id`. */
export const controlTypes = ['connection_ack', 'pong', 'ack', 'error', 'resync', 'renewed'] as const

/** What the server takes from a connection. What an older server does not name is missing. */
export const Limits = Type.Object({
  /** Bytes of a frame. */
  frame: Type.Integer({ minimum: 1 }),
  /** Frames per second, and at once. */
  rate: Type.Integer({ minimum: 1 }),
  burst: Type.Integer({ minimum: 1 }),
  /** Values in the JSON of a frame. */
  nodes: Type.Optional(Type.Integer({ minimum: 1 })),
  /** Channels that a connection may be subscribed to. */
  channels: Type.Optional(Type.Integer({ minimum: 1 }))
})
export type Limits = Static<typeof Limits>

/** `data` of `connection_ack`, the first frame on every connection. */
export const ConnectionAck = Type.Object({
  user_id: Id,
  connection_id: Type.String(),
  /** Where this connection starts, in the form that `since` takes. */
  position: Type.String(),
  /**
   * Whether all that came after the positions in `since` follows now; if `false`, reload. After `since=0`: whether the log
   * still has its first publication. Without a `since` it is there only when what was to follow has left the history
   * meanwhile, and `false`.
   */
  recovered: Type.Optional(Type.Boolean()),
  /** How many publications are replayed right after this frame. */
  replayed: Type.Integer({ minimum: 0 }),
  /** The server pings this often, in milliseconds. */
  heartbeat_ms: Type.Integer({ minimum: 1 }),
  /** Until the credential expires, in milliseconds; absent when it does not. */
  expires_in_ms: Type.Optional(Type.Integer({ minimum: 0 })),
  /** Absent from a server of an older version. */
  limits: Type.Optional(Limits)
})

/** `data` of `renewed`: a new credential was accepted. */
export const Renewed = Type.Object({ expires_in_ms: Type.Optional(Type.Integer({ minimum: 0 })) })

/** `data` of a client's `renew`. */
export const Renewal = Type.Object({ token: Type.String({ minLength: 1 }) })

/** `data` of `resync`: publications were missed on this channel; reload, then go on from `position`. */
export const Resync = Type.Object({ position: Type.String() })

/** `data` of `error`: a stable code and a text for developers, never an exception's message. */
export const ErrorData = Type.Object({ code: Type.String(), message: Type.String() })

/** A message as a sender gives it; `data` is the schema of its type. */
export function messageSchema<T extends TSchema> (type: string | undefined, data: T) {
  return Type.Object({
    type: type === undefined ? Name : Type.Literal(type),
    action: Type.Optional(Name),
    data,
    message: type === 'system_announcement' ? Type.String() : Type.Optional(Type.String()),
    timestamp: Type.Optional(Timestamp)
  }, { additionalProperties: false })
}

/** Echoed in the answer to a frame, so that the client knows which one it answers. */
export const Ref = Type.Union([
  Type.String({ minLength: 1, maxLength: 128 }),
  Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER })
])

/** A frame from a client. */
export const InboundMessage = Type.Object({
  type: Name,
  ref: Type.Optional(Ref),
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

/** `data` of the connection-level frames. */
export interface ControlMessages {
  connection_ack: Static<typeof ConnectionAck>
  resync: Static<typeof Resync>
  renewed: Static<typeof Renewed>
  error: Static<typeof ErrorData>
  ack: undefined
  pong: undefined
}

type Data<T> = undefined extends T ? { data?: T | undefined } : { data: T }

/** `data` of a type: there where its schema requires it, and unknown for a type that is not in the catalogue. */
type DataOf<T extends string> =
  T extends keyof Messages ? Data<Messages[T]> : T extends keyof ControlMessages ? Data<ControlMessages[T]> : { data?: unknown }

/** One frame as a client receives it. */
export type Envelope<T extends string = string> = {
  type: T
  action?: string
  message?: string
  /** ISO 8601 UTC. */
  timestamp: string
  /** The position of the publication; absent on connection-level frames. */
  id?: string
  /** Of the client's frame that this one answers. */
  ref?: string | number
} & DataOf<T>

/** What `sendToUser`, `broadcast` and `send` take: typed by the catalogue where it knows the type, open elsewhere. */
export type Message<T extends string = string> =
  { type: T, action?: string | undefined, timestamp?: string | undefined } &
  (T extends 'system_announcement' ? { message: string } : { message?: string | undefined }) &
  (T extends keyof Messages ? Data<Messages[T]> : { data?: unknown })

/** A client's message as a handler receives it. */
export type Inbound<T extends string = string> =
  Omit<Static<typeof InboundMessage>, 'type' | 'data'> & { type: T } &
  (T extends keyof Messages ? Data<Messages[T]> : { data?: unknown })
