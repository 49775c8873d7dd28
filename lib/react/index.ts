import {
  createContext, createElement, useCallback, useContext, useEffect, useReducer, useRef, useState, useSyncExternalStore,
  type ReactElement, type ReactNode
} from 'react'
import { RealtimeError, type ClientOptions, type Envelope, type Messages, type RealtimeClient, type Resume } from '../client/index.js'
import { reduce, type Change, type OptimisticItem } from './optimistic.js'
import { Store, type Notification, type Snapshot } from './store.js'

const Context = createContext<Store | undefined>(undefined)

/** The connection that the hooks below use. It is made when this is mounted, and anew when its address changes. */
export function RealtimeProvider ({ children, ...options }: ClientOptions & { children?: ReactNode }): ReactElement {
  const { url, baseUrl, userId, chat } = options
  // Options other than the address are those of the first time.
  return createElement(Connected, { key: JSON.stringify([url, baseUrl, userId, chat]), options, children })
}

function Connected ({ options, children }: { options: ClientOptions, children?: ReactNode }): ReactElement {
  const [store] = useState(() => new Store(options))
  useEffect(() => {
    store.start()
    return () => store.end()
  }, [store])
  return createElement(Context.Provider, { value: store }, children)
}

function useStore (): Store {
  const store = useContext(Context)
  if (store === undefined) throw new Error('Put <RealtimeProvider userId="…"> around the components that use fastify-realtime')
  return store
}

/** The state of the connection, and `send`. Renders with each message: use `useStatus` where only the state is shown. */
export function useRealtime (): Snapshot & { send: Send } {
  const store = useStore()
  const snapshot = useSyncExternalStore(store.subscribe, store.snapshot, store.snapshot)
  return { ...snapshot, send: useSend() }
}

/** The state of the connection alone. */
export function useStatus (): Snapshot['status'] {
  const store = useStore()
  const status = () => store.snapshot().status
  return useSyncExternalStore(store.subscribe, status, status)
}

type Send = RealtimeClient['send']

/** Sends a message to the server's handler; see the client's `send`. */
export function useSend (): Send {
  const store = useStore()
  return useCallback(async (type, data, options) => {
    if (store.client === undefined) throw new RealtimeError('closed', 'the connection is not there yet, or no more')
    return store.client.send(type, data, options)
  }, [store])
}

/** Those of the catalogue, and any other. */
type Type = (keyof Messages & string) | (string & {})

/** Calls `handler` with every message of a type, or with `'*'` with every envelope, also those that arrive together. */
export function useMessages (type: '*', handler: (envelope: Envelope) => void): void
export function useMessages<T extends Type> (type: T, handler: (data: Envelope<T>['data'], envelope: Envelope<T>) => void): void
export function useMessages (type: string, handler: (...args: any[]) => void): void {
  const store = useStore()
  const latest = useLatest(handler)
  useEffect(() => store.on(type, (...args) => latest.current(...args)), [store, type])
}

/** Calls `handler` after each reconnect, and when messages were missed: load your state again when not `recovered`. */
export function useResume (handler: (resume: Resume) => void): void {
  const store = useStore()
  const latest = useLatest(handler)
  useEffect(() => store.onResume(resume => latest.current(resume)), [store])
}

/** The latest 100 notifications, newest first. */
export function useNotifications (): { notifications: readonly Notification[], unread: number, markRead: (id?: string) => void } {
  const store = useStore()
  const notifications = useSyncExternalStore(store.subscribe, store.notifications, store.notifications)
  return { notifications, unread: notifications.filter(({ isRead }) => !isRead).length, markRead: store.markRead }
}

export interface OptimisticOptions<T> {
  /** The type of the messages that confirm. With the action `deleted` they remove. */
  type: string
  idOf: (item: T) => string
  /** The `ref` of the `add` that a message confirms, where it has one. */
  refOf: (data: any) => string | undefined
  /** What is there already. Default: nothing. */
  initial?: readonly T[]
}

/**
 * A list whose new items are shown at once, confirmed by the answer of `commit` or by a message, whichever comes first,
 * and taken back when `commit` fails. `commit` is given a `ref` to send along.
 */
export function useOptimisticList<T> ({ type, idOf, refOf, initial = [] }: OptimisticOptions<T>): {
  items: ReadonlyArray<OptimisticItem<T>>
  add: (item: T, commit: (ref: string) => Promise<T | void>) => Promise<void>
  reset: (items: readonly T[]) => void
} {
  const ids = useLatest(idOf)
  const [{ items }, change] = useReducer(
    (state: { items: ReadonlyArray<OptimisticItem<T>> }, change: Change<T>) => reduce(ids.current, state, change),
    { items: initial.map(item => ({ key: idOf(item), item, isPending: false })) })
  useMessages(type, (data, { action }) => {
    const item = data as T
    change(action === 'deleted' ? { type: 'remove', id: idOf(item) } : { type: 'confirm', ref: refOf(data), item })
  })
  const add = useCallback(async (item: T, commit: (ref: string) => Promise<T | void>) => {
    const ref = Math.random().toString(36).slice(2) + Math.random().toString(36).slice(2)
    change({ type: 'add', ref, item })
    try {
      const confirmed = await commit(ref)
      if (confirmed !== undefined) change({ type: 'confirm', ref, item: confirmed as T })
    } catch (error) {
      change({ type: 'fail', ref })
      throw error
    }
  }, [])
  const reset = useCallback((items: readonly T[]) => change({ type: 'reset', items }), [])
  return { items, add, reset }
}

function useLatest<T> (value: T): { readonly current: T } {
  const ref = useRef(value)
  useEffect(() => { ref.current = value })
  return ref
}

export type { Notification, OptimisticItem, Snapshot }
export { RealtimeError }
