import { Backlog } from './backlog.js'
import type { Subscription } from './subscription.js'

/** Subscriptions of a connection that have something to read, in the order in which it reads them. */
export class Due {
  // A list linked by `next`, because a subscription is added and taken for almost every frame.
  #first: Subscription | undefined
  #last: Subscription | undefined
  /** Late frames that are on their way. `undefined` if there are none, to save memory. */
  #backlog: Backlog<Subscription> | undefined

  /** The one to be read next; `undefined` if there is none. */
  get first (): Subscription | undefined {
    return this.#first
  }

  /** Adds a subscription, unless it is there or is held. */
  add (subscription: Subscription): void {
    if (subscription.next === undefined && this.#backlog?.isHeld(subscription) !== true) this.#append(subscription)
  }

  #append (subscription: Subscription): void {
    subscription.next = null
    if (this.#last === undefined) this.#first = subscription
    else this.#last.next = subscription
    this.#last = subscription
  }

  /** Takes a subscription out if it is the first one. Returns whether it was. */
  take (subscription: Subscription): boolean {
    if (this.#first !== subscription) return false
    this.#first = subscription.next ?? undefined
    subscription.next = undefined
    if (this.#first === undefined) this.#last = undefined
    return true
  }

  /**
   * Adds a subscription that is still behind after a turn in which `bytes` were read: after the others, and only when the client has
   * confirmed enough of what was late before. `ping` sends a ping behind the written frames.
   */
  addLate (subscription: Subscription, bytes: number, ping: (payload: string) => void): void {
    this.#backlog ??= new Backlog(ping)
    if (this.#backlog.write(subscription, bytes, performance.now())) this.#append(subscription)
  }

  /** Handles a pong. Returns `false` if it does not answer a ping behind late frames. */
  confirm (payload: string): boolean {
    const held = this.#backlog?.confirm(payload, performance.now())
    if (held === undefined) return false
    for (const subscription of held) this.#append(subscription)
    if (this.#backlog!.isEmpty) this.#backlog = undefined
    return true
  }

  /** Call from time to time, because a client may answer no ping. Returns whether something is to be read again for this reason. */
  releaseStuck (): boolean {
    if (this.#backlog?.isStuck() !== true) return false
    this.release()
    return true
  }

  /** Adds what is held, and waits for no pong. */
  release (): void {
    for (const subscription of this.#backlog?.release() ?? []) this.#append(subscription)
    this.#backlog = undefined
  }

  /** Removes a subscription. */
  remove (subscription: Subscription): void {
    this.#backlog?.remove(subscription)
    if (subscription.next === undefined) return
    const others: Subscription[] = []
    for (let first = this.#first; first !== undefined; first = this.#first) {
      this.take(first)
      if (first !== subscription) others.push(first)
    }
    for (const other of others) this.#append(other)
  }

  clear (): void {
    this.#first = this.#last = this.#backlog = undefined
  }
}
