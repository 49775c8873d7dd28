import type { Reading } from '../kinds.js'
import { Subscription, type OpenChannel, type Subscriber } from './subscription.js'

/** Connection with cursors. */
export interface CursorOwner extends Subscriber {
  unsubscribe (subscription: Subscription): void
}

/** Cursor of a connection in a log that is no channel of the client: it is none of the connection's subscriptions. */
export class Cursor implements Reading {
  readonly #owner: CursorOwner
  readonly #subscription: Subscription

  /** Its first frames follow those that the connection has queued. */
  constructor (owner: CursorOwner, open: OpenChannel) {
    this.#owner = owner
    this.#subscription = new Subscription(owner, open, open.log.head)
    this.restart()
  }

  restart (): void {
    this.#subscription.forget()
    this.#owner.wake(this.#subscription, 1)
  }

  end (): void {
    this.#owner.unsubscribe(this.#subscription)
  }
}
