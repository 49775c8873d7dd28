import type { ControlMessages, Envelope } from '../../protocol/envelope.js'
import type { Parts } from './parts.js'
import { recent, type Recent } from './recent.js'
import { sharedPresence, type SharedPresence } from './shared-presence.js'

/** A channel on the connection that tabs share. */
interface SharedChannel {
  /** Sockets of the tabs that have subscribed. */
  readonly members: Set<string>
  /** Socket whose `subscribe` the server has not answered. */
  pending: string | undefined
  /** Sockets that wait for that answer, each with its `since`. */
  waiting: Array<[id: string, since: string]>
  /** Latest publications; `undefined` until the server has answered. */
  latest: Recent | undefined
  readonly presence: SharedPresence
}

/** The channels on the connection of a leader. The server knows one subscriber, whichever tabs have subscribed. */
export interface SharedChannels {
  /** Takes a frame that the tab with the socket `id` sends; `false` when it is not about subscriptions. */
  say (frame: string, id: string): boolean
  /** Takes a frame of the server. Returns the only socket that gets it; `undefined` when all do. */
  hear (envelope: Envelope, frame: string): string | undefined
  /** A socket is closed. */
  leave (id: string): void
  /** The connection is lost. */
  reset (): void
}

/** `send` sends a frame to the server, and `answer` frames to the socket `id`. */
export function sharedChannels (
  { parse, cursors, applied }: Pick<Parts, 'parse' | 'cursors' | 'applied'>, send: (frame: string) => void, answer: (id: string, frames: string[]) => void
): SharedChannels {
  const all = new Map<string, SharedChannel>()

  let joining: Array<{ channel: string, since: string | undefined }> = []
  let leaving: string[] = []

  const ask = (type: string, channels: unknown[]): void => {
    if (channels.length > 0) send(JSON.stringify({ type, data: { channels } }))
  }
  /** Sends what the server has to know: first the channels to leave, because some are read again. */
  const flush = (): void => {
    ask('unsubscribe', leaving)
    ask('subscribe', joining)
    leaving = []
    joining = []
  }

  /** Whether a position is after another one, or of another epoch; also if one is empty. */
  const isAfter = (position: string, since: string): boolean => {
    const reader = cursors()
    reader.start(since)
    return reader.advance(position)
  }

  /** `next`: position after which the server sends its next frames; empty if it is not known. */
  const subscribe = (name: string, id: string, since = '', next = ''): void => {
    const channel = all.get(name) ??
      { members: new Set(), pending: undefined, waiting: [], latest: undefined, presence: sharedPresence(name, applied, send) }
    all.set(name, channel)
    channel.members.add(id)
    const { pending, waiting, latest, presence } = channel
    // A tab that asks again was refused for its rate.
    if (pending && pending !== id) {
      waiting.push([id, since])
      return
    }
    // A publication of a chat may have the text of later ones, too, so only the server knows what a tab has missed.
    const missed = /^chat:/.test(name)
      ? !isAfter(next, since) && []
      : latest && (since ? latest.after(since) : [])
    if (missed) {
      const data = { position: since || latest!.position, recovered: !!since || undefined, replayed: missed.length }
      const frame = presence.frame()
      return answer(id, [JSON.stringify({ type: 'subscribed', channel: name, data }), ...missed, ...frame ? [frame] : []])
    }
    channel.pending = id
    if (latest) leaving.push(name)
    // Not beyond the latest publication: the other tabs need the next one.
    joining.push({ channel: name, since: latest && !isAfter(latest.position, since) ? latest.position : since || undefined })
  }

  const unsubscribe = (name: string, id: string): void => {
    const channel = all.get(name)
    if (!channel?.members.delete(id)) return
    if (channel.members.size > 0) return channel.presence.leave(id)
    all.delete(name)
    leaving.push(name)
  }

  const goOn = (name: string, channel: SharedChannel, position: string): void => {
    channel.pending = undefined
    for (const [id, since] of channel.waiting.splice(0)) if (channel.members.has(id)) subscribe(name, id, since, position)
    flush()
  }

  return {
    say (frame, id) {
      if (/^\{"type":"presence"/.test(frame)) {
        const channel = all.get(parse(frame)!.channel!)
        if (channel?.members.has(id)) channel.presence.say(id, frame)
      }
      if (!/^\{"type":"(un)?subscribe"/.test(frame)) return false
      const { type, data } = parse(frame)! as { type: string, data: { channels: any[] } }
      for (const of of data.channels) {
        if (type === 'subscribe') subscribe(of.channel, id, of.since)
        else unsubscribe(of, id)
      }
      flush()
      return true
    },
    hear (envelope, frame) {
      const { type, channel: name, data } = envelope
      const channel = all.get(name!)
      if (!channel) return undefined
      const { pending } = channel
      if (type === 'subscribed') {
        const { recovered, position } = data as ControlMessages['subscribed']
        const { latest } = channel
        // The others had subscribed before, and have missed publications if their position is before this one.
        if (!recovered && latest && isAfter(position, latest.position)) {
          const resync = JSON.stringify({ type: 'resync', channel: name, data: { position } })
          for (const id of channel.members) if (id !== pending) answer(id, [resync])
        }
        channel.latest ??= recent(cursors)
        channel.latest.hear({ type: 'connection_ack', data: { recovered: latest && recovered, position } } as Envelope, frame)
        // Subscribing again has removed the data.
        if (latest) channel.presence.sayAgain()
        // Before the frames that follow this one: the tabs that wait get them, too.
        goOn(name!, channel, position)
        return pending
      }
      if (type === 'unsubscribed') {
        if ((data as ControlMessages['unsubscribed']).reason === 'asked') return ''
        channel.latest = undefined
        all.delete(name!)
        return undefined
      }
      if (type === 'presence') channel.presence.hear(data as ControlMessages['presence'])
      channel.latest?.hear(envelope, frame)
      return undefined
    },
    leave (id) {
      for (const [name, { members }] of [...all]) if (members.has(id)) unsubscribe(name, id)
      flush()
    },
    reset () {
      all.clear()
    }
  }
}
