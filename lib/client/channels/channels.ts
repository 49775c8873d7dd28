import type { UnsubscribedReason } from '../../protocol/channels.js'
import type { ControlMessages, Envelope, Limits } from '../../protocol/envelope.js'
import { ownCodes } from '../../protocol/own-codes.js'
import { fullJitter, type Backoff } from '../backoff.js'
import { after, type Timer } from '../clock.js'
import { cursors } from '../cursors.js'
import { closedError, RealtimeError, type Closed } from '../error.js'
import { listeners } from '../listeners.js'
import { presence, type OwnedPresence } from './presence.js'
import type { Status } from '../status.js'

const enum Most {
  /** Maximum number of channels in a frame. */
  inFrame = 100
}

const enum Ms {
  /** Time for which a channel without a handle stays subscribed: a component that is mounted again does not miss anything. */
  linger = 5_000
}

/** Code that stands for the reason for which a channel has ended. Other reasons are temporary. */
const final: { readonly [reason in UnsubscribedReason]?: number } = {
  removed: ownCodes.FORBIDDEN.code,
  forbidden: ownCodes.FORBIDDEN.code,
  unknown_channel: ownCodes.BAD_MESSAGES.code,
  invalid_channel: ownCodes.BAD_MESSAGES.code
}

/** A channel of a client's connection, for as long as it has handles. */
export interface ClientChannel {
  readonly name: string
  readonly status: Status
  /** Why it has ended; `undefined` unless its status is `closed`. */
  readonly closed: Closed | undefined
  /** Listeners by message type, `'*'`, and those of the events `' status'` and `' resume'`. */
  readonly listeners: ReturnType<typeof listeners>
  readonly presence: OwnedPresence
  /** Position up to which it was read; empty at first. */
  readonly since: string
  release (): void
  /** Subscribes again after it has ended. */
  reopen (): void
}

interface Entry extends ClientChannel {
  status: Status
  closed: Closed | undefined
  holders: number
  cursors: ReturnType<typeof cursors>
  attempt: number
  /** Ends the wait for the next attempt to subscribe. */
  retry: Timer
  /** Ends a subscription without handles. */
  linger: Timer
  /** Whether the server has ended it for good: only `reopen` subscribes again. */
  isFinal: boolean
  /** Whether a `subscribe` has to be sent. */
  isDue: boolean
}

export interface ChannelsOptions {
  readonly backoff: () => Backoff | undefined
  readonly report: (error: unknown) => void
  /** Called when there is a frame to send. */
  readonly onDue: () => void
  /** Whether a frame with this `ref` answers a message of this client: tabs with one connection get the frames of each other. */
  readonly isOwn: (ref: unknown) => boolean
  /** Called when a channel has ended: messages to it are not handled. */
  readonly onEnd: (name: string, error: RealtimeError) => void
  /** Sends the own data of the presence in a channel. */
  readonly sendPresence: (name: string, data: unknown) => Promise<unknown>
}

/** The channels of a client, beside that of its path. */
export interface Channels {
  /**
   * Subscribes to a channel, unless it is subscribed. Each call needs a `release` of the result. `since`: position to read it from, even if
   * it is subscribed; `''` for where its kind starts. Default: like the other users of the channel.
   */
  open (name: string, since?: string): ClientChannel
  /** Whether a channel is open, or was until less than 5 s ago. */
  has (name: string): boolean
  /** Takes a frame; `false` when it is not for one of these channels. */
  receive (envelope: Envelope): boolean
  /** Whether a message to a channel can be sent; `undefined` when it never can, because the channel has ended. */
  isReady (name: string): boolean | undefined
  /** Next frame to send: a `subscribe` or an `unsubscribe`; `undefined` when there is none. */
  next (): string | undefined
  /** A connection is open: subscribes again, within the limits of the server. */
  start (limits: Partial<Limits> | undefined): void
  /** The client has another status than `open`. */
  stop (status: Status, closed: Closed | undefined): void
  /** The server dropped frames because they came too fast: sends those again that are not answered. */
  again (): void
}

