import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react'
import { channelName, type ChannelAnswer, type Channel, type ChannelData, type ChannelEnvelope } from '../client/channels/channel.js'
import { RealtimeError, type Closed, type Envelope, type KindName, type MessagesOf, type Resume, type Status } from '../client/index.js'
import { attempt } from '../client/listeners.js'
import { useLatest, useProvided } from './provider.js'
import { atFirst, type ChannelStore, type Stop } from './state/channel-store.js'
import type { Store } from './state/store.js'

/** Handler of a type that the kind does not declare. A method: its parameter may be of the type that the app expects. */
type AnyHandler = { handle (data: unknown, envelope: Envelope): unknown }['handle']

/** @inline */
type HandlerOf<K, T extends string> = T extends '*'
  ? (envelope: Envelope) => unknown
  : T extends keyof MessagesOf<K> ? (data: ChannelData<K, T>, envelope: ChannelEnvelope<K, T>) => unknown : AnyHandler

/** Handlers of a channel's messages, by type. `'*'` gets each envelope. */
export type ChannelHandlers<K extends string = KindName, T extends string = string> = { readonly [P in T]?: HandlerOf<K, P> | undefined }

export interface ChannelOptions {
  /** Called after each reconnect, and with `recovered: false` when messages were missed. Default: none. */
  onResume?: ((resume: Resume) => unknown) | undefined
}

/** State of a channel, and its functions. */
export interface ShownChannel<K extends string = KindName> extends Pick<Channel<K>, 'send' | 'request'> {
  /** `open` once subscribed; `idle` while the id, or the user of the provider, is unknown. */
  readonly status: Status | 'idle'
  /** Why the channel has ended; `undefined` unless it is closed. */
  readonly closed: Closed | undefined
  /** Subscribes again after the channel has ended. Opens a closed connection again. */
  readonly retry: () => void
}

type Handler = (...args: unknown[]) => unknown

const idle = { status: 'idle', closed: undefined } as const
const nothing = () => () => {}
const first = () => atFirst

/**
 * Opens a channel on the connection of the provider while the component is mounted, and calls `handlers` with its messages. The result
 * changes with the status only; `send` and `request` are the same functions while the channel is the same. A component that is hidden,
 * for example by `<Activity>`, unsubscribes after 5 s. When it is shown again, it gets the messages that it missed, or `onResume` gets
 * `recovered: false`. Throws a TypeError if the kind or the id is invalid. `id`: `undefined` while it is unknown.
 */
export function useChannel<K extends KindName, T extends string = never> (
  kind: K, id: string | undefined, handlers: ChannelHandlers<K, T> = {}, { onResume }: ChannelOptions = {}
): ShownChannel<K> {
  const { store, isAddressed } = useProvided()
  const isKnown = isAddressed && id != null
  const mounted = useMemo(() => new MountedChannel<K>(store, isKnown ? channelName(kind, id) : undefined), [store, isKnown, kind, id])
  const latest = useLatest({ handlers: handlers as Readonly<Record<string, Handler | undefined>>, onResume })
  const stopped = useRef<{ mounted: MountedChannel<K>, stop: Stop }>(undefined)
  const [shown, show] = useState<{ mounted: MountedChannel<K>, channel: ChannelStore }>()
  useEffect(() => {
    if (!isKnown) return
    const stop = stopped.current?.mounted.is(mounted) ? stopped.current.stop : undefined
    const channel = mounted.open(stop?.channel)
    show({ mounted, channel })
    const unbind = channel.listen({
      onMessage (envelope) {
        const { handlers } = latest.current
        const { type, data } = envelope
        if (Object.hasOwn(handlers, type)) attempt(() => handlers[type]?.(data, envelope), store.report)
        attempt(() => handlers['*']?.(envelope), store.report)
      },
      onResume: resume => latest.current.onResume?.(resume)
    }, stop)
    return () => {
      unbind()
      stopped.current = { mounted, stop: channel.stop }
      mounted.leave()
    }
  }, [store, mounted, isKnown, latest])
  // Until the effect has run, `shown` is the previous channel.
  const current = shown?.mounted.is(mounted) ? shown.channel : undefined
  const state = useSyncExternalStore(current?.subscribe ?? nothing, current?.snapshot ?? first, first)
  return useMemo(() => ({ ...isKnown ? state : idle, ...mounted.actions }), [state, mounted, isKnown])
}

/** Holds the channel of a mounted component. Its functions never act on another channel. */
class MountedChannel<K extends KindName> {
  readonly #store: Store
  /** Name of the channel; `undefined` while it is unknown. */
  readonly #name: string | undefined
  #channel: ChannelStore | undefined

  constructor (store: Store, name: string | undefined) {
    this.#store = store
    this.#name = name
  }

  readonly actions: Pick<ShownChannel<K>, 'send' | 'request' | 'retry'> = {
    send: async (type, data, options) => { await this.#request(type, data, options) },
    request: async <T extends string>(type: T, data?: unknown, options?: object) =>
      await this.#request(type, data, options) as ChannelAnswer<K, T>,
    retry: () => {
      this.#store.retry()
      this.#channel?.reopen()
    }
  }

  /** Whether both are for the same channel: React may discard memoized values. */
  is (mounted: MountedChannel<K>): boolean {
    return mounted.#store === this.#store && mounted.#name === this.#name
  }

  /** Opens the channel. `before`: the object of the channel that the component showed before. */
  open (before: ChannelStore | undefined): ChannelStore {
    this.#channel = this.#store.channels.open(this.#name!, before)
    return this.#channel
  }

  leave (): void {
    this.#channel!.leave()
    this.#channel = undefined
  }

  async #request (type: string, data: unknown, options: object | undefined): Promise<unknown> {
    // The effects of children run before the effect that opens the channel, which runs in the same task.
    if (this.#channel === undefined) await Promise.resolve()
    if (this.#channel !== undefined) return this.#store.unanswered.add(this.#channel.request(type, data, options))
    const reason = this.#name === undefined ? 'the id of this channel is unknown yet' : 'the component of this channel is not mounted'
    throw new RealtimeError('closed', reason)
  }
}
