import type { Presence } from '../../protocol/presence.js'
import { after, type Timer } from '../clock.js'
import type { Listeners } from '../listeners.js'
import type { PresenceState } from './roster.js'

export type { PresenceState }

/** Minimum time between two updates: the server publishes five per second. */
const paceMs = 200

/** State before the first frame. */
export const nobody: PresenceState = { members: [], count: 0, isStale: true }

/** Members of a channel, and the function that sets the data of this connection. */
export interface ChannelPresence<D = unknown> extends PresenceState<D> {
  /** Calls `listener` after changes. Returns a function that removes it. */
  readonly subscribe: (listener: () => unknown) => (() => void)
  /** State as one object, the same until the next change. For React's `useSyncExternalStore`, together with `subscribe`. */
  readonly snapshot: () => PresenceState<D>
  /**
   * Replaces the data that others see of this connection; `undefined` removes it. Sent at most five times a second, the latest data last,
   * and again after each reconnect. Errors of the server go to `onError`.
   */
  readonly update: (data: D | undefined) => void
}

/** Presence of a channel, for its owner. */
export interface OwnedPresence extends Pick<ChannelPresence, 'snapshot' | 'update'> {
  /** Own data as JSON, as it was updated last; `undefined` for none. */
  readonly own: string | undefined
  /** Takes a frame of the server. */
  hear (frame: Presence): void
  /** The channel is subscribed, again if it was before, or no longer is. */
  setOpen (isOpen: boolean): void
}

/** Loads the code that applies frames. Most pages have no presence. */
export const loadRoster = () => import('./roster.js')

/** `send` sends the own data, and `own` is that data at first, as JSON. */
export function presence (
  send: (data: unknown) => Promise<unknown>, report: (error: unknown) => void, onChange: () => void, own?: string, load = loadRoster
): OwnedPresence {
  let state = nobody
  let isOpen = false
  /** Own data as it was sent since the channel is open; `undefined` for none. */
  let sent: string | undefined
  let timer: Timer
  /** Frames that are not applied yet; `undefined` after the code for it could not be loaded, until the next connection. */
  let frames: Presence[] | undefined = []

  const show = (next: PresenceState): void => {
    state = next
    onChange()
  }
  const flush = (): void => {
    if (!isOpen || timer || own === sent) return
    sent = own
    timer = after(paceMs, () => {
      timer = undefined
      flush()
    })
    send(own && JSON.parse(own)).catch(error => {
      // A lost connection is no fault of the update.
      if (isOpen) report(error)
    })
  }
  const apply = async (batch: Presence[]): Promise<void> => {
    try {
      const { applied } = await load()
      if (batch === frames) show(batch.splice(0).reduce(applied, state))
    } catch (error) {
      if (batch === frames) frames = undefined
      report(error)
    }
  }
  return {
    get own () { return own },
    snapshot: () => state,
    update (data) {
      own = JSON.stringify(data)
      flush()
    },
    hear (frame) {
      if (frames?.push(frame) === 1) apply(frames)
    },
    setOpen (isNowOpen) {
      isOpen = isNowOpen
      sent = timer = clearTimeout(timer) as undefined
      // The first frame of a connection is the whole state.
      frames = []
      if (!state.isStale) show({ ...state, isStale: true })
      flush()
    }
  }
}

/** Returns the presence for an app. Its changes are the event `' presence'` of `events`. */
export function shownPresence (
  snapshot: ChannelPresence['snapshot'], update: ChannelPresence['update'], events: Listeners
): ChannelPresence {
  return {
    get members () { return snapshot().members },
    get count () { return snapshot().count },
    get isStale () { return snapshot().isStale },
    subscribe: listener => events.add(' presence', listener),
    snapshot,
    update
  }
}
