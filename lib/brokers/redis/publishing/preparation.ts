import type { RedisLink } from '../link/link.js'
import { RedisClock } from '../clock.js'
import { within } from '../../../time/within.js'

/** Maximum time that publications wait for preparations, in ms. */
const preparedWithin = 500

/** Interval at which the time of Redis is requested while a start waits for it, in ms. */
const askEvery = 50

/** Preparations before anything is sent: Redis's clock, and what `prepare` does each time Redis is connected. */
export class Preparation {
  readonly clock: RedisClock
  readonly #link: RedisLink
  readonly #prepare: () => Promise<unknown>
  /** Called when publications can be sent. */
  readonly #onPrepared: () => void
  #preparing: Promise<unknown> | undefined
  #onClock = () => {}

  constructor (link: RedisLink, prepare: () => Promise<unknown>, onPrepared: () => void) {
    this.clock = new RedisClock(link.isCluster)
    this.#link = link
    this.#prepare = prepare
    this.#onPrepared = onPrepared
    link.client.on('ready', this.#onReady)
    if (link.isReady) this.#onReady()
  }

  readonly #onReady = (): void => {
    this.clock.forget()
    this.askTime()
    const preparing = this.#preparing = this.#prepare()
    const done = () => {
      if (this.#preparing === preparing) this.#preparing = undefined
      this.#onPrepared()
    }
    within(preparedWithin, preparing).then(done, done)
  }

  get isDone (): boolean {
    return this.#preparing === undefined && this.#link.isReady && this.clock.at(0) !== undefined
  }

  /** Learns Redis's clock: without it there is no deadline, and nothing is sent. Without an answer, callers ask again. */
  async askTime (): Promise<void> {
    const sent = performance.now()
    try {
      const [seconds, micros] = await this.#link.ask('TIME', this.#link.client.time()) as unknown as [string, string]
      this.clock.learn(Number(seconds) * 1_000 + Number(micros) / 1_000, sent, performance.now())
      this.#onClock()
      this.#onPrepared()
    } catch {
      // The health knows.
    }
  }

  /** Resolves when publications can be sent, or after `ms` milliseconds. */
  ready (ms: number): Promise<void> {
    if (this.isDone) return Promise.resolve()
    return new Promise(resolve => {
      const asking = setInterval(() => { if (this.#link.isReady) this.askTime() }, askEvery)
      const late = setTimeout(() => this.#onClock(), ms)
      this.#onClock = () => {
        clearInterval(asking)
        clearTimeout(late)
        resolve()
      }
    })
  }

  close (): void {
    this.#link.client.off('ready', this.#onReady)
    this.#onClock()
  }
}
