/** What may turn out to be dead: a connection. */
export interface Peer {
  /** A ping is unanswered: nothing at all was heard since. */
  readonly isAwaitingPong: boolean
  /** It is not being read from, so a pong could not be heard. */
  readonly isPaused: boolean
  /** Sends a ping, and awaits its pong. */
  ping (): void
  onDead (): void
  onStalled (): void
}

export interface LivenessOptions {
  /** Time between two pings of a peer, in ms. */
  interval: number
  /** Time after a ping without anything received after which a peer is dead, in ms. Shorter than `interval`. */
  timeout: number
  /** Time for which a peer may leave a write untaken before it is stalled, in ms. */
  stall: number
}

/**
 * Finds the peers that do not answer, and those that do not read. Time is counted in turns of one timer, so time during
 * which the event loop was blocked does not count, and each verdict waits until what had arrived by then was read.
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

  /** Returns where in the heartbeat the peer is pinged, for `remove`. */
  add (peer: Peer): number {
    const beat = this.#nextBeat
    this.#nextBeat = (beat + 1) % this.#beats.length
    this.#beats[beat].add(peer)
    return beat
  }

  /** The peer does not take what was written to it. */
  blocked (peer: Peer): void {
    this.#stalled.set(peer, this.#ticks)
  }

  /** The peer has taken it. */
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

  /** Timers run before the poll for input, immediates after it. */
  #afterPoll (decide: () => void): void {
    const immediate = setImmediate(() => {
      this.#immediates.delete(immediate)
      decide()
    })
    this.#immediates.add(immediate)
  }
}
