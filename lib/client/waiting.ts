import type { after, Timer } from './clock.js'
import type { closedError, Closed, RealtimeError } from './error.js'

/** Client to wait for. */
interface AwaitedClient {
  readonly status: string
  readonly closed: Closed | undefined
  /** Reason why it is not connected. */
  readonly outage?: Error | undefined
  onStatus (listener: () => void): () => void
}

/** Parts of the client that waiting needs. They are passed, not imported, as to the code for sharing. */
export interface Parts {
  readonly after: typeof after
  readonly closedError: typeof closedError
  readonly RealtimeError: typeof RealtimeError
}

export interface ConnectedOptions {
  /** Maximum time to wait, in ms. Default: no limit. */
  timeout?: number | undefined
  /** Ends the wait when it aborts. Default: none. */
  signal?: AbortSignal | undefined
}

/**
 * Resolves once `client` is open. Rejects with a RealtimeError when it is closed first or not open within `timeout` ms, and with the
 * reason of `signal` when that aborts.
 */
export function whenOpen (
  client: AwaitedClient, { timeout, signal }: ConnectedOptions = {}, { after, closedError, RealtimeError }: Parts
): Promise<void> {
  let timer: Timer
  let look: () => void
  let unbind: () => void
  return new Promise<void>((resolve, reject) => {
    look = () => {
      if (signal?.aborted) reject(signal.reason)
      else if (client.closed) reject(closedError(client.closed))
      else if (client.status === 'open') resolve()
    }
    unbind = client.onStatus(look)
    signal?.addEventListener('abort', look)
    if (timeout! >= 0) {
      timer = after(timeout!, () => reject(new RealtimeError('timeout', `no connection in ${timeout} ms: ${client.outage?.message}`)))
    }
    look()
  }).finally(() => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', look)
    unbind()
  })
}
