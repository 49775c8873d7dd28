/** May turn out to be dead: a connection. */
export interface Peer {
  /** Whether a ping is unanswered: nothing was received since. */
  readonly isAwaitingPong: boolean
  /** Whether it is not being read from, so that a pong could not arrive. */
  readonly isPaused: boolean
  /** Sends a ping, and expects its pong. */
  ping (): void
  onDead (): void
  onStalled (): void
}

export interface LivenessOptions {
  /** Time between two pings to a peer, in ms. */
  interval: number
  /** Time after a ping without received data after which a peer is dead, in ms. Shorter than `interval`. */
  timeout: number
  /** Maximum time until a peer has taken the written data, in ms. Then it is stalled. */
  stall: number
}

/**
 * Finds peers that do not answer, and peers that do not read. Time is counted in ticks of one timer, so time during which the event loop
 * was blocked does not count. A verdict waits until everything that had arrived is read.
 */
export class Liveness {
  readonly #pongTicks: number
  readonly #stallTicks: number
  /** One set of peers per tick of the interval, so that pings are spread over it. */
  readonly #beats: Array<Set<Peer>>
  readonly #stalled = new Map<Peer, number>()
  readonly #timer: NodeJS.Timeout
  readonly #immediates = new Set<NodeJS.Immediate>()
  #ticks = 0
  #nextBeat = 0

  constructor ({ interval, timeout, stall }: LivenessOptions) {
    const tick = Math.max(1, Math.min(interval, timeout, stall) / 10)
    this.#pongTicks = Math.ceil(timeout / tick)
    this.#stallTicks = Math.ceil(stall / tick)
    this.#beats = Array.from({ length: Math.max(Math.round(interval / tick), this.#pongTicks + 1) }, () => new Set())
    this.#timer = setInterval(() => this.#tick(), tick).unref()
  }

  /** Adds a peer. Returns the position of its pings in the heartbeat, for `remove`. */
  add (peer: Peer): number {
    const beat = this.#nextBeat
    this.#nextBeat = (beat + 1) % this.#beats.length
    this.#beats[beat].add(peer)
    return beat
  }

  /** Call when the peer does not take written data. */
  blocked (peer: Peer): void {
    this.#stalled.set(peer, this.#ticks)
  }

  /** Call when the peer has taken it. */
  drained (peer: Peer): void {
    this.#stalled.delete(peer)
  }

  remove (peer: Peer, beat: number): void {
    this.#beats[beat].delete(peer)
    this.#stalled.delete(peer)
  }

  close (): void {
    clearInterval(this.#timer)
    for (const immediate of this.#immediates) clearImmediate(immediate)
    this.#stalled.clear()
    for (const beat of this.#beats) beat.clear()
  }

  #tick (): void {
    this.#ticks++
    for (const peer of this.#beatAt(this.#ticks)) {
      if (!peer.isPaused) peer.ping()
    }
    const silent = [...this.#beatAt(this.#ticks - this.#pongTicks)].filter(peer => peer.isAwaitingPong)
    const stalled = [...this.#stalled].filter(([, since]) => this.#ticks - since > this.#stallTicks)
    if (silent.length === 0 && stalled.length === 0) return
    this.#afterPoll(() => {
      for (const peer of silent) if (peer.isAwaitingPong && !peer.isPaused) peer.onDead()
      for (const [peer, since] of stalled) if (this.#stalled.get(peer) === since) peer.onStalled()
    })
  }

  #beatAt (tick: number): Set<Peer> {
    const { length } = this.#beats
    return this.#beats[((tick % length) + length) % length]
  }

  /** Calls `decide` after the poll for input: timers run before it, and immediates after it. */
  #afterPoll (decide: () => void): void {
    const immediate = setImmediate(() => {
      this.#immediates.delete(immediate)
      decide()
    })
    this.#immediates.add(immediate)
  }
}
