import { useCallback, useEffect, useMemo, useSyncExternalStore } from 'react'
import { fullJitter, type Envelope, type Messages, type RealtimeClient, type Resume } from '../client/index.js'
import type { Notification, NotificationType, Stored } from './notifications.js'
import { useLatest, useStore } from './provider.js'
import { Reloader } from './reload.js'
import { atFirst, type Snapshot } from './store.js'

export type Send = RealtimeClient['send']

/** The state of the connection, and `send`. Renders with each message: use `useStatus` where only the state is shown. */
export function useRealtime (): Snapshot & { send: Send } {
  const store = useStore()
  const snapshot = useSyncExternalStore(store.subscribe, store.snapshot, () => atFirst)
  return { ...snapshot, send: useSend() }
}

/** The state of the connection alone. */
export function useStatus (): Snapshot['status'] {
  const store = useStore()
  return useSyncExternalStore(store.subscribe, () => store.snapshot().status, () => atFirst.status)
}

/** Sends a message to the server's handler; see the client's `send`. */
export function useSend (): Send {
  const store = useStore()
  return useCallback<Send>((type, data, options) => store.send(type, data, options), [store])
}

/** Those of the catalogue, and any other. */
type Type = (keyof Messages & string) | (string & {})

/** Calls `handler` with every message of a type, or with `'*'` with every envelope, also those that arrive together. */
export function useMessages (type: '*', handler: (envelope: Envelope) => void): void
export function useMessages<T extends Type> (type: T, handler: (data: Envelope<T>['data'], envelope: Envelope<T>) => void): void
export function useMessages (type: string, handler: (...args: any[]) => void): void {
  const store = useStore()
  const latest = useLatest(handler)
  useEffect(() => store.on(type, (...args) => latest.current(...args)), [store, type, latest])
}

/** Calls `handler` after each reconnect, and when messages were missed. To load your state then: `useReload`. */
export function useResume (handler: (resume: Resume) => void): void {
  const store = useStore()
  const latest = useLatest(handler)
  useEffect(() => store.onResume(resume => latest.current(resume)), [store, latest])
}

/**
 * Calls `load` when it is not enough to listen: once connected, and when messages were missed that the server no longer
 * has. When it fails that is reported to `onError`, and it is called again: within 0.5 to 20 s, or with the next loss.
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
  /** What is shown. Default: `['notification']`. */
  types?: readonly NotificationType[] | undefined
  /** Brings those from before, as they were sent; called as by `useReload`. In one component of a provider only. */
  load?: (() => Promise<readonly Stored[]>) | undefined
}

const onlyNotifications: readonly NotificationType[] = ['notification']
const none: readonly Notification[] = []

/** The latest 100 notifications, newest first; `markRead()` without an id marks all of them. */
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
