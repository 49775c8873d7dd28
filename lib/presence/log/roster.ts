import type { Entry, Present, State } from './entry.js'

/** A connection before and after changes; `undefined` while it is not present. */
export interface Change {
  readonly before: Present | undefined
  readonly after: Present | undefined
}

/** Changes by connection id. */
export type Changes = ReadonlyMap<string, Change>

interface Node {
  readonly present: Map<string, Present>
  /** Time of its last entry, in ms of the caller's clock. */
  heardAt: number
  /** Whether it has announced its end. */
  isLeaving: boolean
  /** Ids in the entries so far of a state that is not complete yet. */
  stated: Set<string> | undefined
}

/** Bytes of bookkeeping per connection: its objects, and its places in the maps of the roster and of the list of members. */
const connectionOverhead = 400

/** The connections that are present in a channel, by node, and their changes since they were taken. Pure. */
export class Roster {
  readonly #nodes = new Map<string, Node>()
  #changes = new Map<string, Change>()
  /** Bytes of all connections, including bookkeeping. */
  bytes = 0

  /** Merges an entry of the log. `now`: when it was stored, in ms of any clock. */
  apply (entry: Entry, now: number): void {
    const node = this.#nodes.get(entry.node) ?? { present: new Map<string, Present>(), heardAt: now, isLeaving: false, stated: undefined }
    this.#nodes.set(entry.node, node)
    node.heardAt = now
    if (entry.kind === 'bye') {
      node.isLeaving = true
      return
    }
    for (const present of entry.present) this.#set(node, present)
    for (const id of entry.kind === 'state' ? missing(node, entry) : entry.gone) this.#delete(node, id)
  }

  /** Removes all connections of a node. */
  drop (name: string): void {
    const node = this.#nodes.get(name)
    if (node === undefined) return
    for (const id of node.present.keys()) this.#delete(node, id)
    this.#nodes.delete(name)
  }

  /** Nodes that have announced their end. */
  get leaving (): string[] {
    return [...this.#nodes].filter(([, { isLeaving }]) => isLeaving).map(([name]) => name)
  }

  /** Nodes without an announced end whose last entry is from before a time. */
  silentSince (time: number): string[] {
    return [...this.#nodes].filter(([, { isLeaving, heardAt }]) => !isLeaving && heardAt < time).map(([name]) => name)
  }

  /** Returns the changes since the last call. Changes that cancel each other out are not among them. */
  take (): Changes {
    const changes = this.#changes
    this.#changes = new Map()
    return changes
  }

  /** Returns all connections as changes of an empty channel, and forgets the changes until now. */
  takeAll (): Changes {
    this.#changes = new Map()
    const all = new Map<string, Change>()
    for (const { present } of this.#nodes.values()) for (const [id, after] of present) all.set(id, { before: undefined, after })
    return all
  }

  #set ({ present }: Node, connection: Present): void {
    const before = present.get(connection.id)
    this.#note(connection.id, before, connection)
    present.set(connection.id, connection)
    this.bytes += bytesOf(connection) - bytesOf(before)
  }

  #delete ({ present }: Node, id: string): void {
    const before = present.get(id)
    this.#note(id, before, undefined)
    present.delete(id)
    this.bytes -= bytesOf(before)
  }

  #note (id: string, before: Present | undefined, after: Present | undefined): void {
    const merged = mergedChange(this.#changes.get(id), { before, after })
    // A connection that joins again moves to the end of the list.
    this.#changes.delete(id)
    if (merged !== undefined) this.#changes.set(id, merged)
  }
}

function bytesOf (connection: Present | undefined): number {
  if (connection === undefined) return 0
  const { id, user, data = '' } = connection
  return id.length + user.length + data.length + connectionOverhead
}

/** One change for two consecutive ones; `undefined` if nothing has changed. */
export function mergedChange (first: Change | undefined, { before, after }: Change): Change | undefined {
  const start = first === undefined ? before : first.before
  const isSame = start?.data === after?.data && (start === undefined) === (after === undefined)
  return isSame ? undefined : { before: start, after }
}

/** Connections of a node that are not in its state. None while the state is incomplete, or its beginning is unknown. */
function missing (node: Node, { present, part = 0, hasMore }: State): string[] {
  const stated = part === 0 ? new Set<string>() : node.stated
  for (const { id } of present) stated?.add(id)
  node.stated = hasMore === true ? stated : undefined
  return hasMore === true || stated === undefined ? [] : [...node.present.keys()].filter(id => !stated.has(id))
}
