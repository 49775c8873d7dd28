import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react'
import { atFirst, type Chat, type ChatState, type ChatStatus } from '../client/chat/chat.js'
import { openChats, type ChatReference, type OpenChat } from '../client/chat/chats.js'
import { RealtimeError, type RealtimeClient, type Status } from '../client/index.js'
import { useLatest, useProvided } from './provider.js'
import type { Store } from './state/store.js'
import { Unanswered } from './state/unanswered.js'

/** Ids of a chat. An id that is unknown yet is `undefined`. */
export type ChatProps = { [K in 'workflow' | 'appId' | 'chatId']: ChatReference[K] | undefined } & Pick<ChatReference, 'userId' | 'history'>

type Actions = Pick<Chat, 'send' | 'stop' | 'withdraw' | 'loadOlder'> & {
  /** Opens a closed chat again, and a closed connection. Ends the wait for the next attempt to connect. */
  retry: () => void
}

/** State of a chat, and its functions. The status is `idle` while an id of the chat is unknown. */
export interface ShownChat extends Omit<ChatState, 'status' | 'connection'>, Actions {
  readonly status: ChatStatus | 'idle'
  readonly connection: Status | 'idle'
}

/** What opens the chats of a client, for clients without chats of their own. */
const openers = new WeakMap<RealtimeClient, OpenChat>()

const nothing = () => () => {}
const first = () => atFirst

/** Chat that a component holds, or held until it was hidden. */
interface Held {
  readonly mounted: MountedChat
  readonly chat: Chat
  readonly snapshot: () => ChatState
}

/**
 * Opens a chat with the address and the credential of the provider, and returns its state. Renders once per frame of the screen while
 * an answer arrives. Unchanged parts are the same objects, for `memo`. A component that is hidden, for example by `<Activity>`, is
 * unsubscribed after 5 s; it resumes when it is shown again. All chats of a provider share its connection. `send`, `stop`, `withdraw` and
 * `loadOlder` are those of `Chat`. They stay the same functions while the chat is the same, and afterwards reject with a RealtimeError of
 * the code `closed`. `history` is `false` by default.
 */
export function useChat ({ workflow, appId, chatId, userId, history = false }: ChatProps): ShownChat {
  const { store, userId: ownUserId, isAddressed } = useProvided()
  const owner = userId ?? ownUserId
  const isKnown = isAddressed && workflow != null && appId != null && chatId != null
  const mounted = useMemo(() => new MountedChat(store, isKnown ? { workflow, appId, chatId, userId: owner } : undefined),
    [store, isKnown, workflow, appId, chatId, owner])
  const wantsHistory = useLatest(history)
  const held = useRef<Held>(undefined)
  const [shown, show] = useState<Held>()
  useEffect(() => {
    if (!isKnown) return
    const before = held.current?.mounted.is(mounted) ? held.current.chat : undefined
    const chat = mounted.open(wantsHistory.current, before)
    held.current = { mounted, chat, snapshot: snapshotOf(chat) }
    show(held.current)
    return () => mounted.leave()
  }, [mounted, isKnown, wantsHistory])
  useEffect(() => {
    if (history) mounted.chat?.hold({ history }).close()
  }, [mounted, history])
  // Until the effect has run, `shown` is the previous chat.
  const current = shown?.mounted.is(mounted) ? shown : undefined
  const state = useSyncExternalStore(current?.chat.subscribe ?? nothing, current?.snapshot ?? first, first)
  return { ...state, ...!isKnown && idle, ...mounted.actions }
}

/** Returns a function for the state of a chat. A chat that no component shows is closed, but that state is never shown. */
function snapshotOf (chat: Chat): () => ChatState {
  let latest = chat.snapshot()
  return () => {
    if (!chat.isFree) latest = chat.snapshot()
    return latest
  }
}

const idle = { status: 'idle', connection: 'idle' } as const

/** Holds the chat of a mounted component. Its functions never act on another chat. */
class MountedChat {
  chat: Chat | undefined
  readonly #store: Store
  /** `undefined` while an id is unknown. */
  readonly #target: ChatReference | undefined
  readonly #key: string
  readonly #unanswered = new Unanswered()

  constructor (store: Store, target: ChatReference | undefined) {
    this.#store = store
    this.#target = target
    this.#key = JSON.stringify(target ?? '')
  }

  readonly actions: Actions = {
    send: (...args) => this.#ask(chat => chat.send(...args)),
    stop: () => this.#ask(chat => chat.stop()),
    withdraw: id => this.#ask(chat => chat.withdraw(id)),
    loadOlder: () => this.#ask(chat => chat.loadOlder()),
    retry: () => {
      const client = this.chat && this.#store.connect()
      if (client && !isOnPathOfChat(client)) this.#store.retry()
      this.chat?.reopen()
    }
  }

  /** Whether both are for the same chat: React may discard memoized values. */
  is (mounted: MountedChat): boolean {
    return mounted.#store === this.#store && mounted.#key === this.#key
  }

  /** Opens the chat. `before`: the chat that the component showed here before. */
  open (history: boolean, before: Chat | undefined): Chat {
    this.chat = openChat(this.#store.connect(), { ...this.#target!, history }, before)
    return this.chat
  }

  leave (): void {
    const chat = this.chat!
    this.chat = undefined
    // StrictMode or another component may open the chat again at once. Unanswered messages are awaited first.
    setTimeout(async () => {
      await this.#unanswered.none()
      chat.close()
    }, 0)
  }

  async #ask<T> (action: (chat: Chat) => Promise<T>): Promise<T> {
    // The effects of children run before the effect that opens the chat, which runs in the same task.
    if (this.chat === undefined) await Promise.resolve()
    if (this.chat !== undefined) return this.#unanswered.add(this.#store.unanswered.add(action(this.chat)))
    throw new RealtimeError('closed', this.#target ? 'the component of this chat is not mounted' : 'an id of this chat is unknown yet')
  }
}

/** Client with chats, as `fastify-realtime/chat` and `fakeClient` create it. */
interface WithChats {
  chat (target: ChatReference): Chat
}

/** Opens a chat on the connection of a client. `before`: the chat that the component showed here before. */
export function openChat (client: RealtimeClient, target: ChatReference, before: Chat | undefined): Chat {
  return 'chat' in client ? (client as unknown as WithChats).chat(target) : openerFor(client)(target, before)
}

/** Opens chats on the connection of a client. A client on the path of a chat has none: each chat gets a connection. */
function openerFor (client: RealtimeClient): OpenChat {
  const open = openers.get(client) ?? openChats(client.options, isOnPathOfChat(client) ? undefined : client)
  openers.set(client, open)
  return open
}

function isOnPathOfChat ({ options }: RealtimeClient): boolean {
  return options.chat !== undefined
}
