import type { Limits } from '../protocol/envelope.js'
import { after } from './clock.js'
import { RealtimeError } from './error.js'
import { paced } from './pace.js'

/** A message that the server has not answered. */
interface Unanswered {
  readonly frame: string
  /** Its size. */
  readonly bytes: number
  /** It was written to the present connection. */
  isSent: boolean
  settle: (error?: RealtimeError) => void
}

const enum Most {
  /** Messages that are with the server and unanswered: one that is slow gets them all at once. */
  flying = 16
}

/**
 * What the app sends, until it is answered. Each message has a `ref` of its own, so that the server recognises one that
 * is sent again after a reconnect and answers it without running its handler twice.
 */
export interface Outbox {
  /** Resolves with the server's `ack`, rejects with its `error`; both may come after any number of reconnects. */
  send (type: string, data: unknown, timeout: number): Promise<void>
  /** A connection is there: what is unanswered goes out, in order, as the server's limits allow. */
  start (write: (frame: string) => void, limits?: Partial<Limits>): void
  /** The connection is gone. What is unanswered waits for the next one, or with an error is given up. */
  stop (error?: RealtimeError): void
  /** The server has answered. */
  settle (ref: unknown, error?: RealtimeError): void
  /** The server dropped some because they came too fast; it does not say which. They go out again, later. */
  slowDown (): void
  /**
   * A frame was too big for whoever closed the connection: the largest. `bytes`: its size, where the connection is shared
   * and it may be another one's.
   */
  refuseLargest (bytes?: number): void
}

/** `size`: unanswered messages at most; one more is refused with `queue_full`. */
export function outbox (size: number): Outbox {
  const unanswered = new Map<unknown, Unanswered>()
  /** No two clients have the same. */
  const session = random() + random()
  let count = 0
  /** Bytes of a frame that the server takes. */
  let limit: number | undefined
  let write: ((frame: string) => void) | undefined

  /** Sends one message, unless enough are with the server. Returns `false` when there is none to send. */
  const pace = paced(() => {
    const next = [...unanswered.values()].slice(0, Most.flying).find(({ isSent }) => !isSent)
    if (!write || !next) return false
    next.isSent = true
    write(next.frame)
    return true
  })
  const sendAgain = (): void => {
    for (const message of unanswered.values()) message.isSent = false
    pace.run()
  }
  /** Refuses the messages that have more than `limit` bytes. */
  const refuse = (limit = Infinity): void => {
    for (const { bytes, settle } of unanswered.values()) {
      if (bytes > limit) settle(new RealtimeError('too_big', `${bytes} bytes, at most ${limit}`))
    }
  }
  return {
    async send (type, data, timeout) {
      if (unanswered.size >= size) throw new RealtimeError('queue_full', `${size} messages wait`)
      const ref = `${session}.${++count}`
      const frame = JSON.stringify({ type, ref, data })
      return new Promise((resolve, reject) => {
        const timer = after(timeout, () => message.settle(new RealtimeError('timeout', `'${type}': no answer in ${timeout} ms`)))
        const message: Unanswered = {
          frame,
          bytes: bytesOf(frame),
          isSent: false,
          settle (error) {
            clearTimeout(timer)
            unanswered.delete(ref)
            pace.run()
            if (error) reject(error)
            else resolve()
          }
        }
        unanswered.set(ref, message)
        refuse(limit)
        pace.run()
      })
    },
    start (writer, limits) {
      limit = limits?.frame
      pace.start(limits)
      refuse(limit)
      write = writer
      sendAgain()
    },
    stop (error) {
      write = undefined
      pace.stop()
      if (error) for (const { settle } of unanswered.values()) settle(error)
    },
    settle (ref, error) {
      unanswered.get(ref)?.settle(error)
    },
    slowDown () {
      pace.slowDown()
      sendAgain()
    },
    refuseLargest (bytes = Math.max(...[...unanswered.values()].map(({ isSent, bytes }) => isSent ? bytes : 0))) {
      if (bytes > 0) refuse(bytes - 1)
    }
  }
}

/** The size of a frame. In some hosts there is no TextEncoder; each byte beyond ASCII is escaped here. */
export function bytesOf (frame: string): number {
  return encodeURI(frame).replace(/%../g, '.').length
}

/** Where a page is not served over https there is no `crypto.randomUUID`. */
export function random (): string {
  return Math.random().toString(36).slice(2)
}
