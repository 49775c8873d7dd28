import type { FastifyBaseLogger } from 'fastify'
import type { Closed, OnDisconnect, RealtimeConnection } from '../hooks.js'
import { report } from '../reports/caught.js'

/** A connection that will be closed, or is. */
export interface Departing extends RealtimeConnection {
  readonly state: string
  /** Set once it is closed. */
  readonly closed: Closed | undefined
}

export interface DeparturesParts {
  onDisconnect: OnDisconnect | undefined
  log: FastifyBaseLogger
  /** Called when a hook is done. */
  onGone: () => void
}

/** The onDisconnect hooks: one call for each connection whose onConnect succeeded, once it is closed. */
export class Departures {
  readonly #parts: DeparturesParts
  /** Connections that are owed a call. */
  readonly #owed = new Set<Departing>()
  /** Connections whose hooks run. */
  readonly #running = new Set<Departing>()

  constructor (parts: DeparturesParts) {
    this.#parts = parts
  }

  /** Ids of the connections whose hooks run. */
  get running (): string[] {
    return [...this.#running].map(({ id }) => id)
  }

  get size (): number {
    return this.#running.size
  }

  /** The onConnect hook of a connection succeeded, be it too late. */
  greeted (connection: Departing): void {
    if (this.#parts.onDisconnect === undefined) return
    this.#owed.add(connection)
    if (connection.state === 'closed') this.closed(connection)
  }

  /** A connection is closed. */
  closed (connection: Departing): void {
    // It cannot reject.
    if (this.#owed.delete(connection)) this.#call(connection)
  }

  async #call (connection: Departing): Promise<void> {
    const { onDisconnect, log, onGone } = this.#parts
    this.#running.add(connection)
    try {
      await onDisconnect!(connection, connection.closed!)
    } catch (error) {
      report(log, error, 'onDisconnect failed', { connectionId: connection.id })
    }
    this.#running.delete(connection)
    onGone()
  }
}
