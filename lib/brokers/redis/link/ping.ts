import type { RedisLink } from './link.js'

/** Time without an answer to a ping after which Redis counts as silent, in ms. */
const pingTime = 2_000

/** Checks whether Redis answers. */
export class Ping {
  readonly #link: RedisLink
  #answeredAt = -Infinity

  constructor (link: RedisLink) {
    this.#link = link
  }

  /** When the last answered ping was sent, on the monotonic clock, in ms. */
  get answeredAt (): number {
    return this.#answeredAt
  }

  /** Sends a ping. Never rejects: failures go to the health. */
  async send (): Promise<void> {
    if (!this.#link.isReady) return
    const asked = performance.now()
    let isSettled = false
    // Answers that came while this process was busy are read before a setImmediate.
    const late = setTimeout(() => setImmediate(() => { if (!isSettled) this.#link.health.silent() }), pingTime).unref()
    try {
      await this.#link.ask('PING', this.#link.client.ping())
      this.#answeredAt = asked
    } catch {
      // The health knows.
    }
    isSettled = true
    clearTimeout(late)
  }
}
