import type { ControlMessages, Envelope } from '../../protocol/envelope.js'
import { applied, frameOf, nobody, type PresenceState } from '../channels/roster.js'
import { parse } from '../frame.js'
import { recent, type Recent } from './recent.js'

/** A channel on the connection that tabs share. */
interface SharedChannel {
  /** Sockets of the tabs that have subscribed, each with its latest `presence` frame, or `''`. The latest frame of all is the last. */
  readonly members: Map<string, string>
  /** Socket whose `subscribe` the server has not answered. */
  pending: string | undefined
  /** Sockets that wait for that answer, each with its `since`. */
  waiting: Array<[id: string, since: string | undefined]>
  /** Latest publications; `undefined` until the server has answered. */
  latest: Recent | undefined
  /** Presence in the channel; `undefined` before its first frame. */
  presence: PresenceState | undefined
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
export function sharedChannels (send: (frame: string) => void, answer: (id: string, frames: string[]) => void): SharedChannels {
  const all = new Map<string, SharedChannel>()

  const ask = (type: string, channels: unknown): void => send(JSON.stringify({ type, data: { channels } }))

  const subscribe = (name: string, id: string, since?: string): void => {
    const channel = all.get(name) ?? { members: new Map(), pending: undefined, waiting: [], latest: undefined, presence: undefined }
    all.set(name, channel)
    channel.members.set(id, channel.members.get(id) ?? '')
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
      const frames = [JSON.stringify({ type: 'subscribed', channel: name, data }), ...missed]
      if (presence) frames.push(JSON.stringify({ type: 'presence', channel: name, data: frameOf(presence) }))
      return answer(id, frames)
    }
    channel.pending = id
    if (latest) ask('unsubscribe', [name])
    ask('subscribe', [{ channel: name, since }])
  }

  const unsubscribe = (name: string, id: string): void => {
    const channel = all.get(name)
    if (!channel) return
    const own = channel.members.get(id)
    channel.members.delete(id)
    if (channel.members.size > 0) return updatePresence(channel, own && JSON.stringify({ type: 'presence', channel: name }))
    all.delete(name)
    ask('unsubscribe', [name])
  }

  /** Sends the latest data of the tabs that are left: for the server they are one connection. */
  const updatePresence = ({ members }: SharedChannel, other?: string): void => {
    const frame = [...members.values()].filter(Boolean).pop() || other
    if (frame) send(frame)
  }

  const goOn = (name: string, channel: SharedChannel): void => {
    channel.pending = undefined
    for (const [id, since] of channel.waiting.splice(0)) if (channel.members.has(id)) subscribe(name, id, since)
  }

  return {
    say (frame, id) {
      if (/^\{"type":"presence"/.test(frame)) {
        const members = all.get(parse(frame)!.channel!)?.members
        if (members?.delete(id)) members.set(id, frame)
      }
      if (!/^\{"type":"(un)?subscribe"/.test(frame)) return false
      const { type, data } = parse(frame)! as { type: string, data: { channels: any[] } }
      for (const of of data.channels) {
        if (type === 'subscribe') subscribe(of.channel, id, of.since)
        else unsubscribe(of, id)
      }
      return true
    },
    hear (envelope, frame) {
      const { type, channel: name, data } = envelope
      const channel = all.get(name!)
      if (!channel) return undefined
      const { pending } = channel
      if (type === 'subscribed') {
        const { recovered, position } = data as ControlMessages['subscribed']
        const isNew = !channel.latest
        channel.latest ??= recent()
        channel.latest.hear({ ...envelope, type: 'connection_ack', data: { recovered: isNew ? undefined : recovered, position } as any }, frame)
        // The others had subscribed before, and may have missed publications.
        const resync = JSON.stringify({ type: 'resync', channel: name, data: { position } })
        if (!isNew && !recovered) for (const id of channel.members.keys()) if (id !== pending) answer(id, [resync])
        // Subscribing again has removed the data.
        if (!isNew) updatePresence(channel)
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
      if (type === 'presence') channel.presence = applied(channel.presence ?? nobody, data as ControlMessages['presence'])
      channel.latest?.hear(envelope, frame)
      return undefined
    },
    leave (id) {
      for (const [name, { members }] of [...all]) if (members.has(id)) unsubscribe(name, id)
    },
    reset () {
      all.clear()
    }
  }
}
