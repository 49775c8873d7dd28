import { Type, type Static } from '@sinclair/typebox'

/** Maximum characters of a channel's name. */
export const maxChannelLength = 600

/** Name of a channel on the wire: its kind, a colon, and the rest, such as `board:b1`. */
export const ChannelName = Type.String({ minLength: 1, maxLength: maxChannelLength })

/** Splits the name of a channel at its first colon. Only the name of a kind with a single channel has none. */
export function splitChannel (channel: string): { kind: string, id: string | undefined } {
  const colon = channel.indexOf(':')
  return colon === -1 ? { kind: channel, id: undefined } : { kind: channel.slice(0, colon), id: channel.slice(colon + 1) }
}

/** Maximum number of channels in a `subscribe` or an `unsubscribe`. */
export const maxChannelsInFrame = 100

/** `data` of a client's `subscribe`. `since`: position after which publications are wanted; default: where the channel's kind starts. */
export const Subscribe = Type.Object({
  channels: Type.Array(Type.Object({
    channel: ChannelName,
    since: Type.Optional(Type.String({ minLength: 1, maxLength: 128 }))
  }, { additionalProperties: false }), { minItems: 1, maxItems: maxChannelsInFrame })
}, { additionalProperties: false })
export type Subscribe = Static<typeof Subscribe>

/** `data` of a client's `unsubscribe`. */
export const Unsubscribe = Type.Object({
  channels: Type.Array(ChannelName, { minItems: 1, maxItems: maxChannelsInFrame })
}, { additionalProperties: false })
export type Unsubscribe = Static<typeof Unsubscribe>

/** `data` of `subscribed`: the connection reads the channel from now on. */
export const Subscribed = Type.Object({
  /** Position before the first frame of the channel that follows, in the form of `since`. */
  position: Type.String(),
  /** Whether all publications after `since` follow; if `false`, load the state again. Absent without `since`. */
  recovered: Type.Optional(Type.Boolean()),
  /** Number of publications that are replayed. */
  replayed: Type.Integer({ minimum: 0 })
})

/** Why a connection does not read a channel, or no longer. */
export const unsubscribedReasons = {
  asked: 'The client has unsubscribed',
  removed: 'The app has removed the user from the channel',
  forbidden: 'The user may not subscribe to the channel',
  unavailable: 'The server cannot decide or subscribe at the moment. Try again later',
  failed: 'A message to the channel was handled for too long',
  unknown_channel: 'No kind of channel has this name',
  invalid_channel: 'The part after the colon is not a valid id of this kind',
  too_many_channels: 'The connection or the user has too many channels'
} as const

/** Why a connection does not read a channel. @inline */
export type UnsubscribedReason = keyof typeof unsubscribedReasons

/** `data` of `unsubscribed`: the connection does not read the channel. */
export const Unsubscribed = Type.Object({
  reason: Type.Union(Object.keys(unsubscribedReasons).map(reason => Type.Literal(reason as UnsubscribedReason)))
})
