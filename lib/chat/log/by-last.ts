/** An item of the list: when it last changed, and its neighbours, which only the list touches. */
interface Linked<T> {
  readonly last: number
  previous?: T
  next?: T
}

/**
 * Items in the order of their latest change, as a doubly linked list: moving an item takes constant time, and whoever looks for
 * what changed lately begins at `newest` and follows `previous`.
 */
export class ByLast<T extends Linked<T>> {
  newest: T | undefined

  /** Puts an item last, whether or not it is in the list. */
  moveToEnd (item: T): void {
    if (this.newest === item) return
    this.delete(item)
    item.previous = this.newest
    if (this.newest !== undefined) this.newest.next = item
    this.newest = item
  }

  /** Does nothing for an item that is not in the list. */
  delete (item: T): void {
    const { previous, next } = item
    if (previous !== undefined) previous.next = next
    if (next !== undefined) next.previous = previous
    else if (this.newest === item) this.newest = previous
    item.previous = item.next = undefined
  }

  clear (): void {
    this.newest = undefined
  }
}
