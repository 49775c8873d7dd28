import type { ClientOptions } from '../client.js'
import { Chat } from './chat.js'
import { ChatClient } from './client.js'
import type { OpenChatOptions } from './connection.js'

/** Creates a client with chats. Throws a TypeError when the address is invalid, or there is no WebSocket. */
export function createClient (options: ClientOptions): ChatClient {
  return new ChatClient(options)
}

/** Connects to one chat. Throws a TypeError when the address is invalid, or there is no WebSocket. */
export function createChat (options: OpenChatOptions): Chat {
  return new Chat(options)
}

export { RealtimeError, type Closed } from '../error.js'
export type { Backoff } from '../backoff.js'
export type { ClientOptions, Resume, Status } from '../client.js'
export type { WebSocketConstructor, WebSocketLike } from '../socket.js'
export type { GetToken } from '../renewal.js'
export type { TokenTransport } from '../token.js'
export type { ConnectedOptions } from '../waiting.js'
export type { Channel } from '../channels/channel.js'
export type { ChannelPresence, PresenceState } from '../channels/presence.js'
export type { AnswersOf, Channels, KindName, MessagesOf } from '../../protocol/kind-name.js'
export type { ChatPresence, Member, MemberConnection, PresenceOf } from '../../protocol/member.js'
export type * from '../../protocol/envelope.js'
export type { Chat, ChatState, ChatStatus, SendOptions } from './chat.js'
export type { ChatIds as ChatAddress, OpenChatOptions as ChatOptions } from './connection.js'
export type { ChatReference as ChatTarget } from './chats.js'
export type { ChatClient } from './client.js'
export type {
  ChatError, ChatItem, ChatMessage, MessageData, MessageFile, Question, Reasoning, Source, Step, ToolCall, WholeMessage
} from './items.js'
