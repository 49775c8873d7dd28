/** Whether `holds` is true for every item. False for an empty list, about which nothing can be asserted. */
export function every<T> (items: readonly T[], holds: (item: T, at: number) => boolean): boolean {
  return items.length > 0 && items.every(holds)
}

/** Items for which `is` holds. Throws for an empty list: that nothing is found in it says nothing. */
export function found<T> (items: readonly T[], is: (item: T) => unknown): T[] {
  if (items.length === 0) throw new Error('nothing can be found in an empty list')
  return items.filter(is)
}
