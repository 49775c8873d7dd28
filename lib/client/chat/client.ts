import { RealtimeClient, type ClientOptions } from '../client.js'
import type { Chat } from './chat.js'
import { OpenChats, type ChatReference } from './chats.js'

/** A client that has chats beside its own connection. Each chat has a connection of its own. */
export class ChatClient extends RealtimeClient {
  readonly #chats: OpenChats

  /** Connects at once. Throws a TypeError when there is no address or no WebSocket. */
  constructor (options: ClientOptions) {
    super(options)
    this.#chats = new OpenChats(options)
  }

  /**
   * A chat, with the address and the credential of this client. The same chat is the same object: each call needs a
   * `close` of it. Throws a TypeError when the client was made with a `url` instead of `baseUrl` and `userId`.
   */
  chat (target: ChatReference): Chat {
    return this.#chats.open(target)
  }

  /** Closes it and its chats, until `reopen`. What was not answered is rejected. */
  override close (): void {
    super.close()
    this.#chats.close()
  }

  override reopen (): void {
    super.reopen()
    this.#chats.reopen()
  }

  override wake (): void {
    super.wake()
    this.#chats.wake()
  }
}
