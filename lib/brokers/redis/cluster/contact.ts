/** Time without an answer of Redis after which it is unknown which nodes are alive, in ms. */
const unknownAfter = 1_500

/** When Redis last answered this node. Pure: times are parameters, in ms of a monotonic clock. */
export class Contact {
  #beatAt = -Infinity
  #answeredAt = -Infinity
  #isKnown = false

  /** Whether the nodes that are alive are known: they were read, and Redis has answered since. */
  get isKnown (): boolean {
    return this.#isKnown
  }

  /** Records an answer to a beat, which names the nodes. Returns the time since the previous one. */
  onBeat (now: number): number {
    const time = now - this.#beatAt
    this.#beatAt = this.#answeredAt = now
    this.#isKnown = true
    return time
  }

  /** Records an answer to a pulse. */
  onPulse (now: number): void {
    this.#answeredAt = now
  }

  /** Returns whether Redis has just become silent. */
  check (now: number): boolean {
    if (!this.#isKnown || now - this.#answeredAt < unknownAfter) return false
    this.#isKnown = false
    return true
  }
}
