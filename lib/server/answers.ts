import type { Fault } from './inbound.js'

/** What a client's message was answered with; `undefined` is `ack`. */
export type Answer = Fault | undefined

/** For so long a message that comes again is recognised, in milliseconds. */
const keepTime = 300_000

/** Answers kept per sender, and in all; the oldest gives way. */
const perSender = 100
const inAll = 20_000

interface Kept {
  readonly sender: string
  readonly ref: string
  readonly at: number
  readonly answer: Promise<Answer>
  isGone: boolean
}

/**
 * The answers to the latest messages with a string as `ref`: a client that lost its connection before it was answered
 * sends the message again on the next one, and its handler must not run twice.
 */
export class Answers {
  readonly #bySender = new Map<string, Map<string, Kept>>()
  /** In the order in which they came. Not a Set: finding its first takes longer the more before it were deleted. */
  #order: Kept[] = []
  /** Those before it are gone. */
  #start = 0
  #size = 0

  /** How many are kept. */
  get size (): number {
    return this.#size
  }

  /**
   * What `handle` answers, or what it answered, or is about to, when the same message came before. `handle` must not
   * reject. `now` in milliseconds.
   */
  once (sender: string, ref: string, now: number, handle: () => Promise<Answer>): Promise<Answer> {
    this.#expire(now)
    const known = this.#bySender.get(sender)?.get(ref)
    if (known !== undefined) return known.answer
    const kept = { sender, ref, at: now, answer: handle(), isGone: false }
    this.#keep(kept)
    return kept.answer
  }

  #expire (now: number): void {
    for (let oldest = this.#oldest(); oldest !== undefined && now - oldest.at >= keepTime; oldest = this.#oldest()) this.#drop(oldest)
  }

  #keep (kept: Kept): void {
    if (this.#size >= inAll) this.#drop(this.#oldest()!)
    const before = this.#bySender.get(kept.sender)
    // So that one who sends a lot pushes out nobody else's.
    if (before !== undefined && before.size >= perSender) this.#drop(before.values().next().value!)
    const ofSender = this.#bySender.get(kept.sender) ?? new Map<string, Kept>()
    this.#bySender.set(kept.sender, ofSender.set(kept.ref, kept))
    this.#order.push(kept)
    this.#size++
  }

  #oldest (): Kept | undefined {
    while (this.#order[this.#start]?.isGone) this.#start++
    return this.#order[this.#start]
  }

  #drop (kept: Kept): void {
    const ofSender = this.#bySender.get(kept.sender)!
    ofSender.delete(kept.ref)
    if (ofSender.size === 0) this.#bySender.delete(kept.sender)
    kept.isGone = true
    this.#size--
    if (this.#order.length > 2 * this.#size + perSender) this.#compact()
  }

  #compact (): void {
    this.#order = this.#order.filter(({ isGone }) => !isGone)
    this.#start = 0
  }
}
