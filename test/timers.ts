import { Timers } from '../lib/time/timers.js'

/** Counts the actions that wait for the wall clock, such as the end of a credential. */
export function wallClockTimers (t: { teardown (action: () => void): void }): { waiting: number } {
  const { at } = Timers.prototype
  const counted = { waiting: 0 }
  Timers.prototype.at = function (time, action) {
    let isWaiting = true
    const end = () => {
      if (isWaiting) counted.waiting--
      isWaiting = false
    }
    counted.waiting++
    const cancel = at.call(this, time, () => {
      end()
      action()
    })
    return () => {
      end()
      cancel()
    }
  }
  t.teardown(() => { Timers.prototype.at = at })
  return counted
}
