import { now } from './waiting.js'

/** Interval of the measurements in ms, and how much later than that one may be before it counts as late. */
const every = 20
const tolerance = 5

let missed = 0
let measuredAt = now()

const late = () => Math.max(0, now() - measuredAt - every - tolerance)

setInterval(() => {
  missed += late()
  measuredAt = now()
}, every).unref()

/** A monotonic clock in ms that stands still while the event loop is late: what a timer promises is measured without the machine's load. */
export function loopTime (): number {
  return now() - missed - late()
}
