import { Deque } from '../../logs/deque.js'
import { Dispatcher, type Flow, type DispatcherContext, type DispatcherOwner } from './dispatcher.js'
import type { UserRate, UserRates, Source } from './user-rate.js'

export interface ReceiverContext extends DispatcherContext {
  readonly userRates: UserRates
}

/** The connection that is read from. */
export interface ReceiverOwner extends DispatcherOwner {
  /** Has its socket read, or not read any further. Returns `false`, and does nothing, while it is not open, or not yet. */
  setReading (isReading: boolean): boolean
}

/** What a connection receives: its socket is not read while too many of its messages wait, nor while its user has sent too much. */
export class Receiver implements Source, Flow {
  readonly #owner: ReceiverOwner
  readonly #context: ReceiverContext
  readonly #dispatcher: Dispatcher
  /** What the user may send, which all connections of the user share. */
  readonly #userRate: UserRate
  #isFull = false
  #isHeld = false
  /** Frames that had been read when their user was held. */
  #frames: Deque<Buffer> | undefined
  /** Called when the user is no longer held, or the connection has ended. */
  #onFree: (() => void) | undefined
  /** When reading was paused. */
  #pausedAt = 0

  constructor (owner: ReceiverOwner, context: ReceiverContext) {
    this.#owner = owner
    this.#context = context
    this.#dispatcher = new Dispatcher(owner, this, context)
    this.#userRate = context.userRates.of(owner.userId)
    this.#userRate.join(this)
  }

  /** It does not read, because its user has sent too much. */
  get isHeld (): boolean {
    return this.#isHeld
  }

  /** A handler is running. */
  get isBusy (): boolean {
    return this.#dispatcher.isBusy
  }

  /** The types of the messages whose handlers run. */
  get handling (): string[] {
    return this.#dispatcher.handling
  }

  /** A text frame. */
  receive (frame: Buffer): void {
    if (!this.#isHeld) return this.#take(frame)
    this.#frames ??= new Deque()
    this.#frames.push(frame)
  }

  /** Counts a WebSocket ping, or a pong without a ping before it, like a message. */
  receiveControl (): void {
    this.#userRate.receive(0)
    this.#dispatcher.receiveControl()
  }

  /** Resolves once its user is not held, or the connection has ended. */
  whenFree (): Promise<void> {
    return this.#isHeld ? new Promise(resolve => { this.#onFree = resolve }) : Promise.resolve()
  }

  /** Nothing more is handled. */
  stop (): void {
    this.#frames = undefined
    this.#dispatcher.stop()
  }

  /** The connection has ended. */
  end (): void {
    // First, for what the dispatcher gives back may release the user.
    this.#userRate.leave(this)
    this.stop()
    this.#onFree?.()
  }

  pause (): void {
    this.#set(true, this.#isHeld)
  }

  resume (): void {
    this.#set(false, this.#isHeld)
  }

  begin (bytes: number): void {
    this.#userRate.add(bytes)
  }

  finish (bytes: number): void {
    this.#userRate.release(bytes)
  }

  onHeld (): void {
    this.#set(this.#isFull, true)
  }

  onReleased (): void {
    this.#set(this.#isFull, false)
    this.#onFree?.()
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) this.#take(frame)
  }

  /** The next frame that was read while its user was held; `undefined` while that is so. */
  #next (): Buffer | undefined {
    return this.#isHeld ? undefined : this.#frames?.shift()
  }

  #take (frame: Buffer): void {
    this.#userRate.receive(frame.length)
    this.#dispatcher.receive(frame)
  }

  #set (isFull: boolean, isHeld: boolean): void {
    const wasPaused = this.#isFull || this.#isHeld
    this.#isFull = isFull
    this.#isHeld = isHeld
    const isPaused = isFull || isHeld
    if (isPaused === wasPaused) return
    const now = this.#context.clock.now()
    if (isPaused) this.#pausedAt = now
    const isOpen = this.#owner.setReading(!isPaused)
    if (isOpen && !isPaused) this.#dispatcher.excuse(now - this.#pausedAt)
  }
}
