import { useCallback, useRef, useState } from 'react'
import { useMessages, useReload } from './hooks.js'
import { changed, isPending, listOf, type Change, type ItemIdentity, type OptimisticItem } from './optimistic.js'
import { useLatest } from './provider.js'

export interface OptimisticOptions<T> {
  /** Type of the messages that confirm and change items. Messages with the action `deleted` remove items. */
  type: string
  idOf: (item: T) => string
  /** Returns the `ref` of the `add` that an item came from, if it has one. Without it, an item may be shown twice until the answer. */
  refOf: (item: T) => string | undefined
  /** Items to begin with. Default: none. */
  initial?: readonly T[] | undefined
  /** Returns all items. Called like `load` of `useReload`. Messages that arrive meanwhile are applied to the result. Default: none. */
  load?: (() => Promise<readonly T[]>) | undefined
}

/**
 * A list that shows new items at once. The answer of `commit` or a message, whichever comes first, confirms an item. An item is removed
 * when `commit` fails. `commit` gets a `ref` to send with the request. `add` rejects with the error of `commit` when the item was removed.
 */
export function useOptimisticList<T> ({ type, idOf, refOf, initial = [], load }: OptimisticOptions<T>): {
  items: ReadonlyArray<OptimisticItem<T>>
  add: (item: T, commit: (ref: string) => Promise<T | void>) => Promise<void>
  /** Replaces the confirmed items. Use `load` for items from the server, because messages may overtake their response. */
  reset: (items: readonly T[]) => void
} {
  const identity = useLatest<ItemIdentity<T>>({ idOf, refOf })
  const [shown, show] = useState(() => listOf({ idOf, refOf }, initial))
  // Newer than `shown`: whether an attempt is confirmed must be known before the next render.
  const list = useRef(shown)
  const loads = useRef(0)
  const change = useCallback((change: Change<T>) => {
    list.current = changed(identity.current, list.current, change)
    show(list.current)
  }, [identity])

  useMessages(type, (data, { action }) => {
    const item = data as T
    change(action === 'deleted' ? { type: 'removed', id: idOf(item) } : { type: 'pushed', ref: refOf(item), item })
  })
  useReload(async () => {
    if (load === undefined) return
    const number = ++loads.current
    change({ type: 'loading' })
    const items = await load()
    // A component that was hidden meanwhile loads again, and `pushed` belongs to that load.
    if (number === loads.current) change({ type: 'loaded', items })
  })
  const add = useCallback(async (item: T, commit: (ref: string) => Promise<T | void>) => {
    const ref = randomRef()
    change({ type: 'added', ref, item })
    try {
      const answer = await commit(ref)
      if (answer !== undefined) change({ type: 'answered', ref, item: answer as T })
    } catch (error) {
      // A message has confirmed the item, so only the answer was lost.
      if (!isPending(list.current, ref)) return
      change({ type: 'failed', ref })
      throw error
    }
  }, [change])
  const reset = useCallback((items: readonly T[]) => {
    change({ type: 'reset', items })
  }, [change])
  return { items: shown.items, add, reset }
}

/** Random text. Pages without https have no `crypto.randomUUID`. */
function randomRef (): string {
  return Math.random().toString(36).slice(2) + Math.random().toString(36).slice(2)
}
