let time = NaN
let text = ''
let second = NaN
/** Date and time of `second`, up to the point before its milliseconds. */
let prefix = ''

/**
 * Current time, ISO 8601 UTC. Formatted once per second, with milliseconds added once per millisecond: formatting is a large part of the
 * cost of a small message.
 */
export function timestamp (): string {
  const now = Date.now()
  if (now === time) return text
  const ms = now % 1_000
  if (now - ms !== second) {
    second = now - ms
    prefix = new Date(second).toISOString().slice(0, -'000Z'.length)
  }
  time = now
  text = `${prefix}${String(ms).padStart(3, '0')}Z`
  return text
}
