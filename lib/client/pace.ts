import type { Limits } from '../protocol/envelope.js'
import { after, now, type Timer } from './clock.js'

export interface Pace {
  /** Takes the steps that are due, and schedules the others. */
  run (): void
  /** Takes no more steps until `start`. */
  stop (): void
  /** Begins a connection, at a pace below the limits of the server: frames that were written one by one may arrive together. */
  start (limits: Partial<Limits> | undefined): void
  /** The server reported that messages came too fast: delays the next step by about 1 s. */
  slowDown (): void
}

/** Calls `step` no faster than the server accepts messages, until it returns `false` because nothing is left to do. */
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
      timer = clearTimeout(timer) as undefined
      rate = 0
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
