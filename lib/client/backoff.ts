/** Milliseconds to wait before an attempt to connect; `attempt` counts from 0 since the last connection that held. */
export type Backoff = (attempt: number) => number

/** The unit, in ms. */
const half = 500

/**
 * Full jitter: anywhere between nothing and a bound that doubles from 0.5 s to 8 s, then between 4.5 and 9 s. So clients which lost their
 * server together do not come back together, and once it is there again each has asked for it within 9 s.
 */
export const fullJitter: Backoff = attempt => half * (attempt < 5 ? Math.random() * 2 ** attempt : 9 + Math.random() * 9)
