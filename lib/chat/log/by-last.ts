/** Item of the list: its latest change, and its neighbours, which only the list modifies. */
interface Linked<T> {
  readonly last: number
  previous?: T
  next?: T
}

/**
 * Items in the order of their latest change, as a doubly linked list. Moving an item takes constant time. To visit the items from
 * the latest change backwards, begin at `newest` and follow `previous`.
 */
export class ByLast<T extends Linked<T>> {
  newest: T | undefined

  /** Makes an item the newest one; adds it if it is not in the list. */
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
