/** An item of an optimistic list. */
export interface OptimisticItem<T> {
  /** React's `key`: stays the same when the item is confirmed. */
  readonly key: string
  /** Id of the item; `undefined` until it is confirmed. */
  readonly id: string | undefined
  readonly item: T
  /** Whether the item is not confirmed yet. */
  readonly isPending: boolean
}

/**
 * Change of a list. `pushed` and `removed` come from messages, `added`, `answered` and `failed` from requests, `loading` and `loaded`
 * from loads, and `reset` from the app.
 */
export type Change<T> =
  | { type: 'added', ref: string, item: T }
  | { type: 'answered', ref: string, item: T }
  | { type: 'failed', ref: string }
  | { type: 'pushed', ref: string | undefined, item: T }
  | { type: 'removed', id: string }
  | { type: 'loading' }
  | { type: 'loaded', items: readonly T[] }
  | { type: 'reset', items: readonly T[] }

type Items<T> = ReadonlyArray<OptimisticItem<T>>

export interface List<T> {
  readonly items: Items<T>
  readonly isLoading: boolean
  /**
   * Items of the messages that arrived during a request or a load, by id; `undefined` for a removal. They are newer than the answer.
   * Empty without a request or a load.
   */
  readonly pushed: ReadonlyMap<string, T | undefined>
  /** Ids of items that were removed while others are pending: an answer may still contain a removed item, even after a load. */
  readonly removed: ReadonlySet<string>
}

/** How an item is recognised. */
export interface ItemIdentity<T> {
  idOf: (item: T) => string
  /** Returns the `ref` of the `add` that an item came from, if it has one. */
  refOf: (item: T) => string | undefined
}

const nothing: ReadonlyMap<string, any> = new Map()
const none: ReadonlySet<string> = new Set()

export function listOf<T> ({ idOf }: ItemIdentity<T>, items: readonly T[]): List<T> {
  const byId = new Map(items.map(item => [idOf(item), item]))
  return { items: [...byId].map(([id, item]) => confirmed(id, id, item)), isLoading: false, pushed: nothing, removed: none }
}

/**
 * Returns the list after a change. Answers, messages and loads confirm an item, in any order. The item is in the list once, and an older
 * answer never replaces newer content.
 */
export function changed<T> (identity: ItemIdentity<T>, list: List<T>, change: Change<T>): List<T> {
  const next = apply(identity, list, change)
  if (next.items.some(({ isPending }) => isPending)) return next
  return { ...next, pushed: next.isLoading ? next.pushed : nothing, removed: none }
}

/** Whether an added item is neither confirmed nor removed. */
export function isPending<T> ({ items }: List<T>, ref: string): boolean {
  return items.some(each => each.isPending && each.key === ref)
}

function apply<T> (identity: ItemIdentity<T>, list: List<T>, change: Change<T>): List<T> {
  const { items, pushed, removed } = list
  switch (change.type) {
    case 'added': return { ...list, items: [...items, { key: change.ref, id: undefined, item: change.item, isPending: true }] }
    case 'failed': return { ...list, items: withoutPending(items, change.ref) }
    case 'removed': return {
      ...list,
      items: items.filter(({ id }) => id !== change.id),
      pushed: new Map([...pushed, [change.id, undefined]]),
      removed: new Set([...removed, change.id])
    }
    case 'pushed': {
      const id = identity.idOf(change.item)
      return { ...list, items: put(items, id, change.item, change.ref), pushed: new Map([...pushed, [id, change.item]]) }
    }
    case 'answered': {
      if (!isPending(list, change.ref)) return list
      const id = identity.idOf(change.item)
      const isKnown = pushed.has(id) || removed.has(id) || items.some(each => each.id === id)
      return { ...list, items: isKnown ? withoutPending(items, change.ref) : put(items, id, change.item, change.ref) }
    }
    // Messages from before the load may be older than its result.
    case 'loading': return { ...list, isLoading: true, pushed: nothing }
    case 'loaded': return { ...list, items: reloaded(identity, items, pushed, change.items), isLoading: false }
    // A load in progress still needs the messages that have arrived since it began.
    case 'reset': return { ...list, items: reloaded(identity, items, nothing, change.items), pushed: list.isLoading ? pushed : nothing }
  }
}

function confirmed<T> (key: string, id: string, item: T): OptimisticItem<T> {
  return { key, id, item, isPending: false }
}

function withoutPending<T> (items: Items<T>, ref: string | undefined): Items<T> {
  return items.filter(each => !each.isPending || each.key !== ref)
}

/** Puts an item in its place, or else in the place of its pending item, or else at the end. */
function put<T> (items: Items<T>, id: string, item: T, ref: string | undefined): Items<T> {
  const attempt = items.find(each => each.isPending && each.key === ref)
  const place = items.find(each => each.id === id) ?? attempt
  if (place === undefined) return [...items, confirmed(id, id, item)]
  return items.flatMap(each => {
    if (each === place) return [confirmed(each.key, id, item)]
    return each === attempt ? [] : [each]
  })
}

function reloaded<T> ({ idOf, refOf }: ItemIdentity<T>, items: Items<T>, pushed: List<T>['pushed'], loaded: readonly T[]): Items<T> {
  const known = new Map(items.map(each => [each.id ?? each.key, each]))
  const byId = new Map(loaded.map(item => [idOf(item), item]))
  for (const [id, item] of pushed) {
    if (item === undefined) byId.delete(id)
    else byId.set(id, item)
  }
  const keyOf = (id: string, item: T) => known.get(id)?.key ?? known.get(refOf(item) ?? id)?.key ?? id
  const refs = new Set([...byId.values()].map(refOf))
  const stillPending = items.filter(each => each.isPending && !refs.has(each.key))
  return [...[...byId].map(([id, item]) => confirmed(keyOf(id, item), id, item)), ...stillPending]
}
