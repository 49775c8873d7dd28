import { caught, write, type LogOf } from '../reports/caught.js'

/** Called with the reason of a rejection that the app does not handle. */
export type OnUnheard = (error: unknown) => void

/**
 * A promise that knows whether a handler is attached to it: `await` and the methods of promises call `then` of a subclass. `then` returns
 * a plain promise, whose rejection the app has to handle.
 */
class Watched<T> extends Promise<T> {
  isAttached = false

  static override get [Symbol.species] (): PromiseConstructor {
    return Promise
  }

  override then<A = T, B = never> (
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    this.isAttached = true
    return super.then(onFulfilled, onRejected)
  }

  /** Call before it rejects. Keeps an unhandled rejection from ending the process, and reports it in the next turn. */
  expectRejection (error: unknown, onUnheard: OnUnheard): void {
    super.then(undefined, () => {})
    setImmediate(() => { if (!this.isAttached) onUnheard(error) })
  }
}

/** A promise that `begin` settles. A rejection is reported if it has no handler in the next turn of the event loop. */
export function watched<T> (begin: (resolve: (value: T) => void, reject: OnUnheard) => void, onUnheard: OnUnheard): Promise<T> {
  let settle!: { resolve: (value: T) => void, reject: OnUnheard }
  const promise = new Watched<T>((resolve, reject) => { settle = { resolve, reject } })
  begin(settle.resolve, error => {
    promise.expectRejection(error, onUnheard)
    settle.reject(error)
  })
  return promise
}

/** Runs `work` like an async function, and reports a rejection without a handler. A synchronous result costs one plain promise. */
export function guarded<T> (work: () => T | Promise<T>, onUnheard: OnUnheard): Promise<T> {
  try {
    const result = work()
    if (result instanceof Watched) return result
    if (!(result instanceof Promise)) return Promise.resolve(result)
    return watched((resolve, reject) => { result.then(resolve, reject) }, onUnheard)
  } catch (error) {
    return watched((_resolve, reject) => reject(error), onUnheard)
  }
}

/** Returns a function that logs a rejection at `warn`, with its code. */
export function warnOf (log: LogOf<'warn'>, what: string): OnUnheard {
  return thrown => {
    const error = caught(thrown)
    write(log, 'warn', { code: error.code, err: error }, `${what}, and nothing handles the rejection: ${error.message}. Await the promise, or attach a catch`)
  }
}
