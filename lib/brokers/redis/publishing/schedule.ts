/** While a batch is under way the next one gathers, in ms at most: a slow Redis makes it bigger, not later. */
const gathering = 100

/** When what waits is sent: after this turn of the event loop, or once some has gathered. */
export class Schedule {
  readonly #send: () => void
  #turn: NodeJS.Immediate | undefined
  #gatherer: NodeJS.Timeout | undefined
  #lastSent = -Infinity

  constructor (send: () => void) {
    this.#send = send
  }

  /** Something was sent, on the monotonic clock. */
  sent (now: number): void {
    this.#lastSent = now
  }

  afterTurn (): void {
    this.#turn ??= setImmediate(this.#send)
  }

  onceGathered (): void {
    const wait = this.#lastSent + gathering - performance.now()
    this.#gatherer ??= setTimeout(this.#send, Math.max(0, wait))
  }

  cancel (): void {
    clearImmediate(this.#turn)
    clearTimeout(this.#gatherer)
    this.#turn = undefined
    this.#gatherer = undefined
  }
}
