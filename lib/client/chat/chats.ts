import type { ClientOptions, RealtimeClient } from '../client.js'
import { Chat } from './chat.js'
import { chatName, type ChatIds, type Connect, type OpenChatOptions } from './connection.js'

/** Ids of a chat of a client. All other options are those of the client. */
export interface ChatReference extends ChatIds, Pick<OpenChatOptions, 'history'> {
  /** Owner of the chat. Default: the user id of the client. */
  userId?: string | undefined
}

/**
 * Opens a chat, or returns the one that is open. Each call needs a `close` of the chat. Throws a TypeError when the address or the user
 * is unknown. `before`: an earlier object of the same chat, which is used again, and reopened, unless there is another one by now.
 */
export type OpenChat = (target: ChatReference, before?: Chat) => Chat

/**
 * Returns a function that opens chats. Each chat has one object, however often it is opened. `client`: client on whose connection the
 * chats are. Default: a connection for each chat.
 */
export function openChats (options: ClientOptions, client?: RealtimeClient, connect?: Connect): OpenChat {
  const chats = new Map<string, Chat>()
  return ({ userId = options.userId, ...target }, before) => {
    if (options.url !== undefined) throw new TypeError("A chat needs 'baseUrl' and 'userId'")
    for (const [key, chat] of chats) if (chat.isFree) chats.delete(key)
    const key = chatName(target, userId)
    const known = (chats.get(key) ?? before)?.hold(target)
    if (known?.closed) known.reopen()
    const chat = known ?? new Chat(Object.assign(Object.create(options), { client, history: false, ...target, userId }), connect)
    chats.set(key, chat)
    return chat
  }
}
