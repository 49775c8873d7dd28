import type { Envelope, Resume } from '../../client/index.js'

/** Minimum number of entries that are kept; the maximum is twice as many. */
const max = 1_000

/** Latest messages and resumes of a connection, in order. A component that was hidden catches up from it. */
export class Journal {
  #entries: Array<Envelope | Resume> = []
  /** Number of entries that are no longer kept. */
  #dropped = 0

  /** Number of entries so far, including those that are no longer kept. */
  get end (): number {
    return this.#dropped + this.#entries.length
  }

  add (message: Envelope): void {
    this.#push(message)
  }

  resumed (resume: Resume): void {
    this.#push(resume)
  }

  /** Returns the messages after the first `from` entries, as far as they are kept. */
  messages (from = this.end): Envelope[] {
    return this.#after(from).filter(isEnvelope)
  }

  /** Returns the resumes after the first `from` entries. If some entries are not kept, the first resume reports missed messages. */
  resumes (from = this.end): Resume[] {
    const kept = this.#after(from).filter(entry => !isEnvelope(entry)) as Resume[]
    return from < this.#dropped ? [{ recovered: false }, ...kept] : kept
  }

  #after (from: number): Array<Envelope | Resume> {
    return this.#entries.slice(Math.max(0, from - this.#dropped))
  }

  #push (entry: Envelope | Resume): void {
    this.#entries.push(entry)
    // Removes half of the entries at once, so that the average cost of an entry is constant.
    if (this.#entries.length >= 2 * max) this.#dropped += this.#entries.splice(0, max).length
  }
}

function isEnvelope (entry: Envelope | Resume): entry is Envelope {
  return 'type' in entry
}
