import { RealtimeError } from './error.js'

/** A message that the server has not answered. */
interface Unanswered {
  readonly frame: string
  /** It was written to the present connection. */
  isSent: boolean
  settle: (error?: RealtimeError) => void
}

export interface OutboxOptions {
  /** Unanswered messages at most; one more is refused with `queue_full`. */
  size: number
  /** Messages per second, and at once: less than what the server allows a connection. */
  rate: number
  burst: number
  /** Messages that are with the server and unanswered: a server that is slow gets them all at once. */
  window: number
}

/**
 * What the app sends, until it is answered. Each message has a `ref` of its own, so that the server recognises one that
 * is sent again after a reconnect and answers it without running its handler twice.
 */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #unanswered = new Map<string, Unanswered>()
  /** No two clients have the same. */
  readonly #session = random() + random()
  #count = 0
  #tokens: number
  #at = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #write: ((frame: string) => void) | undefined

  constructor (options: OutboxOptions) {
    this.#options = options
    this.#tokens = options.burst
  }

  /** Resolves with the server's `ack`, rejects with its `error`; both may come after any number of reconnects. */
  send (type: string, data: unknown, timeout: number): Promise<void> {
    if (this.#unanswered.size >= this.#options.size) {
      return Promise.reject(new RealtimeError('queue_full', `${this.#options.size} messages wait`))
    }
    const ref = `${this.#session}.${++this.#count}`
    const frame = JSON.stringify({ type, ref, data })
    return new Promise((resolve, reject) => {
      const late = () => message.settle(new RealtimeError('timeout', `'${type}': no answer in ${timeout} ms`))
      const timer = setTimeout(late, Math.min(timeout, 2 ** 31 - 1))
      const message: Unanswered = {
        frame,
        isSent: false,
        settle: error => {
          clearTimeout(timer)
          this.#unanswered.delete(ref)
          this.#pump()
          if (error === undefined) resolve()
          else reject(error)
        }
      }
      this.#unanswered.set(ref, message)
      this.#pump()
    })
  }

  /** A connection is there: what is unanswered goes out, in order. */
  open (write: (frame: string) => void): void {
    this.#write = write
    for (const message of this.#unanswered.values()) message.isSent = false
    this.#pump()
  }

  /** The connection is gone. What is unanswered waits for the next one. */
  pause (): void {
    this.#write = undefined
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** The server has answered. */
  settle (ref: unknown, error?: RealtimeError): void {
    this.#unanswered.get(ref as string)?.settle(error)
  }

  /** The server dropped some because they came too fast; it does not say which. They go out again, later. */
  slowDown (): void {
    this.#tokens = -this.#options.rate
    for (const message of this.#unanswered.values()) message.isSent = false
    this.#pump()
  }

  /** Everything unanswered is given up. */
  close (): void {
    this.pause()
    for (const { settle } of [...this.#unanswered.values()]) settle(new RealtimeError('closed', 'closed'))
  }

  #pump (): void {
    if (this.#write === undefined || this.#timer !== undefined) return
    const { rate, burst, window } = this.#options
    const now = performance.now()
    this.#tokens = Math.min(burst, this.#tokens + (now - this.#at) * rate / 1000)
    this.#at = now
    let flying = 0
    for (const message of this.#unanswered.values()) {
      if (flying++ === window) return
      if (message.isSent) continue
      if (this.#tokens < 1) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined
          this.#pump()
        }, (1 - this.#tokens) * 1000 / rate)
        return
      }
      this.#tokens--
      message.isSent = true
      this.#write(message.frame)
    }
  }
}

/** Where a page is not served over https there is no `crypto.randomUUID`. */
export function random (): string {
  return Math.random().toString(36).slice(2)
}