export function channels ({ backoff, report, onDue, onEnd, isOwn, sendPresence }: ChannelsOptions): Channels {
  const all = new Map<string, Entry>()
  let leaving: string[] = []
  /** Number of `subscribe`s that the server has not answered, by channel. Only the last answer counts. */
  let asked: Record<string, number> = {}
  /** Limits of the server while the connection is open. */
  let limits: Partial<Limits> | undefined
  /** Latest status of the client other than `open`, and its close. */
  let offline: Status = 'waiting'
  let closedAs: Closed | undefined

  const setStatus = (entry: Entry, status: Status, closed?: Closed): void => {
    if (entry.status === status) return
    entry.status = status
    entry.closed = closed
    entry.presence.setOpen(status === 'open')
    entry.listeners.tell(' status', status, closed)
  }
  const begin = (entry: Entry): void => {
    clearTimeout(entry.retry)
    entry.isFinal = false
    entry.isDue = true
    setStatus(entry, limits ? 'connecting' : offline, closedAs)
    onDue()
  }
  const end = (entry: Entry, reason: UnsubscribedReason): void => {
    const code = final[reason]
    const closed = code ? closedError({ code, reason }).closed : undefined
    const error = new RealtimeError(reason, `${entry.name}: ${reason}`, closed)
    if (closed) {
      entry.isFinal = true
      setStatus(entry, 'closed', closed)
      onEnd(entry.name, error)
      return report(error)
    }
    if (reason === 'too_many_channels' && !entry.attempt) report(error)
    entry.retry = after((backoff() ?? fullJitter)(entry.attempt++), () => begin(entry))
    setStatus(entry, 'waiting')
  }
  const lose = (entry: Entry): void => {
    entry.isDue = false
    clearTimeout(entry.retry)
  }
  const forget = (entry: Entry): void => {
    lose(entry)
    onEnd(entry.name, new RealtimeError('closed', `${entry.name}: closed`))
    clearTimeout(entry.linger)
    all.delete(entry.name)
    if (limits && !entry.isFinal) leaving.push(entry.name)
    onDue()
  }
  const create = (name: string, since = ''): Entry => {
    const events = listeners(report)
    const entry: Entry = {
      name,
      status: 'waiting',
      closed: undefined,
      holders: 0,
      cursors: cursors(),
      listeners: events,
      presence: presence({
        send: data => sendPresence(name, data),
        report,
        events
      }),
      attempt: 0,
      retry: undefined,
      linger: undefined,
      isFinal: false,
      isDue: false,
      get since () { return entry.cursors.since },
      release () {
        if (--entry.holders === 0) entry.linger = after(closedAs ? 0 : Ms.linger, () => forget(entry))
      },
      reopen () {
        if (entry.status === 'closed') begin(entry)
      }
    }
    entry.cursors.start(since)
    all.set(name, entry)
    begin(entry)
    return entry
  }
  return {
    open (name, since) {
      const entry = all.get(name) ?? create(name, since)
      clearTimeout(entry.linger)
      entry.holders++
      if (since !== undefined && since !== entry.cursors.since) {
        entry.cursors = cursors()
        entry.cursors.start(since)
        // Also if its `subscribe` is not answered.
        if (limits && !entry.isDue) leaving.push(name)
        begin(entry)
      }
      return entry
    },
    has: name => all.has(name),
    receive (envelope) {
      const { type, channel: name, id, ref, data } = envelope
      const isAnswer = /^(un)?subscribed$/.test(type) && (data as { reason?: string }).reason !== 'asked'
      const isOld = isAnswer && asked[name!] > 0 && --asked[name!] > 0
      const entry = all.get(name!)
      if (!entry || isOld) return !!entry || /^(un)?subscribed$/.test(type)
      if (type === 'subscribed') {
        const { position, recovered } = data as ControlMessages['subscribed']
        // For another tab with the same channel, or before the `subscribe` that is to be sent.
        if (entry.status === 'open' || entry.isDue) return true
        clearTimeout(entry.retry)
        // It crossed the end of the channel.
        if (entry.isFinal) {
          leaving.push(entry.name)
          onDue()
          return true
        }
        const isResumed = !!entry.cursors.since
        entry.cursors.start(position)
        entry.attempt = 0
        setStatus(entry, 'open')
        if (isResumed || recovered === false) entry.listeners.tell(' resume', { recovered: recovered === true })
      } else if (type === 'unsubscribed') {
        const { reason } = data as ControlMessages['unsubscribed']
        if (reason !== 'asked' && !entry.isDue) end(entry, reason)
      } else if (type === 'resync') {
        entry.cursors.start((data as { position: string }).position)
        entry.listeners.tell(' resume', { recovered: false })
      } else if (type === 'presence') {
        if (entry.status !== 'open') return true
        entry.presence.hear(data as ControlMessages['presence'])
        entry.listeners.tell(type, data)
      } else if (entry.status === 'open' && (id ? entry.cursors.advance(id) : isOwn(ref))) {
        entry.listeners.tell(type, data, envelope)
        entry.listeners.tell('*', envelope)
      }
      return true
    },
    isReady (name) {
      const { status = 'closed', isDue } = all.get(name) ?? {}
      return status === 'closed' ? undefined : status !== 'waiting' && !isDue
    },
    next () {
      if (!limits) return undefined
      if (leaving.length > 0) {
        return JSON.stringify({ type: 'unsubscribe', data: { channels: leaving.splice(0, Most.inFrame) } })
      }
      const due = []
      // A channel is an object with two strings; the frame and its list are objects, too.
      let room = Math.min(((limits.nodes ?? 1000) - 9) / 4, Most.inFrame - 1)
      let bytes = (limits.frame ?? 65536) - 99
      for (const entry of all.values()) {
        if (!entry.isDue) continue
        const { name: channel, cursors: { since } } = entry
        bytes -= 40 + channel.length + since.length
        if (due.length > 0 && (bytes < 0 || room-- < 1)) break
        entry.isDue = false
        asked[channel] = (asked[channel] ?? 0) + 1
        due.push({ channel, since: since || undefined })
      }
      return due.length > 0 ? JSON.stringify({ type: 'subscribe', data: { channels: due } }) : undefined
    },
    start (now) {
      if (!now?.channels) {
        for (const { name, holders } of all.values()) if (holders > 0) report(new RealtimeError('unavailable', `${name}: this server has no channels`))
        return
      }
      limits = now
      for (const entry of all.values()) if (!entry.isFinal) begin(entry)
    },
    stop (status, closed) {
      limits = undefined
      leaving = []
      asked = {}
      offline = status
      closedAs = closed
      for (const entry of all.values()) {
        lose(entry)
        if (!entry.isFinal) setStatus(entry, status, closed)
        if (closed && entry.holders === 0) forget(entry)
      }
    },
    again () {
      asked = {}
      for (const entry of all.values()) {
        if (entry.status !== 'connecting' || entry.isDue) continue
        // The server may have answered by now, and would read on instead of reading again.
        leaving.push(entry.name)
        entry.isDue = true
      }
    }
  }
}
