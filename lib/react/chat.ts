import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react'
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
 * `loadOlder` are those of `Chat`, and the same functions as long as it is the same chat.
 */
export function useChat ({ workflow, appId, chatId, userId, history }: ChatTarget): ChatState & Pick<Chat, 'send' | 'stop' | 'loadOlder'> {
  const store = useStore()
  const key = useMemo(() => ({ store, target: { workflow, appId, chatId, userId, history } }), [store, workflow, appId, chatId, userId, history])
  const [opened, setOpened] = useState<{ key: typeof key, chat: Chat }>()
  const current = useRef<Chat>()
  useEffect(() => {
    const chat = chatsFor(key.store).open(key.target)
    current.current = chat
    setOpened({ key, chat })
    return () => {
      current.current = undefined
      // StrictMode, and another component, may open it again at once.
      setTimeout(() => chat.close(), 0)
    }
  }, [key])
  // Until the next render it is the chat of before.
  const chat = opened?.key === key ? opened.chat : undefined
  const state = useSyncExternalStore(chat?.subscribe ?? nothing, chat?.snapshot ?? first, first)
  const use = useCallback(async <T>(action: (chat: Chat) => Promise<T>): Promise<T> => {
    // The effects of children run before this one's, which connects: a moment later it has.
    if (current.current === undefined) await Promise.resolve()
    if (current.current === undefined) throw new RealtimeError('closed', 'the component of this chat is not mounted')
    return action(current.current)
  }, [])
  const actions = useMemo(() => ({
    send: (...args: Parameters<Chat['send']>) => use(chat => chat.send(...args)),
    stop: () => use(chat => chat.stop()),
    loadOlder: () => use(chat => chat.loadOlder())
  }), [use])
  return { ...state, ...actions }
}

function first (): ChatState {
  return atFirst
}

function chatsFor (store: Store): Chats {
  const chats = chatsOf.get(store) ?? new Chats(store.options)
  chatsOf.set(store, chats)
  return chats
}
