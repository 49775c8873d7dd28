import type { Presence } from '../../protocol/presence.js'
import type { PresenceState } from '../channels/presence.js'
import type { Parts } from './parts.js'

/** Presence in a channel on the connection that tabs share: for the server, the tabs are one connection with one data. */
export interface SharedPresence {
  /** Takes a `presence` frame that the tab with the socket `id` sends. */
  say (id: string, frame: string): void
  /** Call when a tab leaves the channel. Sends the latest data of the other tabs, unless the server has it. */
  leave (id: string): void
  /** Sends the latest data. */
  sayAgain (): void
  /** Takes the data of a `presence` frame of the server. */
  hear (data: Presence): void
  /** Frame with the state for a tab that joins; `undefined` before the first frame of the server. */
  frame (): string | undefined
}

/** `send` sends a frame to the server. */
export function sharedPresence (channel: string, applied: Parts['applied'], send: (frame: string) => void): SharedPresence {
  /** Latest frame of each socket; the latest of all is the last. */
  const frames = new Map<string, string>()
  let state: PresenceState | undefined

  const type = 'presence'
  const latest = (): string | undefined => [...frames.values()].pop()
  const sayAgain = (frame = latest()): void => {
    if (frame) send(frame)
  }
  return {
    say (id, frame) {
      frames.delete(id)
      frames.set(id, frame)
    },
    leave (id) {
      const before = latest()
      frames.delete(id)
      if (latest() !== before) sayAgain(latest() ?? JSON.stringify({ type, channel }))
    },
    sayAgain: () => sayAgain(),
    hear (data) {
      state = applied(state ?? { members: [] }, data)
    },
    frame: () => state && JSON.stringify({ type, channel, data: frameOf(state) })
  }
}

/** Returns the frame of a state, for another reader. */
export function frameOf ({ members, count, isStale }: PresenceState): object {
  return {
    count,
    members: count > members.length ? null : members.map(({ userId, connections }) => ({ user_id: userId, connections })),
    stale: isStale || undefined
  }
}
