import type { ChatAddress, SavedMessage } from 'fastify-realtime'
import { Recent } from './recent.js'

/** Maximum number of messages and of characters in a page of history, which is sent as one frame. One message may be longer. */
const page = { size: 20, length: 256 * 1024 }

/** Takes the place of your database: keeps the newest 200 finished messages of each chat in memory. */
export class ChatHistory {
  readonly #chats = new Recent<SavedMessage>(200)

  /** All messages of a chat, oldest first. */
  of (target: ChatAddress): readonly SavedMessage[] {
    return this.#chats.of(keyOf(target))
  }

  /** The option `chat.save`. A message that is saved again replaces the earlier one. */
  readonly save = (message: SavedMessage, target: ChatAddress): void => {
    const known = this.of(target).find(({ message_id: id }) => id === message.message_id)
    if (known !== undefined) this.#chats.remove(keyOf(target), known)
    this.#chats.add(keyOf(target), message)
  }

  /** The option `chat.loadHistory`: returns messages before the message `before`, or else the newest. */
  readonly load = (target: ChatAddress, before?: string): readonly SavedMessage[] => {
    const messages = this.of(target)
    // An unknown or forgotten message has no messages before it.
    const end = before === undefined ? messages.length : Math.max(0, messages.findIndex(({ message_id: id }) => id === before))
    let start = end
    let length = 0
    while (start > 0 && end - start < page.size) {
      length += JSON.stringify(messages[start - 1]).length
      if (length > page.length && start < end) break
      start--
    }
    return messages.slice(start, end)
  }
}

function keyOf ({ workflow, appId, chatId, userId }: ChatAddress): string {
  return JSON.stringify([workflow, appId, chatId, userId])
}
