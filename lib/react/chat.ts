import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react'
import { atFirst, type Chat, type ChatState, type ChatStatus } from '../client/chat/chat.js'
import { OpenChats, type ChatReference } from '../client/chat/chats.js'
import { RealtimeError, type Status } from '../client/index.js'
import { useLatest, useProvided } from './provider.js'
import type { Store } from './store.js'
import { Unanswered } from './unanswered.js'

/** A chat; an id that is not known yet is `undefined`. */
export type ChatProps = { [K in 'workflow' | 'appId' | 'chatId']: ChatReference[K] | undefined } & Pick<ChatReference, 'userId' | 'history'>

type Actions = Pick<Chat, 'send' | 'stop' | 'withdraw' | 'loadOlder'> & {
  /** Starts a chat again that was closed, and one that waits for its next attempt at once. */
  retry: () => void
}

/** What is shown of a chat, which is `idle` while an id of it is not known. */
export interface ShownChat extends Omit<ChatState, 'status' | 'connection'>, Actions {
  readonly status: ChatStatus | 'idle'
  readonly connection: Status | 'idle'
}

/** Those of a provider: components that show the same chat have one connection. */
const chatsOf = new WeakMap<Store, OpenChats>()

const nothing = () => () => {}
const first = () => atFirst

/** The chat that a component holds, or has held until it was hidden. */
interface Held {
  readonly place: Place
  readonly chat: Chat
  readonly snapshot: () => ChatState
}

/**
 * A chat, with the address and the credential of the provider. It renders once per frame of the screen while an answer
 * arrives; what has not changed is the same object, for `memo`. A component that is hidden, as by `<Activity>`, is disconnected,
 * and goes on where it was when it is shown again. Another chat is another connection. `send`, `stop`, `withdraw` and
 * `loadOlder` are those of `Chat`, and the same functions as long as it is the same chat; once it is not, they reject
 * with a RealtimeError of the code `closed`.
 */
export function useChat ({ workflow, appId, chatId, userId, history = false }: ChatProps): ShownChat {
  const { store, userId: ownUserId, isAddressed } = useProvided()
  const owner = userId ?? ownUserId
  const isKnown = isAddressed && workflow != null && appId != null && chatId != null
  const place = useMemo(() => new Place(store, isKnown ? { workflow, appId, chatId, userId: owner } : undefined),
    [store, isKnown, workflow, appId, chatId, owner])
  const wantsHistory = useLatest(history)
  const held = useRef<Held>(undefined)
  const [shown, show] = useState<Held>()
  useEffect(() => {
    if (!isKnown) return
    const before = held.current?.place.is(place) ? held.current.chat : undefined
    const chat = place.open(wantsHistory.current, before)
    held.current = { place, chat, snapshot: snapshotOf(chat) }
    show(held.current)
    return () => place.leave()
  }, [place, isKnown, wantsHistory])
  useEffect(() => {
    if (history) place.chat?.hold({ history }).close()
  }, [place, history])
  // Until the next render it is the chat of before.
  const current = shown?.place.is(place) ? shown : undefined
  const state = useSyncExternalStore(current?.chat.subscribe ?? nothing, current?.snapshot ?? first, first)
  return { ...state, ...!isKnown && idle, ...place.actions }
}

/** What is shown of a chat. While no component shows it, it is closed: that is nothing to be shown. */
function snapshotOf (chat: Chat): () => ChatState {
  let latest = chat.snapshot()
  return () => {
    if (!chat.isFree) latest = chat.snapshot()
    return latest
  }
}

const idle = { status: 'idle', connection: 'idle' } as const

/** Where a component has its chat while it is mounted. What it was given to send with never sends to another chat. */
class Place {
  chat: Chat | undefined
  readonly #store: Store
  /** `undefined`: an id is not known yet. */
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
    retry: () => { this.chat?.reopen() }
  }

  /** Whether it is that of the same chat: React may forget what it has memoized. */
  is (place: Place): boolean {
    return place.#store === this.#store && place.#key === this.#key
  }

  /** `before`: the chat that the component has shown here. */
  open (history: boolean, before: Chat | undefined): Chat {
    this.chat = openChat(this.#store, { ...this.#target!, history }, before)
    return this.chat
  }

  leave (): void {
    const chat = this.chat!
    this.chat = undefined
    // StrictMode, and another component, may open it again at once; and what was sent is answered first.
    setTimeout(async () => {
      await this.#unanswered.none()
      chat.close()
    }, 0)
  }

  async #ask<T> (action: (chat: Chat) => Promise<T>): Promise<T> {
    // The effects of children run before the one that connects: a moment later it has.
    if (this.chat === undefined) await Promise.resolve()
    if (this.chat !== undefined) return this.#unanswered.add(action(this.chat))
    throw new RealtimeError('closed', this.#target ? 'the component of this chat is not mounted' : 'an id of this chat is not known yet')
  }
}

/** A client with chats: `fastify-realtime/chat` has one, and a fake client is one. */
interface WithChats {
  chat (target: ChatReference): Chat
}

function openChat (store: Store, target: ChatReference, before: Chat | undefined): Chat {
  const { client } = store.options
  if (client === undefined) return chatsFor(store).open(target, before)
  if ('chat' in client) return (client as WithChats).chat(target)
  throw new TypeError("The client of this RealtimeProvider has no chats: make it with createClient of 'fastify-realtime/chat'")
}

function chatsFor (store: Store): OpenChats {
  const chats = chatsOf.get(store) ?? new OpenChats(store.options)
  chatsOf.set(store, chats)
  return chats
}
