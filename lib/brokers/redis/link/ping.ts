import type { RedisLink } from './link.js'

/** A ping that is not answered within this time shows that Redis does not answer, in ms. */
const pingTime = 2_000

/** Finds out whether Redis answers. */
export class Ping {
  readonly #link: RedisLink
  #answeredAt = -Infinity

  constructor (link: RedisLink) {
    this.#link = link
  }

  /** When Redis was last asked something that it answered, on the monotonic clock. */
  get answeredAt (): number {
    return this.#answeredAt
  }

  /** Asks. Never rejects: what goes wrong is known to the health. */
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
