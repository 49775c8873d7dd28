/** A connection that is present in a channel. */
export interface Present {
  readonly id: string
  readonly user: string
  /** Own data of the connection, as JSON text. */
  readonly data?: string | undefined
}

/** Entry of a channel's presence log. A node publishes entries about its own connections only. */
export type Entry =
  | State
  /** New connections, connections with changed data, and ids of closed connections. */
  | { readonly kind: 'change', readonly node: string, readonly present: readonly Present[], readonly gone: readonly string[] }
  /** The node ends. Its connections stay for the grace period: their clients are about to reconnect to other nodes. */
  | { readonly kind: 'bye', readonly node: string }

/** All connections of a node, in one entry or in several consecutive ones. */
export interface State {
  readonly kind: 'state'
  readonly node: string
  readonly present: readonly Present[]
  /** The node begins to follow the channel, and the others publish their states too. */
  readonly hello?: boolean | undefined
  /** Index among the entries of this state. Default: 0. */
  readonly part?: number | undefined
  /** Whether further entries of this state follow. */
  readonly hasMore?: boolean | undefined
}

/** Maximum characters of the connections of one entry. An entry has at least one connection, whatever its size. */
const maxLength = 128 * 1024

/** Characters of a connection in addition to its id, user and data. */
const overhead = 32

/** Splits an entry with many connections, so that none is too large for a broker. */
export function splitEntry (entry: Entry): Entry[] {
  if (entry.kind === 'bye') return [entry]
  const parts = slicesOf(entry.present)
  if (parts.length === 1) return [entry]
  if (entry.kind === 'change') return parts.map((present, part) => ({ ...entry, present, gone: part === 0 ? entry.gone : [] }))
  const last = parts.length - 1
  return parts.map((present, part) => ({ ...entry, present, hello: part === 0 ? entry.hello : undefined, part, hasMore: part < last }))
}

function slicesOf (present: readonly Present[]): Present[][] {
  const slices: Present[][] = [[]]
  let length = 0
  for (const connection of present) {
    const { id, user, data = '' } = connection
    const own = id.length + user.length + data.length + overhead
    if (length > 0 && length + own > maxLength) {
      slices.push([])
      length = 0
    }
    slices.at(-1)!.push(connection)
    length += own
  }
  return slices
}

/** Changes when the format of entries changes. Nodes ignore entries of another version. */
const version = 1

export function encodeEntry (entry: Entry): string {
  return JSON.stringify({ type: 'presence', version, ...entry })
}

/** Decodes an entry; `undefined` if it has another version. */
export function decodeEntry (body: string): Entry | undefined {
  const entry = JSON.parse(body) as Entry & { version: number }
  return entry.version === version ? entry : undefined
}
