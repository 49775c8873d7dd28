import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from 'react'
import { fullJitter, type Envelope, type Messages, type RealtimeClient, type Resume } from '../client/index.js'
import type { Notification, NotificationType, StoredNotification } from './state/notifications.js'
import { useLatest, useStore } from './provider.js'
import { Reloader } from './reload.js'
import type { Bookmark, Snapshot, Store } from './state/store.js'

export type Send = RealtimeClient['send']
export type Request = RealtimeClient['request']

/**
 * Returns the state of the connection, `send`, and `retry`, which opens a closed connection again or ends the wait for the next
 * attempt. Renders with each message: use `useStatus` to show only the status.
 */
export function useRealtime (): Snapshot & { send: Send, retry: () => void } {
  const store = useStore()
  const snapshot = useSyncExternalStore(store.subscribe, store.snapshot, () => store.first)
  return { ...snapshot, send: useSend(), retry: store.retry }
}

/** Returns the status of the connection. Renders only when it changes. */
export function useStatus (): Snapshot['status'] {
  const store = useStore()
  return useSyncExternalStore(store.subscribe, () => store.snapshot().status, () => store.first.status)
}

/** Returns `send` of the client: sends a message to the server's handler of its type. */
export function useSend (): Send {
  const store = useStore()
  return useCallback<Send>((type, data, options) => store.send(type, data, options), [store])
}

/** Returns `request` of the client: like `send`, and resolves with what the handler returned, for types with a schema in `answers`. */
export function useRequest (): Request {
  const store = useStore()
  return useCallback<Request>(async (...args: Parameters<Request>) => await store.request(...args) as never, [store])
}

/** Message types of the catalogue, and all others. @inline */
type Type = (keyof Messages & string) | (string & {})

/**
 * Calls `handler` with every message of a type, or for `'*'` with every envelope, even when several arrive at once. A component that
 * was hidden, for example by `<Activity>`, gets the messages that it missed when it is shown again: at least the latest 1,000.
 */
export function useMessages (type: '*', handler: (envelope: Envelope) => unknown): void
export function useMessages<T extends Type> (type: T, handler: (data: Envelope<T>['data'], envelope: Envelope<T>) => unknown): void
export function useMessages (type: string, handler: (...args: any[]) => unknown): void {
  const latest = useLatest(handler)
  useBound(useStore(), type, (store, from) => store.on(type, (...args) => latest.current(...args), from))
}

/** Calls `handler` after each reconnect, and when messages were missed. Use `useReload` to load your state then. */
export function useResume (handler: (resume: Resume) => unknown): void {
  const latest = useLatest(handler)
  useBound(useStore(), 'resume', (store, from) => store.onResume(resume => latest.current(resume), from))
}

/** Binds a listener while the component is shown. A component that is hidden and shown again continues where it stopped. */
function useBound (store: Store, what: string, bind: (store: Store, from: Bookmark | undefined) => () => void): void {
  const stopped = useRef<{ store: Store, what: string, at: Bookmark }>(undefined)
  useEffect(() => {
    const { current: before } = stopped
    const unbind = bind(store, before?.store === store && before.what === what ? before.at : undefined)
    return () => {
      unbind()
      stopped.current = { store, what, at: store.bookmark }
    }
  }, [store, what])
}

/**
 * Calls `load` once connected, and when messages were missed that the server no longer has. When `load` fails, the error goes to
 * `onError`, and `load` is called again after a delay of up to 0.5 s at first and 9 s at last, or with the next loss.
 */
export function useReload (load: () => Promise<unknown>): void {
  const store = useStore()
  const latest = useLatest(load)
  useEffect(() => {
    const reloader = new Reloader(async () => latest.current(), fullJitter, store.report)
    const unbind = store.onGap(() => reloader.reload())
    return () => {
      unbind()
      reloader.end()
    }
  }, [store, latest])
}

export interface NotificationsOptions {
  /** Types of messages to show. Default: `['notification']`. */
  types?: readonly NotificationType[] | undefined
  /** Returns earlier notifications, as they were sent. Called like `load` of `useReload`. For one component per provider. Default: none. */
  load?: (() => Promise<readonly StoredNotification[]>) | undefined
}

const onlyNotifications: readonly NotificationType[] = ['notification']
const none: readonly Notification[] = []

/** Returns the latest 100 notifications, newest first. `markRead()` without an id marks all of them. */
export function useNotifications ({ types = onlyNotifications, load }: NotificationsOptions = {}): {
  notifications: readonly Notification[]
  unread: number
  markRead: (id?: string) => void
} {
  const store = useStore()
  const latest = useLatest(types)
  const list = useSyncExternalStore(store.subscribe, () => store.notifications.list, () => none)
  useReload(async () => {
    if (load === undefined) return
    await store.notifications.load(load)
    store.tell()
  })
  const shown = types.join()
  const notifications = useMemo(() => list.filter(({ type }) => shown.split(',').includes(type)), [list, shown])
  const markRead = useCallback((id?: string) => {
    store.notifications.markRead(latest.current, id)
    store.tell()
  }, [store, latest])
  return { notifications, unread: notifications.filter(({ isRead }) => !isRead).length, markRead }
}
