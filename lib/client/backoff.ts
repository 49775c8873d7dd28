/** Milliseconds to wait before an attempt to connect; `attempt` counts from 0 since the last connection that held. */
export type Backoff = (attempt: number) => number

const first = 500
const most = 20_000

/**
 * Full jitter: anywhere between nothing and a bound that doubles from 0.5 s to 20 s, so that clients which lost their
 * server together do not come back together.
 */
export const fullJitter: Backoff = attempt => Math.random() * Math.min(most, first * 2 ** attempt)
