/** Maximum time, in ms, during which a batch gathers while another is under way: a slow Redis makes batches bigger, not later. */
const gathering = 100

/** Schedules the sending of waiting publications: after this turn of the event loop, or when some have gathered. */
export class Schedule {
  readonly #send: () => void
  #turn: NodeJS.Immediate | undefined
  #gatherer: NodeJS.Timeout | undefined
  #lastSent = -Infinity

  constructor (send: () => void) {
    this.#send = send
  }

  /** Call when a batch was sent. `now`: monotonic clock, in ms. */
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
