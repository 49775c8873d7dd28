import type { Duplex } from 'node:stream'
import { Budget } from '../../brokers/budget.js'
import { Deadline } from '../../time/deadline.js'
import { networkOf } from './network.js'
import type { Timers } from '../../time/timers.js'

export interface PendingOptions {
  /** Maximum number of handshakes in progress. */
  limit: number
  /** Maximum time of a handshake, in ms. */
  time: number
  timers: Timers
  /** Called when a handshake is over. */
  onGone: () => void
}

/** Stream of a handshake. Reading the `remoteAddress` of a TCP socket takes a system call. */
export type PeerStream = Duplex & { readonly remoteAddress?: string }

/** Handshakes in progress, counted by network. None has more of them than are still free. */
export class PendingHandshakes {
  readonly #limit: number
  readonly #byNetwork: Budget
  readonly #deadline: Deadline
  readonly #onGone: () => void
  readonly #all = new Set<PendingHandshake>()
  /** Handshakes that are not counted in `#byNetwork` yet, because their addresses were not needed. */
  readonly #uncounted = new Set<PendingHandshake>()

  constructor ({ limit, time, timers, onGone }: PendingOptions) {
    this.#limit = limit
    this.#byNetwork = new Budget(limit)
    this.#deadline = new Deadline(timers, time)
    this.#onGone = onGone
  }

  get size (): number {
    return this.#all.size
  }

  /** Whether another handshake can begin, from any address. */
  get hasRoom (): boolean {
    return this.size < this.#limit
  }

  /** Whether another handshake can begin on a socket. */
  hasRoomFor (stream: PeerStream): boolean {
    return this.#isRoomy(this.size) || this.#networks().allows(networkOf(stream.remoteAddress))
  }

  /**
   * Counts a handshake until its stream closes or `end` is called. Calls `onLate` if neither happens in time.
   */
  add (stream: PeerStream, onLate: () => void): PendingHandshake {
    const pending = new PendingHandshake(stream, this, this.#deadline.add(onLate))
    this.#all.add(pending)
    this.#uncounted.add(pending)
    // `end` removes it: `once` would create a function for each handshake.
    stream.on('close', pending.end)
    return pending
  }

  /** Counts a handshake again, for its present network. Returns `false` if that network has more than are still free. */
  recount (pending: PendingHandshake): boolean {
    if (this.#uncount(pending)) this.#count(pending)
    return this.#isRoomy(this.size - 1) || this.#networks().allows(pending.network!, -1)
  }

  remove (pending: PendingHandshake): void {
    this.#all.delete(pending)
    this.#uncount(pending)
    this.#uncounted.delete(pending)
    this.#onGone()
  }

  /** Whether another handshake is allowed beside this number of others, even if all come from one address. */
  #isRoomy (others: number): boolean {
    return others * 2 < this.#limit
  }

  /** Number of handshakes by network, brought up to date. */
  #networks (): Budget {
    for (const pending of this.#uncounted) this.#count(pending)
    this.#uncounted.clear()
    return this.#byNetwork
  }

  #count (pending: PendingHandshake): void {
    pending.network = networkOf(pending.address)
    this.#byNetwork.add(pending.network, 1)
  }

  /** Returns `false` if it was not counted. */
  #uncount ({ network }: PendingHandshake): boolean {
    if (network !== undefined) this.#byNetwork.release(network)
    return network !== undefined
  }

  destroy (): void {
    for (const { stream } of this.#all) stream.destroy()
  }
}

export class PendingHandshake {
  readonly stream: PeerStream
  /** Network for which it is counted; `undefined` if it is not counted. Only `PendingHandshakes` sets it. */
  network: string | undefined
  readonly #others: PendingHandshakes
  readonly #cancelDeadline: () => void
  /** Address of the client, as a proxy reports it. */
  #proxied: string | undefined
  #peer: string | undefined
  #isOver = false

  constructor (stream: PeerStream, others: PendingHandshakes, cancelDeadline: () => void) {
    this.stream = stream
    this.#others = others
    this.#cancelDeadline = cancelDeadline
  }

  get address (): string | undefined {
    return this.#proxied ?? this.#peer ?? this.stream.remoteAddress
  }

  /** Reads and keeps the peer's address. This takes a system call, and a closed socket has no address. */
  noteAddress (): void {
    this.#peer = this.stream.remoteAddress
  }

  /** Counts it for the address that a proxy reports, if any. Returns `false` if its network has more than are still free. */
  comesFrom (proxied: string | undefined): boolean {
    if (this.#isOver) return true
    this.#proxied = proxied
    return this.#others.recount(this)
  }

  /** Ends it. Further calls have no effect. */
  readonly end = (): void => {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelDeadline()
    this.stream.off('close', this.end)
    this.#others.remove(this)
  }
}
