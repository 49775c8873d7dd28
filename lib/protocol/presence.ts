import { Type } from '@sinclair/typebox'
import { Id } from './schemas.js'

/** Connections of a user, with their own data. */
const Connections = Type.Object({
  user_id: Id,
  connections: Type.Array(Type.Object({ id: Type.String(), data: Type.Optional(Type.Unknown()) }))
})

/** `data` of `presence`: the members of a channel, or the difference to the frame before. */
export const PresenceData = Type.Object({
  /** Number of users who are present. */
  count: Type.Integer({ minimum: 0 }),
  /** All members; `null` if there are too many to list. A frame without it is a difference. */
  members: Type.Optional(Type.Union([Type.Array(Connections), Type.Null()])),
  joined: Type.Optional(Type.Array(Connections)),
  updated: Type.Optional(Type.Array(Connections)),
  /** Ids of connections, by user. Applied after `joined` and `updated`. */
  left: Type.Optional(Type.Array(Type.Object({ user_id: Id, connections: Type.Array(Type.String()) }))),
  /** Whether the list may be old, because the server cannot reach its broker. */
  stale: Type.Optional(Type.Literal(true))
})
