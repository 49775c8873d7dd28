/** Whether something holds of every item, and there is one: of an empty list nothing can be asserted. */
export function every<T> (items: readonly T[], holds: (item: T, at: number) => boolean): boolean {
  return items.length > 0 && items.every(holds)
}
