/** What the hub has to know of a connection. */
export interface Connected {
  readonly userId: string
  readonly isEnding: boolean
}

/** Who is connected to this server. */
export class Hub<C extends Connected> {
  readonly #all = new Set<C>()
  /** Most users have one or two, for which an array is smaller than a set. */
  readonly #byUser = new Map<string, C[]>()

  /** Connections, those that are still opening included. */
  get size (): number {
    return this.#all.size
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

  /** A user's connections, or all of them. */
  connections (userId?: string): C[] {
    return [...(userId === undefined ? this.#all : this.#byUser.get(userId) ?? [])]
  }

  /** Whether a user may have one more: those that are ending count only when there are as many of them. */
  hasRoom (userId: string, limit: number): boolean {
    const ofUser = this.#byUser.get(userId) ?? []
    return ofUser.length < limit || (ofUser.length < limit * 2 && ofUser.filter(({ isEnding }) => !isEnding).length < limit)
  }
}

/** Under which the connections of a user are known on all nodes. No channel has this name. */
export function presenceKey (userId: string): string {
  return `connections/${userId}`
}
