import { Deque } from '../../logs/deque.js'
import { Dispatcher, type Flow, type DispatcherContext, type DispatcherOwner } from './dispatcher.js'
import type { UserRate, UserRates, FrameSource } from './user-rate.js'

export interface ReceiverContext extends DispatcherContext {
  readonly userRates: UserRates
}

/** Connection whose frames a receiver reads. */
export interface ReceiverOwner extends DispatcherOwner {
  /** Starts or stops reading from the socket. Returns `false`, and has no effect, if the connection is not open. */
  setReading (isReading: boolean): boolean
}

/** Receives the frames of a connection. Stops reading while too many of its messages wait, or while its user has sent too much. */
export class Receiver implements FrameSource, Flow {
  readonly #owner: ReceiverOwner
  readonly #context: ReceiverContext
  readonly #dispatcher: Dispatcher
  /** Limits of the user, which all connections of the user share. */
  readonly #userRate: UserRate
  #isFull = false
  #isHeld = false
  /** Frames that had been read when the user was held. */
  #frames: Deque<Buffer> | undefined
  /** Called when the user is no longer held, or the connection has ended. */
  #onFree: (() => void) | undefined
  /** Time when reading was paused, on the monotonic clock, in ms. */
  #pausedAt = 0

  constructor (owner: ReceiverOwner, context: ReceiverContext) {
    this.#owner = owner
    this.#context = context
    this.#dispatcher = new Dispatcher(owner, this, context)
    this.#userRate = context.userRates.of(owner.userId)
    this.#userRate.join(this)
  }

  /** Whether reading is paused because the user has sent too much. */
  get isHeld (): boolean {
    return this.#isHeld
  }

  /** Whether a handler is running. */
  get isBusy (): boolean {
    return this.#dispatcher.isBusy
  }

  /** Types of the messages whose handlers are running. */
  get handling (): string[] {
    return this.#dispatcher.handling
  }

  /** Takes a text frame. */
  receive (frame: Buffer): void {
    if (!this.#isHeld) return this.#take(frame)
    this.#frames ??= new Deque()
    this.#frames.push(frame)
  }

  /** Counts a WebSocket ping, or an unsolicited pong, like a message. */
  receiveControl (): void {
    this.#userRate.receive(0)
    this.#dispatcher.receiveControl()
  }

  /** Resolves when the user is not held, or the connection has ended. */
  whenFree (): Promise<void> {
    return this.#isHeld ? new Promise(resolve => { this.#onFree = resolve }) : Promise.resolve()
  }

  /** Drops waiting messages, and handles no more. */
  stop (): void {
    this.#frames = undefined
    this.#dispatcher.stop()
  }

  /** Releases everything when the connection has ended. */
  end (): void {
    // First, because the bytes that the dispatcher gives back may release the user.
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

  /** Next frame that was read while the user was held; `undefined` if there is none, or the user is still held. */
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
