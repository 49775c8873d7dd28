import { RealtimeClient } from '../client.js'
import type { Chat } from './chat.js'
import { openChats, type ChatReference } from './chats.js'

/** Client with chats on its connection. */
export class ChatClient extends RealtimeClient {
  readonly #open = openChats(this.options, this)

  /**
   * Opens a chat with the address and the credential of this client. Calls for the same chat return the same object, and each needs a
   * `close` of it. Throws a TypeError when the client was created with `url` instead of `baseUrl` and `userId`.
   */
  chat (target: ChatReference): Chat {
    return this.#open(target)
  }
}
