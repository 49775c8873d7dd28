import type { Envelope } from '../protocol/envelope.js'
import { RealtimeError, type Closed } from './error.js'

/** Maximum number of envelopes that wait for a `for await` loop. */
const mostWaiting = 10_000

/** Client to read from. */
interface IteratedClient {
  readonly closed: Closed | undefined
  on (type: '*', listener: (envelope: Envelope) => void): () => void
  onStatus (listener: () => void): () => void
}

/** Iterates over the envelopes from now on, until `client` is closed. Throws a RealtimeError when over 10,000 wait for the loop. */
export function envelopesOf (client: IteratedClient): AsyncGenerator<Envelope, void, undefined> {
  const waiting: Envelope[] = []
  let wake = () => {}
  const unbind = client.on('*', envelope => {
    if (waiting.length <= mostWaiting) waiting.push(envelope)
    wake()
  })
  const unbindStatus = client.onStatus(() => wake())
  return (async function * () {
    try {
      for (;;) {
        if (waiting.length > mostWaiting) throw new RealtimeError('too_slow', `${mostWaiting} messages wait`)
        const envelope = waiting.shift()
        if (envelope) yield envelope
        else if (client.closed) return
        else await new Promise<void>(resolve => { wake = resolve })
      }
    } finally {
      unbind()
      unbindStatus()
    }
  })()
}
