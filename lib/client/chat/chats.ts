import type { ClientOptions } from '../client.js'
import { Chat, type ChatIds, type OpenChatOptions, type Connect } from './chat.js'

/** A chat of a client: what is not said is the client's. */
export interface ChatReference extends ChatIds, Pick<OpenChatOptions, 'history'> {
  /** Default: the client's own. */
  userId?: string | undefined
}

/** The chats that are open, each with one connection however often it is asked for. */
export class OpenChats {
  readonly #options: ClientOptions
  readonly #chats = new Map<string, Chat>()
  readonly #connect: Connect | undefined

  constructor (options: ClientOptions, connect?: Connect) {
    this.#options = options
    this.#connect = connect
  }

  /**
   * Each call needs a `close` of the chat. Throws a TypeError when the address or the user is not known. `before`: the same
   * chat, closed perhaps, which goes on unless there is another one by now.
   */
  open ({ userId = this.#options.userId, ...target }: ChatReference, before?: Chat): Chat {
    if (this.#options.url !== undefined) throw new TypeError("A chat needs 'baseUrl' and 'userId'")
    for (const [key, chat] of this.#chats) if (chat.isFree) this.#chats.delete(key)
    const key = JSON.stringify([target.workflow, target.appId, target.chatId, userId])
    const known = (this.#chats.get(key) ?? before)?.hold(target)
    if (known?.closed) known.reopen()
    const chat = known ?? new Chat(Object.assign(Object.create(this.#options), { history: false, ...target, userId }), this.#connect)
    this.#chats.set(key, chat)
    return chat
  }

  close (): void {
    for (const chat of this.#chats.values()) chat.end()
  }

  /** Those that somebody uses. */
  reopen (): void {
    for (const chat of this.#chats.values()) if (!chat.isFree) chat.reopen()
  }

  wake (): void {
    for (const chat of this.#chats.values()) chat.wake()
  }
}
