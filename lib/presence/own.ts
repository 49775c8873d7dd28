import type { Present } from './log/entry.js'

/** Minimum time between two published updates of the data of a connection, in ms. */
const updateEvery = 200

interface Own {
  readonly user: string
  data: string | undefined
  /** When its data was last taken, in ms. */
  updatedAt: number
  /** Whether other nodes may know it. */
  isTaken: boolean
  /** Ends its grace period early; `undefined` while it is connected. */
  cancel: (() => void) | undefined
}

/** What has changed since it was taken. */
export interface OwnChange {
  readonly present: Present[]
  readonly gone: string[]
}

/** Connections of this node that are present in a channel: connected, or within their grace period. Pure: times are parameters, in ms. */
export class OwnConnections {
  readonly #connections = new Map<string, Own>()
  /** Ids of connections that ended without a goodbye, by user, the oldest first. */
  readonly #lingering = new Map<string, string[]>()
  readonly #changed = new Set<string>()
  readonly #gone = new Set<string>()

  get size (): number {
    return this.#connections.size
  }

  /** Whether there is something to take, now or later. */
  get hasChanged (): boolean {
    return this.#changed.size + this.#gone.size > 0
  }

  /** Adds a connection, without data. It replaces the oldest connection of the user that lingers. */
  enter (id: string, user: string): void {
    const [oldest] = this.#lingering.get(user) ?? []
    const replaced = this.#lingering.get(user)?.includes(id) === true ? id : oldest
    if (replaced !== undefined) this.leave(replaced)
    // One that left and enters again before it was taken is still known to the others.
    const isTaken = this.#gone.delete(id)
    this.#connections.set(id, { user, data: undefined, updatedAt: -Infinity, isTaken, cancel: undefined })
    this.#changed.add(id)
  }

  /** Keeps a connection that has ended until `leave`. `cancel` is called when it leaves. */
  linger (id: string, cancel: () => void): void {
    const own = this.#connections.get(id)!
    own.cancel = cancel
    this.#lingering.set(own.user, [...this.#lingering.get(own.user) ?? [], id])
  }

  leave (id: string): void {
    const own = this.#connections.get(id)
    if (own === undefined) return
    this.#connections.delete(id)
    this.#changed.delete(id)
    if (own.isTaken) this.#gone.add(id)
    if (own.cancel === undefined) return
    own.cancel()
    const others = this.#lingering.get(own.user)!.filter(other => other !== id)
    if (others.length === 0) this.#lingering.delete(own.user)
    else this.#lingering.set(own.user, others)
  }

  /** Replaces the data of a connection, JSON as text; `undefined` removes it. */
  update (id: string, data: string | undefined): void {
    const own = this.#connections.get(id)
    if (own === undefined || own.data === data) return
    own.data = data
    this.#changed.add(id)
  }

  /** Returns the changes since the last call, without updates that are not due yet. */
  take (now: number): OwnChange {
    const due = [...this.#changed].filter(id => now - this.#connections.get(id)!.updatedAt >= updateEvery)
    const change = { present: due.map(id => this.#taken(id, now)), gone: [...this.#gone] }
    this.#gone.clear()
    return change
  }

  /** Returns all connections; nothing has changed since then. */
  takeAll (now: number): Present[] {
    this.#gone.clear()
    return [...this.#connections.keys()].map(id => this.#taken(id, now))
  }

  #taken (id: string, now: number): Present {
    const own = this.#connections.get(id)!
    // The data of a connection that enters is no update: typing that begins at once is shown at once.
    if (this.#changed.delete(id) && own.isTaken) own.updatedAt = now
    own.isTaken = true
    return { id, user: own.user, data: own.data }
  }
}
