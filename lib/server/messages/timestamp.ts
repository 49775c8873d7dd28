let time = NaN
let text = ''

/** The time as ISO 8601 UTC. Written once per millisecond: of the cost of a small message it is a good part. */
export function timestamp (): string {
  const now = Date.now()
  if (now !== time) {
    time = now
    text = new Date(now).toISOString()
  }
  return text
}
