import { RealtimeClient, type ClientOptions } from './client.js'

/** Connects to a channel route of fastify-realtime. Throws a TypeError when the address is invalid, or there is no WebSocket. */
export function createClient (options: ClientOptions): RealtimeClient {
  return new RealtimeClient(options)
}

export { fullJitter, type Backoff } from './backoff.js'
export type { Address } from './address.js'
export type { ClientOptions, RealtimeClient, Resume, Status } from './client.js'
export { RealtimeError, type Closed } from './error.js'
export type { WebSocketConstructor, WebSocketLike } from './socket.js'
export type { GetToken } from './renewal.js'
export type { TokenTransport } from './token.js'
export type { ConnectedOptions } from './waiting.js'
export type { Channel } from './channels/channel.js'
export type { ChannelPresence, PresenceState } from './channels/presence.js'
export type { AnswersOf, Channels, KindName, MessagesOf } from '../protocol/kind-name.js'
export type { ChatPresence, Member, MemberConnection, PresenceOf } from '../protocol/member.js'
export type * from '../protocol/envelope.js'
