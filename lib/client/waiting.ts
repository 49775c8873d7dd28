import type { Envelope } from '../protocol/envelope.js'
import { after, type Timer } from './clock.js'
import { closedError, RealtimeError, type Closed } from './error.js'

/** Maximum number of envelopes that wait for a `for await` loop. */
const mostWaiting = 10_000

/** Client to wait for. */
interface Source {
  readonly status: string
  readonly closed: Closed | undefined
  /** Reason why it is not connected. */
  readonly outage?: Error | undefined
  on (type: '*', listener: (envelope: Envelope) => void): () => void
  onStatus (listener: () => void): () => void
}

export interface ConnectedOptions {
  /** Maximum time to wait, in ms. Default: no limit. */
  timeout?: number | undefined
  /** Ends the wait when it aborts. Default: none. */
  signal?: AbortSignal | undefined
}

/**
 * Resolves once `source` is open. Rejects with a RealtimeError when it is closed first or not open within `timeout` ms, and with the
 * reason of `signal` when that aborts.
 */
export function whenOpen (source: Source, { timeout, signal }: ConnectedOptions = {}): Promise<void> {
  let timer: Timer
  let look: () => void
  let unbind: () => void
  return new Promise<void>((resolve, reject) => {
    look = () => {
      if (signal?.aborted) reject(signal.reason)
      else if (source.closed) reject(closedError(source.closed))
      else if (source.status === 'open') resolve()
    }
    unbind = source.onStatus(look)
    signal?.addEventListener('abort', look)
    if (timeout! >= 0) {
      timer = after(timeout!, () => reject(new RealtimeError('timeout', `no connection in ${timeout} ms: ${source.outage?.message}`)))
    }
    look()
  }).finally(() => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', look)
    unbind()
  })
}

/** Iterates over the envelopes from now on, until `source` is closed. Throws a RealtimeError when over 10,000 wait for the loop. */
export function envelopesOf (source: Source): AsyncGenerator<Envelope, void, undefined> {
  const waiting: Envelope[] = []
  let wake = () => {}
  const unbind = source.on('*', envelope => {
    if (waiting.length <= mostWaiting) waiting.push(envelope)
    wake()
  })
  const unbindStatus = source.onStatus(() => wake())
  return (async function * () {
    try {
      for (;;) {
        if (waiting.length > mostWaiting) throw new RealtimeError('too_slow', `${mostWaiting} messages wait`)
        const envelope = waiting.shift()
        if (envelope) yield envelope
        else if (source.closed) return
        else await new Promise<void>(resolve => { wake = resolve })
      }
    } finally {
      unbind()
      unbindStatus()
    }
  })()
}
