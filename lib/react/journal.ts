import type { Envelope, Resume } from '../client/index.js'

/** Entries kept. */
const max = 1_000

/** The latest messages and resumes of a connection, in order: from it a component that was hidden catches up. Pure. */
export class Journal {
  #entries: Array<Envelope | Resume> = []
  /** Entries that are no longer kept. */
  #dropped = 0

  /** How many entries there have been. */
  get end (): number {
    return this.#dropped + this.#entries.length
  }

  add (message: Envelope): void {
    this.#push(message)
  }

  resumed (resume: Resume): void {
    this.#push(resume)
  }

  /** The messages after the first `from` entries, as far as they are kept. */
  messages (from = this.end): Envelope[] {
    return this.#after(from).filter(isEnvelope)
  }

  /** The resumes after the first `from` entries. Where not all of these are kept, the first one says that messages were missed. */
  resumes (from = this.end): Resume[] {
    const kept = this.#after(from).filter(entry => !isEnvelope(entry)) as Resume[]
    return from < this.#dropped ? [{ recovered: false }, ...kept] : kept
  }

  #after (from: number): Array<Envelope | Resume> {
    return this.#entries.slice(Math.max(0, from - this.#dropped))
  }

  #push (entry: Envelope | Resume): void {
    this.#entries.push(entry)
    // Half of them at once: an entry costs the same however many there are.
    if (this.#entries.length >= 2 * max) this.#dropped += this.#entries.splice(0, max).length
  }
}

function isEnvelope (entry: Envelope | Resume): entry is Envelope {
  return 'type' in entry
}
