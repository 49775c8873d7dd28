import type { Messages } from '../../protocol/envelope.js'
import type { Outcome } from '../../protocol/chat.js'

/** Open part of a run: a reply, a tool or a question. Every part is closed exactly once. */
export interface OpenPart {
  close (outcome: Outcome): void
}

/** Publishes the messages of a part of a run. Drops them when the part is not visible to users. */
export interface PartOutlet {
  /** Publishes a message after everything that the run has written so far. Throws or rejects when the broker does not store it. */
  publish<T extends keyof Messages> (type: T, data: Messages[T]): unknown
  /** Publishes a message with retries. Resolves, or returns at once, when it is stored. */
  deliver<T extends keyof Messages> (type: T, data: Messages[T]): void | Promise<void>
}

/** Keeps an unhandled rejection from ending the process. */
export function quiet<T> (promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
