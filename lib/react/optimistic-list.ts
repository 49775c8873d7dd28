import { useCallback, useRef, useState } from 'react'
import { useMessages, useReload } from './hooks.js'
import { changed, isPending, listOf, type Change, type ItemIdentity, type OptimisticItem } from './optimistic.js'
import { useLatest } from './provider.js'

export interface OptimisticOptions<T> {
  /** The type of the messages that confirm and change items. With the action `deleted` they remove. */
  type: string
  idOf: (item: T) => string
  /** The `ref` of the `add` that an item came from, where it says so. Without it one may be there twice until the answer. */
  refOf: (item: T) => string | undefined
  /** What is there already. Default: nothing. */
  initial?: readonly T[] | undefined
  /** Brings what is there; called as by `useReload`. What is pushed meanwhile is not lost to it. */
  load?: (() => Promise<readonly T[]>) | undefined
}

/**
 * A list whose new items are shown at once, confirmed by the answer of `commit` or by a message, whichever comes first,
 * and taken back when `commit` fails. `commit` is given a `ref` to send along. `add` rejects when the item was taken back.
 */
export function useOptimisticList<T> ({ type, idOf, refOf, initial = [], load }: OptimisticOptions<T>): {
  items: ReadonlyArray<OptimisticItem<T>>
  add: (item: T, commit: (ref: string) => Promise<T | void>) => Promise<void>
  /** Replaces what is confirmed. What was loaded from the server goes through `load` instead: pushes may overtake it. */
  reset: (items: readonly T[]) => void
} {
  const identity = useLatest<ItemIdentity<T>>({ idOf, refOf })
  const [shown, show] = useState(() => listOf({ idOf, refOf }, initial))
  // Ahead of what is shown: whether an attempt is confirmed has to be known before the next render.
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
    // A component that was hidden meanwhile loads anew: what is pushed is kept for that load, not for this one.
    if (number === loads.current) change({ type: 'loaded', items })
  })
  const add = useCallback(async (item: T, commit: (ref: string) => Promise<T | void>) => {
    const ref = randomRef()
    change({ type: 'added', ref, item })
    try {
      const answer = await commit(ref)
      if (answer !== undefined) change({ type: 'answered', ref, item: answer as T })
    } catch (error) {
      // Confirmed by a message: then it was only the answer that got lost.
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

/** Where a page is not served over https there is no `crypto.randomUUID`. */
function randomRef (): string {
  return Math.random().toString(36).slice(2) + Math.random().toString(36).slice(2)
}
