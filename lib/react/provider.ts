import { createContext, createElement, useContext, useEffect, useInsertionEffect, useMemo, useRef, useState, type ReactElement, type ReactNode } from 'react'
import { isAddressed, Store, type StoreOptions } from './state/store.js'

/** Context of a provider: its store, and those of its latest options that form the address of a chat. */
export interface Provided {
  readonly store: Store
  readonly userId: string | undefined
  /** Whether the options name a user, a URL or a client. */
  readonly isAddressed: boolean
}

const Context = createContext<Provided | undefined>(undefined)

export type ProviderProps = StoreOptions & { children?: ReactNode }

/**
 * Provides the connection that the hooks use. It connects when it is mounted, disconnects when it is unmounted, and resumes when it is
 * shown again. Without a `userId`, `url` or `client` it waits until there is one. Another address means another connection and mounts
 * the children again, so that nothing of one user is left for the next. Other options apply from the next attempt to connect onwards;
 * `WebSocket` and `queue` are those of the first render.
 */
export function RealtimeProvider ({ children, ...options }: ProviderProps): ReactElement {
  const { client, url, baseUrl, userId, chat } = options
  const address = isAddressed(options) ? JSON.stringify([url, baseUrl, userId, chat]) : undefined
  const [place, move] = useState({ address, client, key: 0 })
  if (place.address !== address || place.client !== client) {
    // State from before there was an address belongs to this user too.
    move({ address, client, key: place.address === undefined ? place.key : place.key + 1 })
  }
  return createElement(Connected, { key: place.key, options, address, children })
}

interface ConnectedProps {
  options: StoreOptions
  address: string | undefined
  children?: ReactNode
}

function Connected ({ options, address, children }: ConnectedProps): ReactElement {
  const latest = useLatest(options)
  const [store] = useState(() => new Store(liveOf(latest)))
  useEffect(() => {
    store.start()
    return () => store.end()
  }, [store, address])
  const { userId } = options
  const value = useMemo(() => ({ store, userId, isAddressed: address !== undefined }), [store, userId, address])
  return createElement(Context.Provider, { value }, children)
}

/** Returns an object that reads each option from the latest render. */
function liveOf (latest: { readonly current: StoreOptions }): StoreOptions {
  return new Proxy({}, { get: (_, name) => latest.current[name as keyof StoreOptions] })
}

export function useProvided (): Provided {
  const provided = useContext(Context)
  if (provided === undefined) throw new Error('Put <RealtimeProvider userId="…"> around the components that use fastify-realtime')
  return provided
}

export function useStore (): Store {
  return useProvided().store
}

/** Returns a ref to the value of the latest render, which is set before any effect or event of that render. */
export function useLatest<T> (value: T): { readonly current: T } {
  const ref = useRef(value)
  useInsertionEffect(() => { ref.current = value })
  return ref
}
