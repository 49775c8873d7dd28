import type { Fault } from './inbound.js'

/** What a client's message was answered with; `undefined` is `ack`. */
export type Answer = Fault | undefined

/** For so long a message that comes again is recognised, in milliseconds. */
const keepTime = 300_000

/** Answers kept per sender, and in all. */
const perSender = 100
const inAll = 20_000

interface Kept {
  readonly sender: string
  readonly ref: string
  readonly at: number
  readonly answer: Promise<Answer>
}

/**
 * The answers to the latest messages with a `ref` of letters: a client that lost its connection before it was answered
 * sends the message again on the next one, and its handler must not run twice.
 */
export class Answers {
  readonly #bySender = new Map<string, Map<string, Promise<Answer>>>()
  /** In the order in which they came. Those that their sender has pushed out are still in it. */
  #order: Kept[] = []
  #start = 0

  /** What `handle` answers, or what it answered when the same message came before. `now` in milliseconds. */
  once (sender: string, ref: string, now: number, handle: () => Promise<Answer>): Promise<Answer> {
    const ofSender = this.#bySender.get(sender) ?? new Map<string, Promise<Answer>>()
    const known = ofSender.get(ref)
    if (known !== undefined) return known
    this.#forget(now)
    const answer = handle()
    this.#bySender.set(sender, ofSender.set(ref, answer))
    this.#order.push({ sender, ref, at: now, answer })
    if (ofSender.size > perSender) ofSender.delete(ofSender.keys().next().value!)
    return answer
  }

  #forget (now: number): void {
    while (this.#start < this.#order.length) {
      const { sender, ref, at, answer } = this.#order[this.#start]
      if (now - at < keepTime && this.#order.length - this.#start < inAll) break
      const ofSender = this.#bySender.get(sender)
      if (ofSender?.get(ref) === answer) ofSender.delete(ref)
      if (ofSender?.size === 0) this.#bySender.delete(sender)
      this.#start++
    }
    if (this.#start * 2 > this.#order.length) {
      this.#order = this.#order.slice(this.#start)
      this.#start = 0
    }
  }
}
