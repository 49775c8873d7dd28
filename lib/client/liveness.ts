import { after, now, type Timer } from './clock.js'

/** Silence after which the client pings, in intervals of the heartbeat. */
const silentHeartbeats = 1.5

/** Time for the answer to a ping, in intervals of the heartbeat. */
const unansweredHeartbeats = 0.4

/** Detects a dead connection: nothing arrived for 1.5 heartbeats, nor within 0.4 heartbeats after a ping. */
export interface ServerLiveness {
  start (heartbeat: number): void
  stop (): void
  /** Call this for each frame that arrives. */
  heard (): void
  /** Pings now. `patience`: maximum time for the answer, in ms. Default: 0.4 heartbeats, which is also the upper limit. */
  probe (patience?: number): void
}

export function liveness (ping: () => void, onDead: () => void): ServerLiveness {
  let heartbeat = 0
  let heardAt = 0
  let timer: Timer
  /** Time at which the answer to a ping is due, in ms; 0 without an unanswered ping. */
  let due = 0

  const watch = (): void => {
    clearTimeout(timer)
    const left = heartbeat * silentHeartbeats - now() + heardAt
    if (left > 0) timer = after(left, watch)
    else probe()
  }
  const probe = (patience = Infinity): void => {
    const wait = Math.min(patience, heartbeat * unansweredHeartbeats)
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
