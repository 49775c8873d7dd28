import { useEffect, useMemo, useState, useSyncExternalStore } from 'react'
import { channelName } from '../client/channels/channel.js'
import { nobody, type ChannelPresence, type PresenceState } from '../client/channels/presence.js'
import type { Chat } from '../client/chat/chat.js'
import type { ChatReference } from '../client/chat/chats.js'
import { beforePaint } from '../client/chat/paint.js'
import type { KindName, PresenceOf } from '../client/index.js'
import { openChat, type ChatProps } from './chat.js'
import { useProvided } from './provider.js'
import type { Store } from './state/store.js'

/** Members of a channel or a chat, and the function that sets the connection's own data. */
export interface ShownPresence<D = unknown> extends PresenceState<D>, Pick<ChannelPresence<D>, 'update'> {}

/** Ids of a chat. An id that is unknown yet is `undefined`. */
export type PresenceOfChat = Omit<ChatProps, 'history'>

const nothing = () => () => {}
const first = () => nobody

/**
 * Opens a channel, or a chat, on the connection of the provider while the component is mounted, and returns its members. Renders after
 * changes, at most once per frame of the screen. `members` is the same array while no member changes, and a member that did not change is
 * the same object, for `memo`. `update` is the same function while the channel is the same. Components that are hidden, for example by
 * `<Activity>`, leave after 5 s. Throws a TypeError if the kind or the id is invalid. `id`: `undefined` while it is unknown.
 */
export function usePresence<K extends KindName> (kind: K, id: string | undefined): ShownPresence<PresenceOf<K>>
export function usePresence (chat: PresenceOfChat): ShownPresence<PresenceOf<'chat'>>
export function usePresence (of: string | PresenceOfChat, id?: string): ShownPresence {
  const { store, userId: ownUserId, isAddressed } = useProvided()
  const { workflow, appId, chatId, userId = ownUserId } = typeof of === 'string' ? {} as Partial<ChatReference> : of
  const kind = typeof of === 'string' ? of : undefined
  const mounted = useMemo(() => {
    if (!isAddressed) return new MountedPresence()
    if (kind !== undefined) return id == null ? new MountedPresence() : new MountedPresence(openerOf(store, channelName(kind, id)))
    if (workflow == null || appId == null || chatId == null) return new MountedPresence()
    return new MountedPresence(chatOpenerOf(store, { workflow, appId, chatId, userId }))
  }, [store, isAddressed, kind, id, workflow, appId, chatId, userId])
  const [shown, show] = useState<{ mounted: MountedPresence, source: PresenceStore }>()
  useEffect(() => {
    const source = mounted.enter()
    if (source) show({ mounted, source })
    return () => mounted.leave()
  }, [mounted])
  // Until the effect has run, `shown` is the previous channel.
  const current = shown?.mounted === mounted ? shown.source : undefined
  const state = useSyncExternalStore(current?.subscribe ?? nothing, current?.snapshot ?? first, first)
  return useMemo(() => ({ ...state, update: mounted.update }), [state, mounted])
}

/** Presence of an open channel or chat, and the function that closes it. */
interface Opened {
  readonly presence: ChannelPresence
  readonly close: () => void
}

function openerOf (store: Store, name: string): () => Opened {
  return () => {
    const channel = store.channels.open(name)
    return { presence: channel.presence, close: () => channel.leave() }
  }
}

function chatOpenerOf (store: Store, target: ChatReference): () => Opened {
  let chat: Chat | undefined
  return () => {
    const opened = chat = openChat(store.connect(), { ...target, history: false }, chat)
    // StrictMode or another component may open the chat again at once.
    return { presence: opened.presence, close: () => { setTimeout(() => opened.close(), 0) } }
  }
}

type PresenceStore = Pick<ChannelPresence, 'subscribe' | 'snapshot'>

/** Presence that a mounted component shows. */
class MountedPresence {
  readonly #open: (() => Opened) | undefined
  #opened: Opened | undefined
  /** Own data, once the component has set it. */
  #own: { readonly data: unknown } | undefined

  /** `open`: `undefined` while the channel is unknown. */
  constructor (open?: () => Opened) {
    this.#open = open
  }

  /** Also after `leave`: others see the data for up to 5 s, or for as long as another component shows the channel. */
  readonly update = (data: unknown): void => {
    this.#own = { data }
    this.#opened?.presence.update(data)
  }

  enter (): PresenceStore | undefined {
    if (!this.#open) return undefined
    const { presence } = this.#opened = this.#open()
    if (this.#own) presence.update(this.#own.data)
    return { snapshot: presence.snapshot, subscribe: listener => presence.subscribe(perFrame(listener)) }
  }

  leave (): void {
    this.#opened?.close()
  }
}

/** Returns a function that calls `action` once before the next frame of the screen, however often it is called until then. */
function perFrame (action: () => unknown): () => void {
  let isDue = false
  return () => {
    if (isDue) return
    isDue = true
    beforePaint(() => {
      isDue = false
      action()
    })
  }
}
