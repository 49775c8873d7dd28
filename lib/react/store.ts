import { createClient, type ClientOptions, type Envelope, type RealtimeClient, type Resume, type Status } from '../client/index.js'

type Listener = (...args: any[]) => void

/** What React shows of a connection. A new object with each change, the same one without. */
export interface Snapshot {
  readonly status: Status
  readonly isConnected: boolean
  /** The latest message of any type. Of several that arrive together only the last is ever seen here: see `useMessages`. */
  readonly lastMessage: Envelope | undefined
}

/** A notification as a list shows it. */
export interface Notification {
  readonly id: string
  readonly title: string
  readonly message?: string
  /** ISO 8601 UTC. */
  readonly timestamp: string
  readonly isRead: boolean
  /** All that was sent. */
  readonly data: Envelope<'notification'>['data']
}

/** Newest first, at most so many. */
const maxNotifications = 100

const atFirst: Snapshot = { status: 'connecting', isConnected: false, lastMessage: undefined }

/** One provider's connection, and what its hooks share of it. It exists before the connection does, and on a server. */
export class Store {
  client: RealtimeClient | undefined
  readonly #options: ClientOptions
  readonly #listeners = new Set<{ type: string, listener: Listener, unbind?: () => void }>()
  readonly #onChange = new Set<() => void>()
  readonly #onResume = new Set<(resume: Resume) => void>()
  #snapshot = atFirst
  #notifications: readonly Notification[] = []
  #ending: ReturnType<typeof setTimeout> | undefined

  constructor (options: ClientOptions) {
    this.#options = options
  }

  /** Connects, unless it is connected. StrictMode starts, ends and starts again at once: that is one connection. */
  start (): void {
    clearTimeout(this.#ending)
    if (this.client !== undefined) return
    const client = createClient(this.#options)
    this.client = client
    client.on('notification', (data, envelope) => this.#notified(data, envelope))
    client.on('*', lastMessage => this.#change({ lastMessage }))
    client.onStatus(status => this.#change({ status, isConnected: status === 'open' }))
    client.onResume(resume => { for (const listener of [...this.#onResume]) listener(resume) })
    for (const bound of this.#listeners) bound.unbind = client.on(bound.type, bound.listener)
    this.#change({ status: client.status })
  }

  /** Closes, unless it is started again in this turn. */
  end (): void {
    this.#ending = setTimeout(() => {
      this.client?.close()
      this.client = undefined
    }, 0)
  }

  on (type: string, listener: Listener): () => void {
    const bound: { type: string, listener: Listener, unbind?: () => void } = { type, listener }
    bound.unbind = this.client?.on(type, listener)
    this.#listeners.add(bound)
    return () => {
      this.#listeners.delete(bound)
      bound.unbind?.()
    }
  }

  onResume (listener: (resume: Resume) => void): () => void {
    this.#onResume.add(listener)
    return () => { this.#onResume.delete(listener) }
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#onChange.add(listener)
    return () => { this.#onChange.delete(listener) }
  }

  readonly snapshot = (): Snapshot => this.#snapshot

  readonly notifications = (): readonly Notification[] => this.#notifications

  /** Marks one as read, or all. */
  readonly markRead = (id?: string): void => {
    this.#notifications = this.#notifications.map(each => id === undefined || each.id === id ? { ...each, isRead: true } : each)
    this.#changed()
  }

  #notified (data: Envelope<'notification'>['data'], { id, timestamp }: Envelope): void {
    const { title, message, id: own } = data!
    const one: Notification = { id: String(own ?? id), title, message, timestamp, isRead: false, data }
    this.#notifications = [one, ...this.#notifications.filter(each => each.id !== one.id)].slice(0, maxNotifications)
  }

  #change (part: Partial<Snapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...part }
    this.#changed()
  }

  #changed (): void {
    for (const listener of [...this.#onChange]) listener()
  }
}
