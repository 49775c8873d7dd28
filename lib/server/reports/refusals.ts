import type { FastifyBaseLogger } from 'fastify'
import { write } from './caught.js'
import { refusalReasons, type RefusalReason, type RefusalRow } from './refusal-reasons.js'
import type { Timers } from '../../time/timers.js'

/** A refused client, as far as it is known. */
export interface RefusedClient {
  /** A valid id. Before authentication, the user of the path. */
  readonly userId?: string
  readonly connectionId?: string
  readonly remoteAddress?: string
}

interface Case {
  readonly client: RefusedClient
  /** Detail beyond the reason: bounded, escaped, and without secrets. */
  readonly detail?: string
  /** Returns the error of the app's code, if that is the reason. Called only when the line is written. */
  readonly error?: () => Error
}

/** Refusals for one reason since its last line. */
interface Tally {
  count: number
  last: Case | undefined
  readonly stop: () => void
}

/** Time between two lines for one reason, in ms. */
const interval = 10_000

/**
 * Logs why clients are refused: the first refusal for a reason at once, and then, while there are more, one line per reason and 10 s with
 * their number and the last one. So clients control neither how much is logged nor how much memory is used: there is at most one tally
 * per reason.
 */
export class Refusals {
  readonly #log: FastifyBaseLogger
  readonly #timers: Timers
  readonly #tallies = new Map<RefusalReason, Tally>()

  constructor (log: FastifyBaseLogger, timers: Timers) {
    this.#log = log
    this.#timers = timers
  }

  /** Records that a client is refused. */
  add (reason: RefusalReason, client: RefusedClient, detail?: string, error?: () => Error): void {
    const last = { client, detail, error }
    const tally = this.#tallies.get(reason)
    if (tally !== undefined) {
      tally.count++
      tally.last = last
      return
    }
    this.#write(reason, `refused a client with ${refusalReasons[reason].code}`, last)
    this.#begin(reason)
  }

  #begin (reason: RefusalReason): void {
    const stop = this.#timers.after(interval, () => this.#conclude(reason))
    this.#tallies.set(reason, { count: 0, last: undefined, stop })
  }

  /** After an interval without a refusal, the next one is logged at once again. */
  #conclude (reason: RefusalReason): void {
    if (this.#flush(reason)) this.#begin(reason)
  }

  /** Ends the tally of a reason. Returns `false` if it is empty. */
  #flush (reason: RefusalReason): boolean {
    const { count, last, stop } = this.#tallies.get(reason)!
    stop()
    this.#tallies.delete(reason)
    if (last === undefined) return false
    const clients = count === 1 ? '1 more client' : `${count} more clients`
    this.#write(reason, `refused ${clients} with ${refusalReasons[reason].code} within ${interval / 1000} s`, last, count)
    return true
  }

  #write (reason: RefusalReason, what: string, { client, detail, error }: Case, count?: number): void {
    const row: RefusalRow = refusalReasons[reason]
    const { code, text, level = 'info' } = row
    write(this.#log, level, { code, reason, count, ...client, err: error?.() }, `${what}: ${text}${detail === undefined ? '' : `. ${detail}`}`)
  }

  /** Writes the lines of all tallies. */
  close (): void {
    for (const reason of [...this.#tallies.keys()]) this.#flush(reason)
  }
}
