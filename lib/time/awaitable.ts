import { types } from 'node:util'

/** A value that is there, or a promise of it. */
export type Awaitable<T> = T | Promise<T>

/** Whether an object is a promise of any library. Never throws, although reading a Proxy or a getter may. */
export function isThenable (value: unknown): value is PromiseLike<unknown> {
  try {
    return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  } catch {
    return false
  }
}

/** Result of a function of the app: a native promise for a promise of any library, otherwise the value itself. */
export function awaitableOf (returned: unknown): Awaitable<unknown> {
  // A function may be a promise as well, and `await` reads it without throwing.
  return isThenable(returned) || typeof returned === 'function' ? Promise.resolve(returned) : returned
}

/** Whether a value is a native promise. Never throws. */
export function isPromise<T> (value: Awaitable<T>): value is Promise<T> {
  return types.isPromise(value)
}

/**
 * Calls `next` with a value that is there, or when the promise of it resolves. Unlike `await`, it costs no promise and no microtask where
 * there is nothing to wait for.
 */
export function chain<T, R> (value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return isPromise(value) ? value.then(next) : next(value)
}
