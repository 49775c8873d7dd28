/** The channel on which nodes tell each other things. No channel of an app has this name. */
export const nodesChannel = '~nodes'

/**
 * The names that a broker uses in Redis. Each part of a channel's name is encoded on its own, so that two channels never
 * share a key, no name is a pattern, and the hash tag puts all keys of one channel into one slot of a Cluster.
 */
export class Keys {
  readonly #prefix: string

  /** `prefix` has no braces: they would be taken for the hash tag. */
  constructor (prefix: string) {
    this.#prefix = prefix
  }

  /** The channel's publications, and the pub/sub channel on which they are announced. */
  stream (channel: string): string {
    return `${this.#prefix}{${channel.split('/').map(encode).join('.')}}`
  }

  /** Epoch, head and the mark of the newest publication, by the key of the stream: they outlive it. */
  meta (stream: string): string {
    return `${stream}:meta`
  }

  /** The stream of the nodes' own channel. */
  get nodes (): string {
    return this.stream(nodesChannel)
  }

  /** Keys that exist only while permissions are tried, in the slot of the nodes' channel. */
  probe (name: string): string {
    return `${this.nodes}:probe-${name}`
  }

  /** What is shared by all nodes, and not of a channel: all in one slot. */
  shared (name: string): string {
    return `${this.#prefix}{~nodes}:${name}`
  }

  /** The connections under a key. */
  presence (key: string): string {
    return `${this.#prefix}{${encode(key)}}:presence`
  }

  /** The sorted set with the claims of a user. */
  claims (holder: string): string {
    return `${this.#prefix}{${encode(holder)}}:claims`
  }
}

function encode (part: string): string {
  return Buffer.from(part).toString('base64url')
}
