import { createContext, createElement, useContext, useEffect, useInsertionEffect, useMemo, useRef, useState, type ReactElement, type ReactNode } from 'react'
import { isAddressed, Store, type StoreOptions } from './store.js'

/** What a provider gives to the hooks below it: its store, and the part of its latest options that a chat's address is made of. */
export interface Provided {
  readonly store: Store
  readonly userId: string | undefined
  /** Whether it is known where to connect, and as whom. */
  readonly isAddressed: boolean
}

const Context = createContext<Provided | undefined>(undefined)

export type ProviderProps = StoreOptions & { children?: ReactNode }

/**
 * The connection that the hooks use. It is made when this is mounted, closed when it is unmounted, and resumed when it is shown
 * again. Without a `userId`, `url` or `client` it is not connected, and connects once there is one. Another address is another
 * connection and mounts the children anew: nothing of one user is left for the next. Of the other options those of the latest
 * render hold, from the next attempt to connect on; `WebSocket` and `queue` are those of the first one.
 */
export function RealtimeProvider ({ children, ...options }: ProviderProps): ReactElement {
  const { client, url, baseUrl, userId, chat } = options
  const address = isAddressed(options) ? JSON.stringify([url, baseUrl, userId, chat]) : undefined
  const [place, move] = useState({ address, client, key: 0 })
  if (place.address !== address || place.client !== client) {
    // What was shown before there was an address is of this user too.
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

/** The options as they are whenever one is read. */
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

/** What was rendered last, for what is called later. It is there before any effect or event of that render. */
export function useLatest<T> (value: T): { readonly current: T } {
  const ref = useRef(value)
  useInsertionEffect(() => { ref.current = value })
  return ref
}
