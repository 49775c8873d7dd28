import type { Limits } from '../protocol/envelope.js'
import { after } from './clock.js'
import { RealtimeError } from './error.js'
import { paced } from './pace.js'

/** Message that the server has not answered. */
interface Unanswered {
  readonly frame: string
  /** Channel that it is for; `undefined` for that of the connection. */
  readonly channel: string | undefined
  /** Bytes of the frame. */
  readonly bytes: number
  /** Whether it was written to the current connection. */
  isSent: boolean
  settle: (error?: RealtimeError, data?: unknown) => void
}

export interface RequestOptions {
  /** Maximum time for the answer of the server, in ms. Default: 30,000. */
  timeout?: number | undefined
  /** Name of the channel that the message is for. Default: that of the connection. */
  channel?: string | undefined
}

/** Default time for the answer to a message. */
const answerMs = 30_000

/** Maximum number of messages that were sent and are unanswered. */
const mostFlying = 16

/**
 * Messages of the app that are not answered yet. Each message has its own `ref`. When a message is sent again after a reconnect, the
 * server recognises the `ref` and answers without calling the handler again.
 */
export interface Outbox {
  /**
   * Sends a message. Resolves with the data of the `ack` and rejects with the `error` of the server, also after reconnects.
   */
  send (type: string, data: unknown, options?: RequestOptions): Promise<unknown>
  /** A connection is open: sends the unanswered messages, in order and within the limits of the server, after the frames of `before`. */
  start (write: (frame: string) => void, before: Before, limits?: Partial<Limits>): void
  /** The connection is lost: unanswered messages wait for the next one, or reject with `error`. */
  stop (error?: RealtimeError): void
  /** The server answered a message: resolves it with `data`, or rejects it with `error`. */
  settle (ref: unknown, error?: RealtimeError, data?: unknown): void
  /** Rejects the messages to a channel. */
  refuse (channel: string, error: RealtimeError): void
  /** Whether a message with this `ref` is unanswered. */
  has (ref: unknown): boolean
  /** Sends what can be sent by now. */
  run (): void
  /** The server dropped messages because they came too fast, without naming them: sends all unanswered ones again, later. */
  slowDown (): void
  /**
   * The connection was closed because a frame was too big: rejects the largest message that was sent. `bytes`: size of the frame on a
   * connection that tabs share, where another tab may have sent it.
   */
  refuseLargest (bytes?: number): void
}

/** Frames that are sent before the messages, and which messages have to wait. */
interface Before {
  next (): string | undefined
  isReady (channel: string): boolean | undefined
}

/** `size`: maximum number of unanswered messages. Further messages reject with `queue_full`. */
export function outbox (size: number): Outbox {
  const unanswered = new Map<unknown, Unanswered>()
  /** Maximum bytes of a frame that the server accepts. */
  let limit: number | undefined
  let write: ((frame: string) => void) | undefined
  let before: Before

  /** Sends one message. Returns `false` when none may be sent. */
  const pace = paced(() => {
    if (!write) return false
    let frame = before.next()
    if (!frame) {
      const next = [...unanswered.values()]
        .filter(({ channel }) => !channel || before.isReady(channel))
        .slice(0, mostFlying)
        .find(({ isSent }) => !isSent)
      if (!next) return false
      next.isSent = true
      frame = next.frame
    }
    write(frame)
    return true
  })
  const sendAgain = (): void => {
    for (const message of unanswered.values()) message.isSent = false
    pace.run()
  }
  /** Rejects the messages of more than `limit` bytes. */
  const refuse = (limit = Infinity): void => {
    for (const { bytes, settle } of unanswered.values()) {
      if (bytes > limit) settle(new RealtimeError('too_big', `${bytes} bytes, at most ${limit}`))
    }
  }
  return {
    async send (type, data, { timeout = answerMs, channel } = {}) {
      if (unanswered.size >= size) throw new RealtimeError('queue_full', `${size} messages wait`)
      const ref = random() + random()
      const frame = JSON.stringify({ type, channel, ref, data })
      return new Promise((resolve, reject) => {
        const timer = after(timeout, () => message.settle(new RealtimeError('timeout', `'${type}': no answer in ${timeout} ms`)))
        const message: Unanswered = {
          frame,
          channel,
          bytes: bytesOf(frame),
          isSent: false,
          settle (error, data) {
            clearTimeout(timer)
            unanswered.delete(ref)
            pace.run()
            if (error) reject(error)
            else resolve(data)
          }
        }
        unanswered.set(ref, message)
        refuse(limit)
        pace.run()
      })
    },
    start (writer, first, limits) {
      limit = limits?.frame
      pace.start(limits)
      refuse(limit)
      write = writer
      before = first
      sendAgain()
    },
    stop (error) {
      write = undefined
      pace.stop()
      if (error) for (const { settle } of unanswered.values()) settle(error)
    },
    settle (ref, error, data) {
      const message = unanswered.get(ref)
      // Sent again when the channel is subscribed.
      if (error?.code === 'not_subscribed' && before.isReady(message?.channel!) === false) message!.isSent = false
      else message?.settle(error, data)
    },
    refuse (name, error) {
      for (const { channel, settle } of unanswered.values()) if (channel === name) settle(error)
    },
    has: ref => unanswered.has(ref),
    run: pace.run,
    slowDown () {
      pace.slowDown()
      sendAgain()
    },
    refuseLargest (bytes = Math.max(...[...unanswered.values()].map(({ isSent, bytes }) => isSent ? bytes : 0))) {
      if (bytes) refuse(bytes - 1)
    }
  }
}

/** Bytes of a frame in UTF-8. `encodeURI` writes each byte outside ASCII as one escape; some hosts have no TextEncoder. */
export function bytesOf (frame: string): number {
  return encodeURI(frame).replace(/%../g, '.').length
}

/** Random text. Pages without https have no `crypto.randomUUID`. */
export function random (): string {
  return Math.random().toString(36).slice(2)
}
