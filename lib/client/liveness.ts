import { after, now, type Timer } from './clock.js'

/** In heartbeats: silence after which the server is pinged, and the wait for its answer. */
const enum Heartbeats { silent = 1.5, unanswered = 0.4 }

/** Finds out that a connection is dead: nothing was received for one and a half heartbeats, nor after a ping. */
export interface ServerLiveness {
  start (heartbeat: number): void
  stop (): void
  /** Something was received. */
  heard (): void
  /** Pings now. `patience`: for the answer, in ms, where somebody waits for it. */
  probe (patience?: number): void
}

export function liveness (ping: () => void, onDead: () => void): ServerLiveness {
  let heartbeat = 0
  let heardAt = 0
  let timer: Timer
  /** When the answer to a ping is due; 0 when none is awaited. */
  let due = 0

  const watch = (): void => {
    clearTimeout(timer)
    const left = heartbeat * Heartbeats.silent - now() + heardAt
    if (left > 0) timer = after(left, watch)
    else probe()
  }
  const probe = (patience = Infinity): void => {
    const wait = Math.min(patience, heartbeat * Heartbeats.unanswered)
    const isPinged = due > 0
    if (isPinged && due <= now() + wait) return
    clearTimeout(timer)
    due = now() + wait
    if (!isPinged) ping()
    timer = after(wait, () => due > 0 ? onDead() : watch())
  }
  return {
    probe,
    start (interval) {
      heartbeat = interval
      watch()
    },
    stop () {
      clearTimeout(timer)
      due = 0
    },
    heard () {
      heardAt = now()
      due = 0
    }
  }
}
