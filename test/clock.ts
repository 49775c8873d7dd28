import type { Test } from 'tap'
import { LoopClock } from '../lib/time/loop-clock.js'
import type { Timers } from '../lib/time/timers.js'

/** Time at which clocks of tests start, in ms. A real clock is never 0, which code may take for 'no time yet'. */
export const clockStart = 1_000_000

export interface Planned {
  at: number
  action: () => void
}

/** A clock that the test moves, and timers on it. */
export function movedClock (t: Pick<Test, 'teardown'>) {
  let now = clockStart
  const planned = new Set<Planned>()
  const clock = new LoopClock(() => now)
  t.teardown(() => clock.close())
  const timers = {
    after (ms: number, action: () => void) {
      const plan = { at: now + ms, action }
      planned.add(plan)
      return () => { planned.delete(plan) }
    }
  } as unknown as Timers
  return {
    clock,
    timers,
    planned,
    /** Lets time pass in steps of 1 ms, as if the event loop were never late. */
    pass (ms: number) {
      for (const end = now + ms; now < end;) {
        now = Math.min(end, now + 1)
        clock.look()
        for (const plan of [...planned]) {
          if (plan.at > now) continue
          planned.delete(plan)
          plan.action()
        }
      }
    }
  }
}
