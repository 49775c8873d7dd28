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

/** Whether a value of this package is a promise. */
export function isPromise<T> (value: Awaitable<T>): value is Promise<T> {
  return value instanceof Promise
}

/**
 * Calls `next` with a value that is there, or when the promise of it resolves. Unlike `await`, it costs no promise and no microtask where
 * there is nothing to wait for.
 */
export function chain<T, R> (value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return isPromise(value) ? value.then(next) : next(value)
}

/** Like `chain`, with the result of a function of the app: any value, or a promise of any library. */
export function chainResult<R> (returned: unknown, next: (value: unknown) => Awaitable<R>): Awaitable<R> {
  // A function may be a promise as well, and `then` is then read without a throw.
  return isThenable(returned) || typeof returned === 'function' ? Promise.resolve(returned).then(next) : next(returned)
}
