/** Whether `holds` is true for every item. False for an empty list, about which nothing can be asserted. */
export function every<T> (items: readonly T[], holds: (item: T, at: number) => boolean): boolean {
  return items.length > 0 && items.every(holds)
}
