import type { TSchema } from '@sinclair/typebox'
import type { TypeCheck } from '@sinclair/typebox/compiler'
import type { Broker } from '../brokers/broker.js'
import { errors } from '../errors.js'
import type { Deflatable, Frame } from '../logs/log.js'
import type { Member } from '../protocol/member.js'
import { maxPresenceData } from '../protocol/presence.js'
import { Refusal } from '../server/inbound/fault.js'
import type { Attendee, ChannelKind, KindPresence } from '../server/kinds.js'
import { compiled } from '../server/messages/catalogue.js'
import { formatFault } from '../server/messages/formats.js'
import { Tally } from '../server/tally.js'
import { Deadline } from '../time/deadline.js'
import type { Timers } from '../time/timers.js'
import { within } from '../time/within.js'
import { Attended, graceTime } from './attended.js'
import { dataFrames, presenceKind, presenceName } from './kind.js'
import { defaultMax, type PresenceOptions } from './options.js'

/** Time for which a channel without connections is followed after a call of `members`, in ms. */
const keepFor = 5_000

/** Maximum time to read the members of a channel, in ms. */
const membersWithin = 2_000

export interface PresenceParts {
  readonly broker: Broker
  readonly timers: Timers
  /** Makes a frame of JSON text. */
  readonly encode: (json: string) => Frame | Deflatable
  /** Maximum number of channels of a user: as many connections of the user may be in their grace periods. */
  readonly channelsPerUser: number
  /** Monotonic clock, in ms. Default: `performance.now`. */
  readonly now?: (() => number) | undefined
}

/** Presence of a kind: who reads its channels. */
export interface PresenceOfKind extends KindPresence {
  /** Members of a channel on all nodes. Rejects with RT_ERR_BROKER. */
  members (channel: string): Promise<Member[]>
}

/** Presence in all channels of a server. */
export class ServerPresence {
  readonly #parts: PresenceParts
  readonly #now: () => number
  readonly #grace: Deadline
  /** By the name of the channel. */
  readonly #attended = new Map<string, Attended>()
  /** Connections in their grace periods, by user. */
  readonly #lingering = new Tally<string>()
  readonly #unbind: (() => void) | undefined

