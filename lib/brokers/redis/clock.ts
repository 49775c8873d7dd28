/** What Redis's clock shows, as far as its answers tell. The clocks of this machine and of Redis need not agree. */
export class RedisClock {
  readonly #isCluster: boolean
  /** Redis's clock is ahead of ours by at least so much, in milliseconds. */
  #ahead: number | undefined

  /** The nodes of a Cluster have a clock each: then the one furthest behind counts. */
  constructor (isCluster: boolean) {
    this.#isCluster = isCluster
  }

  /** Redis's clock showed `shown` at some time between `sent` and `received` on ours. */
  learn (shown: number, sent: number, received: number): void {
    const least = shown - received
    const most = shown - sent
    const isContradicted = this.#ahead !== undefined && most < this.#ahead
    // The answer that was fastest tells most; a clock that was set back, or another server's, contradicts it.
    const isBetter = this.#ahead === undefined || isContradicted || (!this.#isCluster && least > this.#ahead)
    if (isBetter) this.#ahead = least
  }

  /** Another server may answer from now on. */
  forget (): void {
    this.#ahead = undefined
  }

  /** What Redis's clock shows, at the earliest, when ours shows `local`; `undefined` when it has not been heard yet. */
  at (local: number): number | undefined {
    return this.#ahead === undefined ? undefined : Math.floor(local + this.#ahead)
  }
}
