import type { Retention } from '../brokers/broker.js'
import type { FrameOf, Log, LogLimits } from '../logs/log.js'
import type { Message } from '../protocol/envelope.js'
import type { Label } from '../protocol/position.js'
import type { Identity } from './hooks.js'
import type { MessageRow } from './inbound/message-row.js'
import type { Target } from './target.js'

/** A kind of channel: a row of the table that is all the server knows of it. */
export interface ChannelKind {
  /** Begins the names of its channels, up to the first colon. */
  readonly name: string
  /** Stands for the channel in positions. */
  readonly label: Label
  /** Where a subscription without `since` starts: with the next publication, or with the oldest that is retained. */
  readonly start: 'now' | 'beginning'
  /** The user whose memory a channel takes. Default: the channel stands for itself. */
  readonly ownerOf?: (channel: string) => string
  /** Makes the log of a channel. Default: a `ChannelLog`. */
  readonly createLog?: (epoch: string, limits: LogLimits, frameOf: FrameOf) => Log
  /** What is retained of a channel. Default: what the broker's options say. */
  readonly retention?: Retention
  /** Whether someone may read a publication, where that depends on who it is. Default: all subscribers may. */
  readonly isSeen?: ((message: Message, identity: Identity) => boolean) | undefined
  /** Handlers for messages of clients, by type. */
  readonly rows?: ReadonlyMap<string, MessageRow>
  /** Handlers for types that the app may handle, and does not. */
  readonly fallbacks?: ReadonlyMap<string, MessageRow>
}

/** A route on which clients connect, and the channels that a connection on it is subscribed to. */
export interface ChannelPath<T extends Target = Target> {
  /** Below the prefix, as Fastify writes it: `/boards/:board_id/:user_id`. */
  readonly url: string
  /** Parses the segments of a path; `invalid` where one of them is not an id, `undefined` where it is another path. */
  parse (segments: readonly string[]): T | 'invalid' | undefined
  /** Kinds of its channels, in the order in which they are written. The first one handles the messages of a connection. */
  readonly kinds: readonly ChannelKind[]
  /** Names of the channels of a target, one for each of `kinds`. */
  channelsOf (target: T): string[]
}

/** The kinds of channels that a server has, and the paths to them. */
export class Kinds {
  readonly paths: readonly ChannelPath[]
  readonly #byName: ReadonlyMap<string, ChannelKind>

  /** Throws an Error when two kinds have the same name, or two kinds of one path the same label: positions could not be told apart. */
  constructor (kinds: readonly ChannelKind[], paths: readonly ChannelPath[] = []) {
    this.#byName = new Map(kinds.map(kind => [kind.name, kind]))
    this.paths = paths
    if (this.#byName.size < kinds.length) throw new Error('two kinds of channels have the same name')
    for (const { url, kinds } of paths) {
      if (new Set(kinds.map(({ label }) => label)).size < kinds.length) throw new Error(`two kinds of channels of ${url} have the same label`)
    }
  }

  get all (): ChannelKind[] {
    return [...this.#byName.values()]
  }

  /** The path of connections whose messages a kind handles; `undefined` where there is none. */
  pathTo (kind: ChannelKind): ChannelPath | undefined {
    return this.paths.find(({ kinds: [first] }) => first === kind)
  }

  /** Finds out which path the segments of a URL are, and what they say; `undefined` where it is none. */
  parse (segments: readonly string[]): { path: ChannelPath, target: Target | 'invalid' } | undefined {
    for (const path of this.paths) {
      const target = path.parse(segments)
      if (target !== undefined) return { path, target }
    }
    return undefined
  }

  /** The kind of a channel. Throws an Error where there is none. */
  of (channel: string): ChannelKind {
    const kind = this.#find(channel)
    if (kind === undefined) throw new Error(`there is no kind of the channel '${channel}'`)
    return kind
  }

  /** The user whose memory a channel takes, or the channel itself. */
  readonly ownerOf = (channel: string): string => this.#find(channel)?.ownerOf?.(channel) ?? channel

  #find (channel: string): ChannelKind | undefined {
    const colon = channel.indexOf(':')
    return this.#byName.get(colon === -1 ? channel : channel.slice(0, colon))
  }
}
