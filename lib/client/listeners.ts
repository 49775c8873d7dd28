type Report = (error: unknown) => void
type Listener = (...args: any[]) => unknown

/** Listeners by event, in the order in which they were added. The same function added twice is two listeners. */
export interface Listeners {
  /** Returns what removes it. */
  add (event: string, listener: Listener): () => void
  /** Calls those of an event. What one throws, or rejects with, is reported, and the others are called all the same. */
  tell (event: string, ...args: unknown[]): void
}

export function listeners (report: Report): Listeners {
  const all = new Set<[string, Listener]>()
  return {
    add (...entry) {
      all.add(entry)
      return () => { all.delete(entry) }
    },
    tell (event, ...args) {
      for (const [of, listener] of [...all]) if (of === event) attempt(() => listener(...args), report)
    }
  }
}

/** Calls `action`. What it throws, or rejects with, goes to `report`. */
export function attempt (action: () => unknown, report: Report): void {
  try {
    const result = action() as { then?: (done: undefined, failed: Report) => unknown } | null | undefined
    result?.then?.(undefined, report)
  } catch (error) {
    report(error)
  }
}
