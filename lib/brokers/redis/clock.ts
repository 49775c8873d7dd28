/** Estimates Redis's clock from its answers. The clocks of this machine and of Redis may differ. */
export class RedisClock {
  readonly #isCluster: boolean
  /** Minimum time by which Redis's clock is ahead of the local one, in ms. */
  #ahead: number | undefined

  /** `isCluster`: each node of a Cluster has its own clock, and the one furthest behind counts. */
  constructor (isCluster: boolean) {
    this.#isCluster = isCluster
  }

  /** Redis's clock showed `shown` at some time between `sent` and `received` on the local clock. All in ms. */
  learn (shown: number, sent: number, received: number): void {
    const least = shown - received
    const most = shown - sent
    const isContradicted = this.#ahead !== undefined && most < this.#ahead
    // The fastest answer is the most accurate. A clock that was set back, or that of another server, contradicts it.
    const isBetter = this.#ahead === undefined || isContradicted || (!this.#isCluster && least > this.#ahead)
    if (isBetter) this.#ahead = least
  }

  /** Call when another server may answer from now on. */
  forget (): void {
    this.#ahead = undefined
  }

  /** Earliest time on Redis's clock at the local time `local`, in ms; `undefined` before the first answer. */
  at (local: number): number | undefined {
    return this.#ahead === undefined ? undefined : Math.floor(local + this.#ahead)
  }
}
