import type { FastifyBaseLogger } from 'fastify'
import { write } from './caught.js'
import { refusalReasons, type RefusalReason, type RefusalRow } from './refusal-reasons.js'
import type { Timers } from '../../time/timers.js'

/** The client that is turned away, as far as it is known. */
export interface RefusedClient {
  /** A valid id. Before it is authenticated: that of its path. */
  readonly userId?: string
  readonly connectionId?: string
  readonly remoteAddress?: string
}

interface Case {
  readonly client: RefusedClient
  /** Says more than the reason does: bounded, escaped, and without anything secret. */
  readonly detail?: string
  /** What the app's code threw, where that is the reason; made only when it is written. */
  readonly error?: () => Error
}

/** Refusals of one reason since its last line. */
interface Tally {
  count: number
  last: Case | undefined
  readonly stop: () => void
}

/** Milliseconds between two lines of one reason. */
const interval = 10_000

/**
 * Logs why clients are turned away: the first of a reason at once, and then, for as long as there are more, one line per
 * reason and 10 s with their number and the last of them. What clients do decides neither how much is logged nor how much
 * is kept: there are as many tallies as reasons at most.
 */
export class Refusals {
  readonly #log: FastifyBaseLogger
  readonly #timers: Timers
  readonly #tallies = new Map<RefusalReason, Tally>()

  constructor (log: FastifyBaseLogger, timers: Timers) {
    this.#log = log
    this.#timers = timers
  }

  /** Notes that a client is turned away. */
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

  /** Without a refusal in all the time the next one is a first one again. */
  #conclude (reason: RefusalReason): void {
    if (this.#flush(reason)) this.#begin(reason)
  }

  /** Ends the tally of a reason; `false` when it is empty. */
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

  /** Writes what is still to be written. */
  close (): void {
    for (const reason of [...this.#tallies.keys()]) this.#flush(reason)
  }
}
