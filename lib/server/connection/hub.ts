/** Properties of a connection that the hub needs. */
export interface Connected {
  readonly userId: string
  readonly isEnding: boolean
}

/** The connections of this server, by user. */
export class Hub<C extends Connected> {
  readonly #all = new Set<C>()
  /** Most users have one or two connections, for which an array is smaller than a set. */
  readonly #byUser = new Map<string, C[]>()

  /** Number of connections, including those that are still opening. */
  get size (): number {
    return this.#all.size
  }

  /** Number of users with a connection. */
  get users (): number {
    return this.#byUser.size
  }

  add (connection: C): void {
    this.#all.add(connection)
    const ofUser = this.#byUser.get(connection.userId)
    if (ofUser === undefined) this.#byUser.set(connection.userId, [connection])
    else ofUser.push(connection)
  }

  remove (connection: C): void {
    if (!this.#all.delete(connection)) return
    const ofUser = this.#byUser.get(connection.userId)!
    if (ofUser.length === 1) this.#byUser.delete(connection.userId)
    else ofUser.splice(ofUser.indexOf(connection), 1)
  }

  /** Connections of a user, or all connections. */
  connections (userId?: string): C[] {
    return [...(userId === undefined ? this.#all : this.#byUser.get(userId) ?? [])]
  }

  /** Whether a user may have another connection. Ending ones do not count, but all together there are at most twice `limit`. */
  hasRoom (userId: string, limit: number): boolean {
    const ofUser = this.#byUser.get(userId) ?? []
    return ofUser.length < limit || (ofUser.length < limit * 2 && ofUser.filter(({ isEnding }) => !isEnding).length < limit)
  }
}

/** Key under which the connections of a user are known on all nodes. No channel has this name. */
export function presenceKey (userId: string): string {
  return `connections/${userId}`
}
