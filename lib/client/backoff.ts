import { attempt } from './listeners.js'

/** Returns the delay before a reconnect, in ms. `attempt` counts from 0 since the last connection that lasted 5 s. */
export type Backoff = (attempt: number) => number

/**
 * Full jitter: a random delay from 0 to a bound that doubles from 0.5 s to 8 s, then a random delay from 4.5 to 9 s. Clients that lost
 * their server together reconnect at different times, and each of them within 9 s after the server is back.
 */
export const fullJitter: Backoff = attempt => (attempt < 5 ? Math.random() * 2 ** attempt : 9 + Math.random() * 9) * 500

/** Returns the delay of the app's `backoff`, in ms. Without one, and when it throws or returns no delay, that of `fullJitter`. */
export function delayAfter (attempts: number, backoff: Backoff | undefined, report: (error: unknown) => void): number {
  const delay = attempt(() => backoff?.(attempts), report)
  return delay! >= 0 ? delay! : fullJitter(attempts)
}
