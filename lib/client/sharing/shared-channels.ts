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
  waiting: Array<[id: string, since: string | undefined]>
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

  const subscribe = (name: string, id: string, since?: string): void => {
    const channel = all.get(name) ??
      { members: new Set(), pending: undefined, waiting: [], latest: undefined, presence: sharedPresence(name, applied, send) }
    all.set(name, channel)
    channel.members.add(id)
    const { latest, pending, waiting, presence } = channel
    // A tab that asks again was refused for its rate.
    if (pending && pending !== id) {
      waiting.push([id, since])
      return
    }
    // A chat is read from its beginning, which the latest publications do not have.
    const missed = latest && (since ? latest.after(since) : /^chat:/.test(name) ? undefined : [])
    if (missed) {
      const data = { position: since || latest!.position, recovered: since ? true : undefined, replayed: missed.length }
      const frame = presence.frame()
      return answer(id, [JSON.stringify({ type: 'subscribed', channel: name, data }), ...missed, ...frame ? [frame] : []])
    }
    channel.pending = id
    if (latest) leaving.push(name)
    joining.push({ channel: name, since })
  }

  const unsubscribe = (name: string, id: string): void => {
    const channel = all.get(name)
    if (!channel?.members.delete(id)) return
    if (channel.members.size > 0) return channel.presence.leave(id)
    all.delete(name)
    leaving.push(name)
  }

  const goOn = (name: string, channel: SharedChannel): void => {
    channel.pending = undefined
    for (const [id, since] of channel.waiting.splice(0)) if (channel.members.has(id)) subscribe(name, id, since)
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
        const others = cursors()
        others.start(latest ? latest.position : position)
        channel.latest ??= recent(cursors)
        channel.latest.hear({ type: 'connection_ack', data: { recovered: latest && recovered, position } } as Envelope, frame)
        // The others had subscribed before, and have missed publications if their position is before this one.
        const resync = JSON.stringify({ type: 'resync', channel: name, data: { position } })
        if (!recovered && others.advance(position)) for (const id of channel.members) if (id !== pending) answer(id, [resync])
        // Subscribing again has removed the data.
        if (latest) channel.presence.sayAgain()
        // After the frames that follow this one, so that the others get them as missed.
        goOn(name!, channel)
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
