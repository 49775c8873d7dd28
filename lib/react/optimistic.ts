/** An item of an optimistic list. */
export interface OptimisticItem<T> {
  /** Of the item, or until it is confirmed, of the attempt to add it. */
  readonly key: string
  readonly item: T
  /** It is shown, and not confirmed yet. */
  readonly isPending: boolean
}

export type Change<T> =
  | { type: 'reset', items: readonly T[] }
  | { type: 'add', ref: string, item: T }
  | { type: 'confirm', ref: string | undefined, item: T }
  | { type: 'fail', ref: string }
  | { type: 'remove', id: string }

interface State<T> {
  readonly items: ReadonlyArray<OptimisticItem<T>>
}

/**
 * The list after a change. A confirmation may come twice and in any order, as the answer to a request and as a message:
 * an item is there once, under its id.
 */
export function reduce<T> (idOf: (item: T) => string, { items }: State<T>, change: Change<T>): State<T> {
  switch (change.type) {
    case 'reset': {
      const ids = new Set(change.items.map(idOf))
      const pending = items.filter(each => each.isPending && !ids.has(each.key))
      return { items: [...change.items.map(item => ({ key: idOf(item), item, isPending: false })), ...pending] }
    }
    case 'add': return { items: [...items, { key: change.ref, item: change.item, isPending: true }] }
    case 'fail': return { items: items.filter(each => !(each.isPending && each.key === change.ref)) }
    case 'remove': return { items: items.filter(each => each.isPending || each.key !== change.id) }
    case 'confirm': {
      const confirmed = { key: idOf(change.item), item: change.item, isPending: false }
      const isPlaceOf = (each: OptimisticItem<T>) => each.isPending ? each.key === change.ref : each.key === confirmed.key
      const at = items.findIndex(isPlaceOf)
      const others = items.filter(each => !isPlaceOf(each))
      return { items: at === -1 ? [...items, confirmed] : [...others.slice(0, at), confirmed, ...others.slice(at)] }
    }
  }
}
