/** A connection that is present in a channel. */
export interface Present {
  readonly id: string
  readonly user: string
  /** Own data of the connection, as JSON text. */
  readonly data?: string | undefined
}

/** Entry of a channel's presence log. A node publishes entries about its own connections only. */
export type Entry =
  /** All connections of the node. `hello`: the node begins to follow the channel, and the others publish their states too. */
  | { readonly kind: 'state', readonly node: string, readonly present: readonly Present[], readonly hello?: boolean }
  /** New connections, connections with changed data, and ids of closed connections. */
  | { readonly kind: 'change', readonly node: string, readonly present: readonly Present[], readonly gone: readonly string[] }
  /** The node ends. Its connections stay for the grace period: their clients are about to reconnect to other nodes. */
  | { readonly kind: 'bye', readonly node: string }

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
