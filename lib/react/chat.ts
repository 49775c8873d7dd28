import { useEffect, useMemo, useState, useSyncExternalStore } from 'react'
import { atFirst, type Chat, type ChatState } from '../client/chat/chat.js'
import { Chats, type ChatTarget } from '../client/chat/chats.js'
import { RealtimeError } from '../client/index.js'
import { useStore } from './provider.js'
import type { Store } from './store.js'

/** Those of a provider: components that show the same chat have one connection. */
const chatsOf = new WeakMap<Store, Chats>()

const nothing = () => () => {}

/**
 * A chat, with the address and the credential of the provider. It renders once per frame of the screen while an answer
 * arrives; what has not changed is the same object, for `memo`. Another chat is another connection. `send`, `stop` and
 * `loadOlder` are those of `Chat`, and the same functions as long as it is the same chat; once it is not, they reject
 * with a RealtimeError of the code `closed`.
 */
export function useChat ({ workflow, appId, chatId, userId, history }: ChatTarget): ChatState & Pick<Chat, 'send' | 'stop' | 'loadOlder'> {
  const store = useStore()
  const place = useMemo(() => new Place(store, { workflow, appId, chatId, userId, history }),
    [store, workflow, appId, chatId, userId, history])
  const [shown, show] = useState<Place>()
  useEffect(() => {
    const end = place.open()
    show(place)
    return end
  }, [place])
  // Until the next render it is the chat of before.
  const chat = shown === place ? place.chat : undefined
  const state = useSyncExternalStore(chat?.subscribe ?? nothing, chat?.snapshot ?? first, first)
  return { ...state, ...place.actions }
}

/** Where a component has its chat while it is mounted. What it was given to send with never sends to another chat. */
class Place {
  chat: Chat | undefined
  readonly #store: Store
  readonly #target: ChatTarget

  constructor (store: Store, target: ChatTarget) {
    this.#store = store
    this.#target = target
  }

  readonly actions: Pick<Chat, 'send' | 'stop' | 'loadOlder'> = {
    send: async (...args) => (await this.#opened()).send(...args),
    stop: async () => (await this.#opened()).stop(),
    loadOlder: async () => (await this.#opened()).loadOlder()
  }

  open (): () => void {
    const chat = this.chat = chatsFor(this.#store).open(this.#target)
    return () => {
      this.chat = undefined
      // StrictMode, and another component, may open it again at once.
      setTimeout(() => chat.close(), 0)
    }
  }

  async #opened (): Promise<Chat> {
    // The effects of children run before the one that connects: a moment later it has.
    if (this.chat === undefined) await Promise.resolve()
    if (this.chat === undefined) throw new RealtimeError('closed', 'the component of this chat is not mounted')
    return this.chat
  }
}

function first (): ChatState {
  return atFirst
}

function chatsFor (store: Store): Chats {
  const chats = chatsOf.get(store) ?? new Chats(store.options)
  chatsOf.set(store, chats)
  return chats
}
