/** Channel for messages between nodes. No channel of an app has this name. */
export const nodesChannel = '~nodes'

/**
 * Names that a broker uses in Redis. Each part of a channel's name is encoded separately: two channels never share a key, no name is a
 * pattern, and the hash tag puts all keys of a channel into one slot of a Cluster.
 */
export class Keys {
  readonly #prefix: string

  /** `prefix` must not contain braces: they would count as the hash tag. */
  constructor (prefix: string) {
    this.#prefix = prefix
  }

  /** Stream of a channel's publications, and pub/sub channel that announces them. */
  stream (channel: string): string {
    return `${this.#prefix}{${channel.split('/').map(encode).join('.')}}`
  }

  /** Hash with epoch, head and mark of the newest publication, by the key of the stream. It outlives the stream. */
  meta (stream: string): string {
    return `${stream}:meta`
  }

  /** Stream of the nodes' own channel. */
  get nodes (): string {
    return this.stream(nodesChannel)
  }

  /** Keys that exist only while permissions are checked, in the slot of the nodes' channel. */
  probe (name: string): string {
    return `${this.nodes}:probe-${name}`
  }

  /** Keys that all nodes share and that belong to no channel, all in one slot. */
  shared (name: string): string {
    return `${this.#prefix}{~nodes}:${name}`
  }

  /** Hash with the connections under a key. */
  presence (key: string): string {
    return `${this.#prefix}{${encode(key)}}:presence`
  }

  /** Sorted set with the claims of a user. */
  claims (holder: string): string {
    return `${this.#prefix}{${encode(holder)}}:claims`
  }
}

function encode (part: string): string {
  return Buffer.from(part).toString('base64url')
}
