import { Type, type Static, type TSchema } from '@sinclair/typebox'
import { Id } from './schemas.js'

/** Maximum bytes of a connection's own data, as JSON. */
export const maxPresenceData = 1_024

/** Users with some of their connections. */
function usersWith<T extends TSchema> (connection: T) {
  return Type.Array(Type.Object({ user_id: Id, connections: Type.Array(connection) }))
}

/** A connection that is present, with its own data if it has any. */
const PresentConnection = Type.Object({ id: Type.String(), data: Type.Optional(Type.Unknown()) })

/**
 * `data` of `presence`: the members of a channel. With `members` it is the state; without, the difference from the previous frame.
 * `joined` and `updated` list only the connections concerned, and come before `left`: a connection that replaces another one joins in the
 * frame in which that one leaves.
 */
export const Presence = Type.Object({
  /** Number of users who are present. */
  count: Type.Integer({ minimum: 0 }),
  /** All users who are present; `null` if there are more than the channel lists. */
  members: Type.Optional(Type.Union([usersWith(PresentConnection), Type.Null()])),
  /** Connections that are present from now on. */
  joined: Type.Optional(usersWith(PresentConnection)),
  /** Connections whose own data has changed. */
  updated: Type.Optional(usersWith(PresentConnection)),
  /** Ids of connections that are no longer present. A user without connections is gone. */
  left: Type.Optional(usersWith(Type.String())),
  /** Present while the server cannot reach its broker: the list may be old. */
  stale: Type.Optional(Type.Literal(true))
})
export type Presence = Static<typeof Presence>
