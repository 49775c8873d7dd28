import type { UnsubscribedReason } from '../../protocol/channels.js'
import type { ControlMessages, Envelope, Limits } from '../../protocol/envelope.js'
import { ownCodes, type CloseCode } from '../../protocol/own-codes.js'
import { delayAfter, type Backoff } from '../backoff.js'
import { after, type Timer } from '../clock.js'
import { cursors, type Cursors } from '../cursors.js'
import { closedError, RealtimeError, type Closed } from '../error.js'
import { listeners, type Listeners } from '../listeners.js'
import type { Outbox, RequestOptions } from '../outbox.js'
import type { Status } from '../status.js'
import type { Channel } from './channel.js'
import { nobody, presence, shownPresence, type OwnedPresence } from './presence.js'

/** Maximum number of channels in a frame. */
const mostInFrame = 100

/** Maximum bytes of a channel in a frame beside its name: 51 for a position, and the rest for JSON. */
const besideName = 100

/** Time for which a channel without a reader stays subscribed: a component that is mounted again does not subscribe again. */
const lingerMs = 5_000

const { FORBIDDEN, BAD_MESSAGES } = ownCodes

/** Close codes that stand for the reasons for which a channel has ended. Other reasons are temporary. */
const final: { readonly [reason in UnsubscribedReason]?: CloseCode } = {
  removed: FORBIDDEN,
  forbidden: FORBIDDEN,
  unknown_channel: BAD_MESSAGES,
  invalid_channel: BAD_MESSAGES
}

/** One use of a channel, with listeners and a position of its own. */
export interface ChannelReader extends Channel<string> {
  readonly name: string
  /** Listeners by message type, `'*'`, and those of the events `' status'`, `' resume'`, `' subscribed'` and `' presence'`. */
  readonly listeners: Listeners
  /** Position up to which it has read; empty at first. */
  readonly since: string
  /** Stops reading: no listener is called until `reopen`. The last reader of a channel unsubscribes after `linger` ms. Default: 5,000. */
  close (linger?: number): void
}

/** Channel that the client is subscribed to, or wants to be. */
interface Subscription {
  readonly name: string
  status: Status
  closed?: Closed | undefined
  /** `since`: position that `read` was given. */
  readonly readers: Set<Pick<ChannelReader, 'listeners'> & { readonly cursors: Cursors, readonly since: string | undefined }>
  readonly presence: OwnedPresence
  /** Position up to which the server has sent the channel. */
  readonly cursors: Cursors
  /** `since` of the latest `subscribe`. */
  asked?: string
  attempt: number
  /** Ends the wait for the next attempt to subscribe. */
  retry?: Timer
  /** Ends a subscription without readers. */
  linger?: Timer
  /** Whether the server has ended it for good: only `reopen` subscribes again. */
  isFinal?: boolean
  /** Whether a `subscribe` has to be sent. */
  isDue: boolean
}

/** The channels of a client, beside that of its path. */
export interface Subscriptions {
  /**
   * Reads a channel, and subscribes to it if needed. `since`: position to read from; `''` for where its kind starts. Default: from now
   * on, if the channel is subscribed.
   */
  read (name: string, since?: string): ChannelReader
  /** Takes a frame; `false` when it is not for one of these channels. */
  receive (envelope: Envelope): boolean
  /** Whether a message to a channel can be sent; `undefined` when it never can, because the channel has ended. */
  isReady (name: string): boolean | undefined
  /** Next frame to send: a `subscribe` or an `unsubscribe`; `undefined` when there is none. */
  next (): string | undefined
  /** A connection is open: subscribes again, within the limits of the server. */
  start (limits: Limits | undefined): void
  /** The client has another status than `open`. */
  stop (status: Status, closed: Closed | undefined): void
  /** The server dropped frames because they came too fast: sends those again that are not answered. */
  again (): void
}

/**
 * `options`: read each time, because `backoff` may be set later. `outbox`: messages to the channels. It also sends the frames of the
 * subscriptions.
 */
