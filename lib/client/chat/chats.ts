import type { ClientOptions } from '../client.js'
import { Chat, type ChatAddress, type ChatOptions } from './chat.js'

/** A chat of a client: what is not said is the client's. */
export interface ChatTarget extends ChatAddress, Pick<ChatOptions, 'history'> {
  /** Default: the client's own. */
  userId?: string | undefined
}

/** The chats that are open, each with one connection however often it is asked for. */
export class Chats {
  readonly #options: ClientOptions
  readonly #chats = new Map<string, Chat>()

  constructor (options: ClientOptions) {
    this.#options = options
  }

  /** Each call needs a `close` of the chat. Throws a TypeError when it is not known where, or whose, it is. */
  open ({ userId = this.#options.userId, ...target }: ChatTarget): Chat {
    if (this.#options.url !== undefined) throw new TypeError("Pass 'baseUrl' and 'userId' instead of 'url'")
    for (const [key, chat] of this.#chats) if (chat.isFree) this.#chats.delete(key)
    const key = JSON.stringify([target.workflow, target.appId, target.chatId, userId])
    const known = this.#chats.get(key)
    if (known !== undefined) {
      if (known.closed) known.reopen()
      return known.hold(target)
    }
    const chat = new Chat(Object.assign(Object.create(this.#options), { history: false, ...target, userId }))
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
