type Report = (error: unknown) => void
type Listener = (...args: any[]) => unknown

/** Listeners by event, called in the order in which they were added. A function that is added twice is called twice. */
export interface Listeners {
  /** Adds a listener. Returns a function that removes it. */
  add (event: string, listener: Listener): () => void
  /** Calls the listeners of an event. An error or rejection of one is reported and does not affect the others. */
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

/** Returns what `action` returns; `undefined` when it throws. Passes its error or rejection to `report`. */
export function attempt<T> (action: () => T, report: Report): T | undefined {
  try {
    const result = action()
    const promised = result as { then?: (done: undefined, failed: Report) => unknown } | null | undefined
    promised?.then?.(undefined, report)
    return result
  } catch (error) {
    report(error)
  }
}
