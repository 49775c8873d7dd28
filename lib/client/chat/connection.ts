import type { Envelope } from '../../protocol/envelope.js'
import type { ChannelPresence } from '../channels/presence.js'
import type { ClientOptions, RealtimeClient } from '../client.js'

/** Ids of a chat. */
export interface ChatIds {
  workflow: string
  appId: string
  chatId: string
}

export interface OpenChatOptions extends ChatIds, Omit<ClientOptions, 'url' | 'chat' | 'share'> {
  userId: string
  /** Client on whose connection the chat is. Options of the connection are then those of the client. Default: a connection of its own. */
  client?: RealtimeClient | undefined
  /** Loads the newest messages from the server's `loadHistory` once connected, and after a loss. Default: false. */
  history?: boolean | undefined
}

/** Creates the client for a chat on a connection of its own. */
export type Connect = (options: ClientOptions & Required<Pick<ClientOptions, 'chat'>>) => RealtimeClient

/** What a chat is on: a channel of a client, or a client on the path of the chat. */
export interface ChatConnection extends Pick<RealtimeClient, 'status' | 'closed' | 'onStatus' | 'onResume' | 'close' | 'reopen'> {
  /** That of the channel; `undefined` on the path of the chat. */
  readonly presence?: ChannelPresence
  on (type: '*', listener: (envelope: Envelope) => unknown): () => void
  on (type: 'presence', listener: (data: unknown) => unknown): () => void
  send (type: string, data: unknown, options: { timeout?: number | undefined }): Promise<void>
}

/** Name of the channel of a chat. */
export function chatName ({ workflow, appId, chatId }: ChatIds, userId: string | undefined): string {
  return `chat:${workflow}/${appId}/${chatId}/${userId}`
}

/** Whether a client can have chats as channels, as far as is known. Servers from before there were channels cannot. */
export function hasChannels ({ ack }: RealtimeClient): boolean {
  return !ack || !!ack.limits?.channels
}

/** Returns the client to connect a chat with: that in its options, or one of its own, which `connect` creates. */
export function clientFor (options: OpenChatOptions, connect: Connect): RealtimeClient {
  const { client } = options
  if (client && hasChannels(client)) return client
  // Inherits the options instead of copying them: `getToken` may be set later.
  const own = client ? Object.assign(Object.create(client.options), options) : options
  return connect(Object.assign(Object.create(own), { chat: options }))
}

/** Connects a chat with the client from `clientFor`. */
export function connectChat (client: RealtimeClient, options: OpenChatOptions): ChatConnection {
  return client === options.client ? client.read(chatName(options, options.userId), '') : client
}
