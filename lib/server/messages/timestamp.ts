let time = NaN
let text = ''

/** Current time, ISO 8601 UTC. Formatted once per millisecond: formatting is a large part of the cost of a small message. */
export function timestamp (): string {
  const now = Date.now()
  if (now !== time) {
    time = now
    text = new Date(now).toISOString()
  }
  return text
}
