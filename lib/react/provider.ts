import { createContext, createElement, useContext, useEffect, useInsertionEffect, useRef, useState, type ReactElement, type ReactNode } from 'react'
import type { ClientOptions } from '../client/index.js'
import { Store } from './store.js'

const Context = createContext<Store | undefined>(undefined)

/**
 * The connection that the hooks use. It is made when this is mounted, and closed when it is unmounted. Another address
 * is another connection and mounts the children anew: nothing of one user is left for the next. Of the other options
 * `getToken` and `onError` may change, come and go; the rest are those of the first time.
 */
export function RealtimeProvider ({ children, ...options }: ClientOptions & { children?: ReactNode }): ReactElement {
  const { url, baseUrl, userId, chat } = options
  return createElement(Connected, { key: JSON.stringify([url, baseUrl, userId, chat]), options, children })
}

function Connected ({ options, children }: { options: ClientOptions, children?: ReactNode }): ReactElement {
  const latest = useLatest(options)
  const [store] = useState(() => new Store({
    ...options,
    // The client asks each time whether there is one.
    get getToken (): ClientOptions['getToken'] { return latest.current.getToken && (reason => latest.current.getToken?.(reason)) },
    onError: error => (latest.current.onError ?? console.error)(error)
  }))
  useEffect(() => {
    store.start()
    return () => store.end()
  }, [store])
  return createElement(Context.Provider, { value: store }, children)
}

export function useStore (): Store {
  const store = useContext(Context)
  if (store === undefined) throw new Error('Put <RealtimeProvider userId="…"> around the components that use fastify-realtime')
  return store
}

/** What was rendered last, for what is called later. It is there before any effect or event of that render. */
export function useLatest<T> (value: T): { readonly current: T } {
  const ref = useRef(value)
  useInsertionEffect(() => { ref.current = value })
  return ref
}
