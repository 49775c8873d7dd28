/** An item of an optimistic list. */
export interface OptimisticItem<T> {
  /** The same from the attempt to add it on: React's `key`. */
  readonly key: string
  /** Of the item; not known until it is confirmed. */
  readonly id: string | undefined
  readonly item: T
  /** It is shown, and not confirmed yet. */
  readonly isPending: boolean
}

/**
 * What happens to a list. `pushed` and `removed` are messages; `answered` and `failed` end a request, `loaded` a load;
 * `reset` is neither.
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
   * What messages said, by id, while an answer was on its way, `undefined` for a removal: they are newer than the answer.
   * Empty when nothing is asked for.
   */
  readonly pushed: ReadonlyMap<string, T | undefined>
  /** The ids of what was removed while something is pending: its answer may still say that one is there, after any load. */
  readonly removed: ReadonlySet<string>
}

/** How an item is recognised. */
export interface ItemIdentity<T> {
  idOf: (item: T) => string
  /** Of the `add` that the item came from, where it says so. */
  refOf: (item: T) => string | undefined
}

const nothing: ReadonlyMap<string, any> = new Map()
const none: ReadonlySet<string> = new Set()

export function listOf<T> ({ idOf }: ItemIdentity<T>, items: readonly T[]): List<T> {
  const byId = new Map(items.map(item => [idOf(item), item]))
  return { items: [...byId].map(([id, item]) => confirmed(id, id, item)), isLoading: false, pushed: nothing, removed: none }
}

/**
 * The list after a change. An item is confirmed by the answer to a request and by a message, in any order, and by what is
 * loaded: it is there once, and never goes back to what an older answer says of it.
 */
export function changed<T> (identity: ItemIdentity<T>, list: List<T>, change: Change<T>): List<T> {
  const next = apply(identity, list, change)
  if (next.items.some(({ isPending }) => isPending)) return next
  return { ...next, pushed: next.isLoading ? next.pushed : nothing, removed: none }
}

/** Whether the attempt to add an item is neither confirmed nor taken back. */
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
    // What came before a gap may be older than what is loaded after it.
    case 'loading': return { ...list, isLoading: true, pushed: nothing }
    case 'loaded': return { ...list, items: reloaded(identity, items, pushed, change.items), isLoading: false }
    // A load that is under way still has to be corrected by what was pushed since it began.
    case 'reset': return { ...list, items: reloaded(identity, items, nothing, change.items), pushed: list.isLoading ? pushed : nothing }
  }
}

function confirmed<T> (key: string, id: string, item: T): OptimisticItem<T> {
  return { key, id, item, isPending: false }
}

function withoutPending<T> (items: Items<T>, ref: string | undefined): Items<T> {
  return items.filter(each => !each.isPending || each.key !== ref)
}

/** In its own place, else in that of the attempt to add it, else at the end. */
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