  constructor (parts: PresenceParts) {
    this.#parts = parts
    this.#now = parts.now ?? (() => performance.now())
    this.#grace = new Deadline(parts.timers, graceTime)
    this.#unbind = parts.broker.nodes?.onAlive?.(() => {
      for (const attended of this.#attended.values()) attended.onAlive()
    })
  }

  /** Kind of the logs of presence. */
  readonly kind: ChannelKind = presenceKind

  /** Number of channels that are followed. */
  get size (): number {
    return this.#attended.size
  }

  /** Returns the presence of a kind. Throws RT_ERR_OPTIONS if the schema cannot be used. `option`: where the options are. */
  of (given: true | PresenceOptions, option: string): PresenceOfKind {
    const { data, max = defaultMax } = given === true ? {} : given
    return new Kind(data && checkOf(data, `${option}.data`), {
      find: channel => this.#attended.get(channel),
      open: channel => this.#open(channel, max)
    })
  }

  #open (channel: string, max: number): Attended {
    const known = this.#attended.get(channel)
    if (known !== undefined) return known
    const { broker, timers, encode } = this.#parts
    const attended = new Attended({
      broker,
      timers,
      grace: this.#grace,
      now: this.#now,
      kind: presenceKind,
      name: presenceName(channel),
      channel,
      max,
      frameOf: dataFrames(encode, channel),
      retention: presenceKind.retention!,
      mayLinger: userId => this.#mayLinger(userId),
      onLingered: userId => this.#lingering.take(userId),
      onIdle: idle => { if (this.#attended.get(channel) === idle) this.#attended.delete(channel) }
    })
    this.#attended.set(channel, attended)
    // Never rejects.
    attended.start()
    return attended
  }

  #mayLinger (userId: string): boolean {
    if (this.#lingering.of(userId) >= this.#parts.channelsPerUser) return false
    this.#lingering.add(userId)
    return true
  }

  /** Announces to the other nodes that this one ends. Call before the broker is closed. Never rejects. */
  async close (): Promise<void> {
    this.#unbind?.()
    const all = [...this.#attended.values()]
    this.#attended.clear()
    await Promise.all(all.map(attended => attended.bye()))
  }
}

/** Members of a channel. Rejects with RT_ERR_NO_PRESENCE if its kind has no presence, and with RT_ERR_BROKER. `option`: the missing one. */
export async function membersOf (presence: PresenceOfKind | undefined, channel: string, option: string): Promise<Member[]> {
  if (presence === undefined) throw new errors.NO_PRESENCE(channel, option)
  return presence.members(channel)
}

interface Channels {
  find (channel: string): Attended | undefined
  open (channel: string): Attended
}

/** Presence in the channels of one kind. */
class Kind implements PresenceOfKind {
  readonly #check: TypeCheck<TSchema> | undefined
  readonly #channels: Channels
  /** Channels of each connection. */
  readonly #byAttendee = new Map<Attendee, Set<string>>()

  constructor (check: TypeCheck<TSchema> | undefined, channels: Channels) {
    this.#check = check
    this.#channels = channels
  }

  enter (attendee: Attendee, channel: string, isHidden?: boolean): void {
    const channels = this.#byAttendee.get(attendee) ?? new Set()
    this.#byAttendee.set(attendee, channels.add(channel))
    this.#channels.open(channel).enter(attendee, isHidden)
  }

  leave (attendee: Attendee, channel: string, isClean: boolean): void {
    const channels = this.#byAttendee.get(attendee)
    if (channels?.delete(channel) !== true) return
    if (channels.size === 0) this.#byAttendee.delete(attendee)
    this.#channels.find(channel)?.leave(attendee, isClean)
  }

  closed (attendee: Attendee, isClean: boolean): void {
    for (const channel of this.#byAttendee.get(attendee) ?? []) this.leave(attendee, channel, isClean)
  }

  update (attendee: Attendee, channel: string, data: unknown): void {
    const attended = this.#channels.find(channel)
    const isHidden = attended?.isHidden(attendee)
    if (attended === undefined || isHidden === undefined) throw new Refusal('not_subscribed', `this connection is not subscribed to '${channel}'`)
    if (isHidden) throw new Refusal('presence_hidden', `this connection is not listed in the presence of '${channel}'`)
    attended.update(attendee, this.#jsonOf(data))
  }

  #jsonOf (data: unknown): string | undefined {
    if (data === undefined) return undefined
    const json = JSON.stringify(data)
    const bytes = Buffer.byteLength(json)
    if (bytes > maxPresenceData) throw new Refusal('too_big', `presence data has at most ${maxPresenceData} bytes as JSON, and this has ${bytes}`)
    const fault = this.#check?.Errors(data).First()
    if (fault !== undefined) throw new Refusal('bad_message', `/data${fault.path} ${fault.message}`)
    return json
  }

  async members (channel: string): Promise<Member[]> {
    const attended = this.#channels.open(channel)
    attended.need(keepFor)
    await within(membersWithin, attended.settled, { late: () => new errors.BROKER('the members of a channel could not be read within 2 s') })
    attended.refresh()
    return [...attended.versions.members].map(([userId, connections]) => ({
      userId,
      connections: [...connections.values()].map(({ id, data }) => data === undefined ? { id } : { id, data: JSON.parse(data) as unknown })
    }))
  }
}

function checkOf (schema: TSchema, option: string): TypeCheck<TSchema> {
  const fault = formatFault(schema)
  if (fault !== undefined) throw new errors.OPTIONS(`${option}: the schema ${fault}`)
  return compiled(schema, option, 'presence')
}
