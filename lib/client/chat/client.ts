import { RealtimeClient, type ClientOptions } from '../client.js'
import type { Chat } from './chat.js'
import { OpenChats, type ChatReference } from './chats.js'

/** Client with chats on its connection. */
export class ChatClient extends RealtimeClient {
  readonly #chats: OpenChats

  /** Connects at once. Throws a TypeError when the address is invalid, or there is no WebSocket. */
  constructor (options: ClientOptions) {
    super(options)
    this.#chats = new OpenChats(options, this)
  }

  /**
   * Opens a chat with the address and the credential of this client. Calls for the same chat return the same object, and each needs a
   * `close` of it. Throws a TypeError when the client was created with `url` instead of `baseUrl` and `userId`.
   */
  chat (target: ChatReference): Chat {
    return this.#chats.open(target)
  }
}
