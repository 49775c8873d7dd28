/** Progress of a replay. Only after its end it is known which runs are live and which are over. */
export class Replay {
  /** Whether the replay is over and this was reported. */
  isDone = false
  #frames: number | undefined
  #isOver = false
  #isAsked = false
  #heard = 0
  #heardWhenAsked = 0

  /** The server has announced the number of replayed frames. If it has evicted or merged some of them meanwhile, fewer arrive. */
  start (frames: number): void {
    this.#frames = frames
    this.#isOver = frames === 0
  }

  /** A frame has arrived. */
  advance (): void {
    this.#heard++
    if (this.#heard === this.#frames) this.#isOver = true
  }

  /** A ping was answered. Without a frame since it was sent, the replay is over. */
  answered (): void {
    if (!this.#isAsked) return
    this.#isAsked = false
    if (this.#heard === this.#heardWhenAsked) this.#isOver = true
  }

  /** Whether the end of the replay must be reported now. Returns `true` once. */
  isToldOver (): boolean {
    if (!this.#isOver || this.isDone) return false
    this.isDone = true
    return true
  }

  /** Whether a ping must be sent now. */
  isToAsk (): boolean {
    if (this.#isAsked || this.isDone || this.#frames === undefined) return false
    this.#isAsked = true
    this.#heardWhenAsked = this.#heard
    return true
  }
}
