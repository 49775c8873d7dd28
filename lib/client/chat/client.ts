import { RealtimeClient, type ClientOptions } from '../client.js'
import type { Chat } from './chat.js'
import { OpenChats, type ChatReference } from './chats.js'
import { openLine } from './line.js'

/** Client with chats on its connection. */
export class ChatClient extends RealtimeClient {
  readonly #chats: OpenChats
  #isWaking = false

  /** Connects at once. Throws a TypeError when the address is invalid, or there is no WebSocket. */
  constructor (options: ClientOptions) {
    super(options)
    this.#chats = new OpenChats(options, options => openLine(this, options))
  }

  /**
   * Opens a chat with the address and the credential of this client. Calls for the same chat return the same object, and each needs a
   * `close` of it. Throws a TypeError when the client was created with `url` instead of `baseUrl` and `userId`.
   */
  chat (target: ChatReference): Chat {
    return this.#chats.open(target)
  }

  /** Closes the client and its chats until `reopen`. Unanswered messages reject. */
  override close (): void {
    super.close()
    this.#chats.close()
  }

  override reopen (): void {
    super.reopen()
    this.#chats.reopen()
  }

  override wake (): void {
    // Chats on this connection wake it, too.
    if (this.#isWaking) return
    this.#isWaking = true
    super.wake()
    this.#chats.wake()
    this.#isWaking = false
  }
}
