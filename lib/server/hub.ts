import type { Connection } from './connection.js'

/** Who is connected to this server. */
export class Hub {
  readonly #all = new Set<Connection>()
  readonly #byUser = new Map<string, Set<Connection>>()

  /** Connections, those that are still opening included. */
  get size (): number {
    return this.#all.size
  }

  /** Users with a connection. */
  get users (): number {
    return this.#byUser.size
  }

  add (connection: Connection): void {
    this.#all.add(connection)
    const ofUser = this.#byUser.get(connection.userId)
    if (ofUser === undefined) this.#byUser.set(connection.userId, new Set([connection]))
    else ofUser.add(connection)
  }

  remove (connection: Connection): void {
    this.#all.delete(connection)
    const ofUser = this.#byUser.get(connection.userId)
    ofUser?.delete(connection)
    if (ofUser?.size === 0) this.#byUser.delete(connection.userId)
  }

  /** A user's connections, or all of them. */
  connections (userId?: string): Connection[] {
    return [...(userId === undefined ? this.#all : this.#byUser.get(userId) ?? [])]
  }

  count (userId: string): number {
    return this.#byUser.get(userId)?.size ?? 0
  }
}
