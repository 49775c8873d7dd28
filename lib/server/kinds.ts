import type { Retention } from '../brokers/broker.js'
import type { FrameOf, Log, LogLimits } from '../logs/log.js'
import type { Message } from '../protocol/envelope.js'
import { splitChannel } from '../protocol/channels.js'
import type { Label } from '../protocol/position.js'
import type { Identity } from './hooks.js'
import type { MessageRow } from './inbound/message-row.js'
import type { Target } from './target.js'

/** Whether a user may subscribe; `hidden`: without being listed in the presence of the channel. */
export type Admitted = boolean | 'hidden'

/** Decides about subscriptions by frame. */
export interface SubscriptionAccess {
  /** Whether the part of a channel's name after the colon is valid. */
  isValid (id: string): boolean
  /** Whether an identity may subscribe to channels, in their order. May throw or reject: nothing is known then. */
  decide (identity: Identity, channels: readonly string[]): Promise<readonly Admitted[]>
  /** Whether `decide` is called once for all channels of a frame. Default: once for each. */
  readonly isJoint?: boolean
}

/** Cursor of a connection in a log that is no channel of the client. */
export interface Reading {
  /** Reads the log from its beginning again. */
  restart (): void
  end (): void
}

/** Connection that reads a channel. */
export interface Attendee {
  readonly id: string
  readonly userId: string
  /** Writes what a log has for a reader that has read nothing, and everything that follows. */
  read (log: Log, kind: ChannelKind, channel: string): Reading
}

/** Follows which connections read the channels of a kind. Repeated calls have no further effect. */
export interface KindPresence {
  /** A connection has subscribed to a channel, or has subscribed again. `isHidden`: whether it is not listed; default: as before. */
  enter (attendee: Attendee, channel: string, isHidden?: boolean): void
  /** The subscription has ended. `isClean`: the connection does not come back. */
  leave (attendee: Attendee, channel: string, isClean: boolean): void
  /** The connection has ended. `isClean`: the client said goodbye. */
  closed (attendee: Attendee, isClean: boolean): void
  /** Replaces the own data of a connection in a channel; `undefined` removes it. Throws a Refusal. */
  update (attendee: Attendee, channel: string, data: unknown): void
}

/** Definition of a channel kind: everything that the server knows about it. */
export interface ChannelKind {
  /** Prefix of its channel names, up to the first colon. */
  readonly name: string
  /** Identifies the channel in positions. */
  readonly label: Label
  /** Whether its frames do not contain the name of the channel. Default: they do. */
  readonly isUnnamed?: boolean
  /** Decides which users may subscribe by frame. Default: none; only connections on a path of this kind read its channels. */
  readonly access?: SubscriptionAccess
  /** Where a subscription without `since` starts: with the next publication, or with the oldest that is retained. */
  readonly start: 'now' | 'beginning'
  /** Returns the user whose memory budget a channel counts against. Default: each channel has its own. */
  readonly ownerOf?: (channel: string) => string
  /** Creates the log of a channel. Default: a `ChannelLog`. */
  readonly createLog?: (epoch: string, limits: LogLimits, frameOf: FrameOf) => Log
  /** Retention of its channels. Default: the options of the broker. */
  readonly retention?: Retention
  /** Whether a subscriber with this identity may read a publication. Default: all subscribers may. */
  readonly isSeen?: ((message: Message, identity: Identity) => boolean) | undefined
  /** Follows who reads its channels. Default: nobody does. */
  readonly presence?: KindPresence | undefined
  /** Message types whose data the kind describes: handlers of the app for all kinds do not get them. Default: none. */
  readonly types?: ReadonlySet<string>
  /** Handlers of client messages, by type. */
  readonly rows?: ReadonlyMap<string, MessageRow>
  /** Handlers of message types for which the app has no handler. */
  readonly fallbacks?: ReadonlyMap<string, MessageRow>
}

/** A route on which clients connect, and the channels to which it subscribes a connection. */
export interface ChannelPath<T extends Target = Target> {
  /** URL below the prefix, in Fastify's syntax: `/boards/:board_id/:user_id`. */
  readonly url: string
  /** Parses the segments of a path. Returns `invalid` if one of them is not an id, and `undefined` if the path is another one. */
  parse (segments: readonly string[]): T | 'invalid' | undefined
  /** Kinds of its channels, in the order in which a connection writes them. The first kind handles the messages of a connection. */
  readonly kinds: readonly ChannelKind[]
  /** Names of the channels of a target, one for each of `kinds`. */
  channelsOf (target: T): string[]
}

/** The channel kinds of a server, and the paths to them. */
export class Kinds {
  readonly paths: readonly ChannelPath[]
  readonly #byName: ReadonlyMap<string, ChannelKind>

  /** Throws an Error if two kinds have the same name, or two kinds of a path the same label: positions would be ambiguous. */
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

  /** Path of the connections whose messages a kind handles; `undefined` if there is none. */
  pathTo (kind: ChannelKind): ChannelPath | undefined {
    return this.paths.find(({ kinds: [first] }) => first === kind)
  }

  /** Finds the path that the segments of a URL match, and parses them; `undefined` if no path matches. */
  parse (segments: readonly string[]): { path: ChannelPath, target: Target | 'invalid' } | undefined {
    for (const path of this.paths) {
      const target = path.parse(segments)
      if (target !== undefined) return { path, target }
    }
    return undefined
  }

  /** Kind of a channel. Throws an Error if there is none. */
  of (channel: string): ChannelKind {
    const kind = this.find(channel)
    if (kind === undefined) throw new Error(`no channel kind matches the channel '${channel}'`)
    return kind
  }

  /** User whose memory budget a channel counts against, or the channel itself. */
  readonly ownerOf = (channel: string): string => this.find(channel)?.ownerOf?.(channel) ?? channel

  /** Kind of a channel; `undefined` if there is none. */
  find (channel: string): ChannelKind | undefined {
    return this.#byName.get(splitChannel(channel).kind)
  }
}
