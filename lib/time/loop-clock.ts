/** Interval between two checks of the clock, in ms. */
const lookEvery = 100

/** Delay of a check, in ms, above which the event loop counts as late. */
const tolerance = 10

/** Time a delay is remembered, in ms. */
const memory = 10_000

interface Delay {
  /** When it ended, on the clock. */
  readonly at: number
  readonly ms: number
}

/** Monotonic clock that measures delays of the event loop: frames that arrive during a delay are read afterwards, all at once. */
export class LoopClock {
  readonly #now: () => number
  readonly #timer: NodeJS.Timeout
  #delays: Delay[] = []
  #lookedAt: number

  /** `now`: monotonic clock, in ms. */
  constructor (now = () => performance.now()) {
    this.#now = now
    this.#lookedAt = now()
    this.#timer = setInterval(() => this.look(), lookEvery).unref()
  }

  now (): number {
    return this.#now()
  }

  /** Time in ms, of the time since `time` and at most of the last 10 s, during which the event loop was late. */
  lateSince (time: number): number {
    const now = this.#now()
    let late = Math.min(this.#lateAt(now), now - time)
    for (const { at, ms } of this.#delays) if (at > time && now - at < memory) late += Math.min(ms, at - time)
    return Math.min(late, memory)
  }

  /** Records whether the event loop is late now. Called by the clock's own timer. */
  look (): void {
    const now = this.#now()
    const ms = this.#lateAt(now)
    this.#lookedAt = now
    if (this.#delays.length > 0) this.#delays = this.#delays.filter(({ at }) => now - at < memory)
    if (ms > 0) this.#delays.push({ at: now, ms })
  }

  close (): void {
    clearInterval(this.#timer)
  }

  #lateAt (now: number): number {
    const late = now - this.#lookedAt - lookEvery
    return late > tolerance ? late : 0
  }
}
