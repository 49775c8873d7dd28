export interface WithinOptions {
  /** Calls an action after a number of ms, unless the returned function is called before. Default: a timer of its own. */
  after?: (ms: number, action: () => void) => () => void
  /** Creates the error of a timeout. Default: a TimeoutError. */
  late?: () => Error
}

export class TimeoutError extends Error {}

/** Settles like `work`, or rejects after `ms` milliseconds. The work itself continues. */
export function within<T> (ms: number, work: PromiseLike<T>, options: WithinOptions = {}): Promise<T> {
  const { after = timeout, late = () => new TimeoutError(`not done within ${ms} ms`) } = options
  return new Promise((resolve, reject) => {
    const working = Promise.resolve(work)
    const cancel = after(ms, () => reject(late()))
    working.then(value => {
      cancel()
      resolve(value)
    }, error => {
      cancel()
      reject(error)
    })
  })
}

function timeout (ms: number, action: () => void): () => void {
  const timer = setTimeout(action, ms)
  return () => clearTimeout(timer)
}
