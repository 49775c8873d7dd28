import type { Duplex } from 'node:stream'
import { Budget } from '../../brokers/budget.js'
import { Deadline } from '../../time/deadline.js'
import { networkOf } from './network.js'
import type { Timers } from '../../time/timers.js'

export interface PendingOptions {
  /** Handshakes in progress. */
  limit: number
  /** Milliseconds that one of them may take. */
  time: number
  timers: Timers
  /** Called when one is over. */
  onGone: () => void
}

/** What a handshake comes over. `remoteAddress` is read when it is needed: of a TCP socket it takes a system call. */
export type PeerStream = Duplex & { readonly remoteAddress?: string }

/** Handshakes in progress, by the addresses that they come from: none has more of them than are still free. */
export class PendingHandshakes {
  readonly #limit: number
  readonly #byNetwork: Budget
  readonly #deadline: Deadline
  readonly #onGone: () => void
  readonly #all = new Set<PendingHandshake>()
  /** Handshakes that are not counted in `#byNetwork` yet: so far their addresses were not needed. */
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

  /** Whether one more can begin, wherever it comes from. */
  get hasRoom (): boolean {
    return this.size < this.#limit
  }

  /** Whether one more can begin on a socket. */
  hasRoomFor (stream: PeerStream): boolean {
    return this.#isRoomy(this.size) || this.#networks().allows(networkOf(stream.remoteAddress))
  }

  /**
   * Counts a handshake until its stream closes, or `end` is called. Calls `onLate` when neither has happened by the deadline of
   * handshakes.
   */
  add (stream: PeerStream, onLate: () => void): PendingHandshake {
    const pending = new PendingHandshake(stream, this, this.#deadline.add(onLate))
    this.#all.add(pending)
    this.#uncounted.add(pending)
    stream.once('close', pending.end)
    return pending
  }

  /** Counts a handshake for another network, if it was counted. `false` when that one has more than are still free. */
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

  /** Whether one more is allowed beside this number of others, even if all come from the same address. */
  #isRoomy (others: number): boolean {
    return others * 2 < this.#limit
  }

  /** Where all of them come from. */
  #networks (): Budget {
    for (const pending of this.#uncounted) this.#count(pending)
    this.#uncounted.clear()
    return this.#byNetwork
  }

  #count (pending: PendingHandshake): void {
    pending.network = networkOf(pending.address)
    this.#byNetwork.add(pending.network, 1)
  }

  /** `false` when it was not counted. */
  #uncount ({ network }: PendingHandshake): boolean {
    if (network !== undefined) this.#byNetwork.release(network)
    return network !== undefined
  }

  destroy (): void {
    for (const { stream } of this.#all) stream.destroy()
  }
}

/** A handshake in progress. */
export class PendingHandshake {
  readonly stream: PeerStream
  /** The network that it is counted for; `undefined` while it is not counted. Only `PendingHandshakes` sets it. */
  network: string | undefined
  readonly #others: PendingHandshakes
  readonly #cancelDeadline: () => void
  /** As a proxy has named it. */
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

  /** Reads the peer's address and keeps it. This takes a system call, and a socket that is closed no longer has an address. */
  noteAddress (): void {
    this.#peer = this.stream.remoteAddress
  }

  /** Counts it for the address that a proxy has named, if one has. `false` when that has more than are still free. */
  comesFrom (proxied: string | undefined): boolean {
    if (this.#isOver) return true
    this.#proxied = proxied
    return this.#others.recount(this)
  }

  /** It is over; called again it does nothing. */
  readonly end = (): void => {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelDeadline()
    this.stream.off('close', this.end)
    this.#others.remove(this)
  }
}