export function subscriptions (
  options: { readonly backoff?: Backoff | undefined }, outbox: Pick<Outbox, 'send' | 'run' | 'refuse' | 'has'>, report: (error: unknown) => void
): Subscriptions {
  const all = new Map<string, Subscription>()
  let leaving: string[] = []
  /** Number of `subscribe`s that the server has not answered, by channel. Only the last answer counts. */
  let asked: Record<string, number> = {}
  /** Limits of the server while the connection is open. */
  let limits: Limits | undefined
  /** Latest status of the client other than `open`, and its close. */
  let offline: Status = 'waiting'
  let closedAs: Closed | undefined

  /** Channels that are opened together are subscribed with one frame. */
  const onDue = (): void => { Promise.resolve().then(outbox.run) }
  const tell = ({ readers }: Subscription, event: string, ...args: unknown[]): void => {
    for (const { listeners } of [...readers]) listeners.tell(event, ...args)
  }
  const setStatus = (channel: Subscription, status: Status, closed?: Closed): void => {
    if (channel.status === status) return
    channel.status = status
    channel.closed = closed
    channel.presence.setOpen(status === 'open')
    tell(channel, ' status', status, closed)
  }
  const stopTrying = (channel: Subscription): void => {
    channel.isDue = false
    clearTimeout(channel.retry)
  }
  const begin = (channel: Subscription): void => {
    stopTrying(channel)
    channel.isFinal = false
    channel.isDue = true
    setStatus(channel, limits ? 'connecting' : offline, closedAs)
    onDue()
  }
  const end = (channel: Subscription, reason: UnsubscribedReason): void => {
    const closed = final[reason] && closedError({ ...final[reason], reason }).closed
    const error = new RealtimeError(reason, `${channel.name}: ${reason}`, closed)
    if (closed) {
      channel.isFinal = true
      setStatus(channel, 'closed', closed)
      outbox.refuse(channel.name, error)
      return report(error)
    }
    if (reason === 'too_many_channels' && !channel.attempt) report(error)
    channel.retry = after(delayAfter(channel.attempt++, options.backoff, report), () => begin(channel))
    setStatus(channel, 'waiting')
  }
  const forget = (channel: Subscription): void => {
    stopTrying(channel)
    channel.presence.setOpen(false)
    outbox.refuse(channel.name, closedError())
    clearTimeout(channel.linger)
    all.delete(channel.name)
    if (limits && !channel.isFinal) leaving.push(channel.name)
    onDue()
  }
  const create = (name: string, own?: string): Subscription => {
    const channel: Subscription = {
      name,
      status: offline,
      closed: closedAs,
      readers: new Set(),
      presence: presence(data => outbox.send('presence', data, { channel: name }), report, () => tell(channel, ' presence'), own),
      cursors: cursors(),
      attempt: 0,
      isDue: true
    }
    all.set(name, channel)
    return channel
  }
  /** Subscribes from the position of the reader that is furthest behind. */
  const subscribe = (name: string): { channel: string, since: string | undefined } => {
    const channel = all.get(name)!
    const positions = [...channel.readers].map(({ cursors }) => cursors.since).sort((a, b) => offsetOf(a) - offsetOf(b))
    const since = channel.asked = positions[0] ?? channel.cursors.since
    channel.isDue = false
    asked[name] = (asked[name] || 0) + 1
    return { channel: name, since: since || undefined }
  }
  /** Frame about the first of some channels, as many as fit; `undefined` for none. Each is up to three values: an object and two texts. */
  const frameOf = (type: string, names: string[], partOf: (name: string) => unknown): string | undefined => {
    let { frame: room, nodes = 1_000 } = limits!
    const channels = names
      .slice(0, Math.min(mostInFrame, (nodes - 4) / 3))
      .filter(({ length }, at) => (room -= length + besideName) > 0 || !at)
      .map(partOf)
    return channels.length > 0 ? JSON.stringify({ type, data: { channels } }) : undefined
  }
  const subscribed = (channel: Subscription, data: ControlMessages['subscribed']): void => {
    const { position, recovered } = data
    stopTrying(channel)
    // It crossed the end of the channel.
    if (channel.isFinal) {
      leaving.push(channel.name)
      return onDue()
    }
    channel.cursors.start(position)
    channel.attempt = 0
    setStatus(channel, 'open')
    for (const { cursors, listeners } of [...channel.readers]) {
      const { since } = cursors
      const isBehind = cursors.advance(position)
      // The server has answered for the reader that is furthest behind.
      const isRecovered = since === channel.asked ? !!recovered : !isBehind
      if (since || recovered === false) listeners.tell(' resume', { recovered: isRecovered })
      listeners.tell(' subscribed', data)
    }
  }
  return {
    read (name, since) {
      const reader = { cursors: cursors(), listeners: listeners(report), since }
      const { closed: released } = closedError()
      let channel = all.get(name) ?? create(name)
      const isReading = () => channel.readers.has(reader)
      const join = (since?: string): void => {
        channel = all.get(name) ?? create(name, channel.presence.own)
        clearTimeout(channel.linger)
        const isElsewhere = since !== undefined && since !== channel.cursors.since
        reader.cursors.start(since ?? channel.cursors.since)
        channel.readers.add(reader)
        // Also if its `subscribe` is not answered.
        if (isElsewhere && limits && !channel.isDue) leaving.push(name)
        if (isElsewhere || channel.isDue) begin(channel)
      }
      join(since)
      return {
        name,
        listeners: reader.listeners,
        presence: shownPresence(
          () => isReading() ? channel.presence.snapshot() : nobody, data => channel.presence.update(data), reader.listeners
        ),
        get status () { return isReading() ? channel.status : 'closed' },
        get closed () { return isReading() ? channel.closed : released },
        get since () { return reader.cursors.since },
        on: reader.listeners.add,
        onStatus: listener => reader.listeners.add(' status', listener),
        onResume: listener => reader.listeners.add(' resume', listener),
        async send (type, data, options) { await this.request(type, data, options) },
        async request (type: string, data?: unknown, options?: RequestOptions): Promise<any> {
          if (this.closed) throw closedError(this.closed)
          return outbox.send(type, data, { ...options, channel: name })
        },
        close (linger = lingerMs) {
          if (!channel.readers.delete(reader) || channel.readers.size > 0) return
          channel.linger = after(closedAs ? 0 : linger, () => forget(channel))
        },
        reopen () {
          if (!isReading()) join(reader.cursors.since)
          else if (channel.status === 'closed') begin(channel)
        }
      }
    },
    receive (envelope) {
      const { type, channel: name, id, ref, data } = envelope
      const channel = all.get(name!)
      if (/^(un)?subscribed$/.test(type)) {
        const { reason } = data as Partial<ControlMessages['unsubscribed']>
        // Only the answer to the last `subscribe` counts, and none before the `subscribe` that is to be sent.
        if (reason === 'asked' || (asked[name!] && --asked[name!]) || !channel || channel.isDue) return true
        if (reason) end(channel, reason)
        // An open channel was subscribed by another tab.
        else if (channel.status !== 'open') subscribed(channel, data as ControlMessages['subscribed'])
        return true
      }
      if (!channel) return false
      if (type === 'resync') {
        const { position } = data as ControlMessages['resync']
        for (const { cursors } of [channel, ...channel.readers]) cursors.start(position)
        tell(channel, ' resume', { recovered: false })
      } else if (channel.status !== 'open') {
        return true
      } else if (type === 'presence') {
        channel.presence.hear(data as ControlMessages['presence'])
      } else {
        if (id) channel.cursors.advance(id)
        for (const { cursors, listeners, since } of [...channel.readers]) {
          // A publication of a chat may have the text of later ones, too. Its readers apply it again.
          if (id ? cursors.advance(id) || since === '' : outbox.has(ref)) {
            listeners.tell(type, data, envelope)
            listeners.tell('*', envelope)
          }
        }
      }
      return true
    },
    isReady (name) {
      const channel = all.get(name)
      if (channel && !channel.closed) return channel.status !== 'waiting' && !channel.isDue
    },
    next: () => limits && (
      frameOf('unsubscribe', leaving, () => leaving.shift()) ??
      frameOf('subscribe', [...all.keys()].filter(name => all.get(name)!.isDue), subscribe)
    ),
    start (now) {
      if (!now?.channels) {
        for (const { name, readers } of all.values()) if (readers.size > 0) report(new RealtimeError('unavailable', `${name}: this server has no channels`))
        return
      }
      limits = now
      for (const channel of all.values()) if (!channel.isFinal) begin(channel)
    },
    stop (status, closed) {
      limits = undefined
      leaving = []
      asked = {}
      offline = status
      closedAs = closed
      for (const channel of all.values()) {
        stopTrying(channel)
        if (!channel.isFinal) setStatus(channel, status, closed)
        if (closed && !channel.readers.size) forget(channel)
      }
    },
    again () {
      asked = {}
      for (const channel of all.values()) {
        if (channel.status !== 'connecting' || channel.isDue) continue
        // The server may have answered by now, and would read on instead of reading again.
        leaving.push(channel.name)
        channel.isDue = true
      }
    }
  }
}

/** Offset of a position `<label>.<epoch>.<offset>`; 0 for the empty position. */
function offsetOf (position: string): number {
  return +position.split('.')[2] || 0
}
