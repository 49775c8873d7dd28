import type { Limits } from '../protocol/envelope.js'
import { after, now, type Timer } from './clock.js'

export interface Pace {
  /** Takes as many steps as are due, and the others in time. */
  run (): void
  stop (): void
  /** Of another connection: below the server's limits, also when what was written over some time arrives at once. */
  start (limits: Partial<Limits> | undefined): void
  /** The server says that it was too fast: the next step is seconds away. */
  slowDown (): void
}

/** Calls `step` no faster than the server takes messages, until it returns `false`: there is nothing to do. */
export function paced (step: () => boolean): Pace {
  let rate = 0
  let burst = 0
  let tokens = 0
  let at = 0
  let timer: Timer
  const pace: Pace = {
    run () {
      if (timer || !rate) return
      const time = now()
      tokens = Math.min(burst, tokens + (time - at) * rate)
      at = time
      for (; tokens >= 1; tokens--) if (!step()) return
      timer = after((1 - tokens) / rate, () => {
        timer = undefined
        pace.run()
      })
    },
    stop () {
      clearTimeout(timer)
      timer = undefined
    },
    start (limits) {
      rate = (limits?.rate ?? 20) * 0.75 / 1000
      burst = Math.max(1, (limits?.burst ?? 40) / 2)
      tokens = burst
    },
    slowDown () {
      tokens = -1000 * rate
    }
  }
  return pace
}
