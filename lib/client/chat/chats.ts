import type { ClientOptions, RealtimeClient } from '../client.js'
import { Chat } from './chat.js'
import { chatName, type ChatIds, type Connect, type OpenChatOptions } from './connection.js'

/** Ids of a chat of a client. All other options are those of the client. */
export interface ChatReference extends ChatIds, Pick<OpenChatOptions, 'history'> {
  /** Owner of the chat. Default: the user id of the client. */
  userId?: string | undefined
}

/** Open chats. Each has one object, however often it is opened. */
export class OpenChats {
  readonly #options: ClientOptions
  readonly #client: RealtimeClient | undefined
  readonly #chats = new Map<string, Chat>()
  readonly #connect: Connect | undefined

  /** `client`: client on whose connection the chats are. Default: a connection for each chat. */
  constructor (options: ClientOptions, client?: RealtimeClient, connect?: Connect) {
    this.#options = options
    this.#client = client
    this.#connect = connect
  }

  /**
   * Opens a chat, or returns the one that is open. Each call needs a `close` of the chat. Throws a TypeError when the address or the user
   * is unknown. `before`: an earlier object of the same chat, which is used again, and reopened, unless there is another one by now.
   */
  open ({ userId = this.#options.userId, ...target }: ChatReference, before?: Chat): Chat {
    if (this.#options.url !== undefined) throw new TypeError("A chat needs 'baseUrl' and 'userId'")
    for (const [key, chat] of this.#chats) if (chat.isFree) this.#chats.delete(key)
    const key = chatName(target, userId)
    const known = (this.#chats.get(key) ?? before)?.hold(target)
    if (known?.closed) known.reopen()
    const options = { client: this.#client, history: false, ...target, userId }
    const chat = known ?? new Chat(Object.assign(Object.create(this.#options), options), this.#connect)
    this.#chats.set(key, chat)
    return chat
  }
}
