// The originals, before a test mocks them, because the limit of a wait is in real time.
const { setImmediate, setTimeout, clearTimeout } = globalThis

/** Number of turns of the event loop in which `eventually` checks its condition. */
const checkedTurns = 200

/** Default limit of a wait, in ms: programs start slowly beside other tests. Below the limit of a file, so that the wait fails first. */
export const patience = 90_000

/** Milliseconds on a monotonic clock, also when a test mocks `performance.now`. */
export const now = performance.now.bind(performance)

/** Calls `action` after `ms` unless the returned function is called before. Does not keep the process running. */
export function alarm (ms: number, action: () => void): () => void {
  const timer = setTimeout(action, ms).unref() // A limit.
  return () => clearTimeout(timer)
}

/** The outcome of a promise. Rejects after `ms` with an error that contains `what`. */
export async function within<T> (promise: Promise<T>, what: string, ms = patience): Promise<T> {
  let cancel = () => {}
  const late = new Promise<never>((_resolve, reject) => {
    cancel = alarm(ms, () => reject(new Error(`waited ${ms} ms for ${what}`)))
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    cancel()
  }
}

/**
 * Resolves when the timers of at most 1 ms that are set by now have fired, and the promises that they resolved have been
 * followed. Node fires timers of the same time in the order in which they were set, so an action that was deferred with
 * `setTimeout(…, 0)` has run by then.
 */
export function timersDue (): Promise<void> {
  // The 1 ms is the time of those timers.
  return new Promise(resolve => { setTimeout(resolve, 1) })
}

/**
 * Resolves when the event loop has turned several times. Before it is asserted that something has not happened, because promises and writes
 * that follow each other take more than one turn.
 */
export async function loopTurns (count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>(resolve => { setImmediate(resolve) })
}

/**
 * Resolves when a condition holds, and rejects after `ms`. Checks it in every turn of the event loop, and after 200 turns every
 * 5 ms, so that waiting leaves the CPU to the processes that are waited for.
 */
export async function eventually (holds: () => boolean | Promise<boolean>, ms = patience): Promise<void> {
  const end = now() + ms
  for (let turns = 1; !await holds(); turns++) {
    if (now() > end) throw new Error(`did not come true within ${ms} ms: ${holds}`)
    await new Promise<void>(resolve => {
      if (turns < checkedTurns) setImmediate(resolve)
      else setTimeout(resolve, 5) // The time between two checks.
    })
  }
}

/** A promise that the test resolves: hooks wait for it. */
export function gate<T = void> (): { opened: Promise<T>, open (value: T): void } {
  let open!: (value: T) => void
  const opened = new Promise<T>(resolve => { open = resolve })
  return { opened, open }
}
