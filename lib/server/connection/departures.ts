import type { FastifyBaseLogger } from 'fastify'
import type { Closed, OnDisconnect, RealtimeConnection } from '../hooks.js'
import { report } from '../reports/caught.js'

/** A connection that is closed, or will be. */
export interface Departing extends RealtimeConnection {
  readonly state: string
  /** Set once it is closed. */
  readonly closed: Closed | undefined
}

export interface DeparturesParts {
  onDisconnect: OnDisconnect | undefined
  log: FastifyBaseLogger
  /** Called when a hook has finished. */
  onGone: () => void
}

/** Calls onDisconnect once for each connection whose onConnect succeeded, when it is closed. */
export class Departures {
  readonly #parts: DeparturesParts
  /** Connections for which onDisconnect has to be called. */
  readonly #owed = new Set<Departing>()
  /** Connections whose onDisconnect is running. */
  readonly #running = new Set<Departing>()

  constructor (parts: DeparturesParts) {
    this.#parts = parts
  }

  /** Ids of the connections whose onDisconnect is running. */
  get running (): string[] {
    return [...this.#running].map(({ id }) => id)
  }

  get size (): number {
    return this.#running.size
  }

  /** Call when the onConnect of a connection has succeeded, even after its timeout. */
  greeted (connection: Departing): void {
    if (this.#parts.onDisconnect === undefined) return
    this.#owed.add(connection)
    if (connection.state === 'closed') this.closed(connection)
  }

  /** Call when a connection is closed. */
  closed (connection: Departing): void {
    // Never rejects.
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
