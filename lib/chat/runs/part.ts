import type { Messages } from '../../protocol/envelope.js'
import type { Outcome } from '../../protocol/chat.js'

/** What is open in a run: a reply, a tool, a question. Whatever happens, it is closed, and once. */
export interface OpenPart {
  close (outcome: Outcome): void
}

/** Where a part of a run publishes; what is not for users goes nowhere. */
export interface PartOutlet {
  /** After what the run has written so far. Throws or rejects when it cannot be stored. */
  publish<T extends keyof Messages> (type: T, data: Messages[T]): unknown
  /** Tried again until it is stored. Resolves, or returns at once, then. */
  deliver<T extends keyof Messages> (type: T, data: Messages[T]): void | Promise<void>
}

/** Whoever does not wait for it need not catch it. */
export function quiet<T> (promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
