import { createClient, RealtimeError, type ClientOptions, type Envelope, type RealtimeClient, type Resume, type Status } from '../client/index.js'
import { isMessage } from '../client/frame.js'
import { Notifications } from './notifications.js'

type Listener = (...args: any[]) => void

/** What React shows of a connection. A new object with each change, the same one without. */
export interface Snapshot {
  readonly status: Status
  readonly isConnected: boolean
  /** The latest message of any type. Of several that arrive together only the last is ever seen here: see `useMessages`. */
  readonly lastMessage: Envelope | undefined
}

interface Bound {
  readonly type: string
  readonly listener: Listener
  unbind?: () => void
}

/** On a server, and before anything has come. */
export const atFirst: Snapshot = { status: 'connecting', isConnected: false, lastMessage: undefined }

/** One provider's connection, and what its hooks share of it. It exists before the connection does, and on a server. */
export class Store {
  readonly notifications = new Notifications()
  readonly options: ClientOptions
  readonly #listeners = new Set<Bound>()
  readonly #onChange = new Set<() => void>()
  readonly #onResume = new Set<(resume: Resume) => void>()
  readonly #onGap = new Set<() => void>()
  /** Of these, those that came while there was no connection: they have known nothing, whatever is recovered. */
  readonly #owed = new Set<() => void>()
  #client: RealtimeClient | undefined
  #snapshot = atFirst
  /** The client that was open last. */
  #opened: RealtimeClient | undefined
  #ending: ReturnType<typeof setTimeout> | undefined
  #telling: ReturnType<typeof setTimeout> | undefined

  constructor (options: ClientOptions) {
    this.options = options
  }

  /** Connects, unless it is connected. StrictMode starts, ends and starts again at once: that is one connection. */
  start (): void {
    clearTimeout(this.#ending)
    if (this.#client !== undefined) return
    const client = createClient(this.options)
    this.#client = client
    client.on('*', envelope => this.#received(envelope))
    for (const bound of this.#listeners) bound.unbind = client.on(bound.type, bound.listener)
    client.onStatus(status => this.#onStatus(status))
    client.onResume(resume => this.#resumed(resume))
    this.#change({ status: client.status })
  }

  /** Closes, unless it is started again in this turn. */
  end (): void {
    this.#ending = setTimeout(() => {
      const client = this.#client
      this.#client = undefined
      client?.close()
      clearTimeout(this.#telling)
      this.#telling = undefined
    }, 0)
  }

  async send (...args: Parameters<RealtimeClient['send']>): Promise<void> {
    // The effects of children run before the provider's, which connects: a moment later it has.
    if (this.#client === undefined) await Promise.resolve()
    if (this.#client === undefined) throw new RealtimeError('closed', 'the provider of this connection is not mounted')
    return this.#client.send(...args)
  }

  on (type: string, listener: Listener): () => void {
    const bound: Bound = { type, listener, unbind: this.#client?.on(type, listener) }
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

  /** Calls `listener` when it is not enough to listen: once connected, also when that is so already, and after a loss. */
  onGap (listener: () => void): () => void {
    this.#onGap.add(listener)
    if (this.#snapshot.isConnected) listener()
    else this.#owed.add(listener)
    return () => {
      this.#onGap.delete(listener)
      this.#owed.delete(listener)
    }
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#onChange.add(listener)
    return () => { this.#onChange.delete(listener) }
  }

  readonly snapshot = (): Snapshot => this.#snapshot

  /** Something that React shows has changed. */
  readonly tell = (): void => {
    clearTimeout(this.#telling)
    this.#telling = undefined
    for (const listener of [...this.#onChange]) listener()
  }

  /** Never throws: whoever reports goes on afterwards. */
  readonly report = (error: unknown): void => {
    try {
      (this.options.onError ?? console.error)(error)
    } catch (fault) {
      console.error(fault)
    }
  }

  #received (lastMessage: Envelope): void {
    if (!isMessage(lastMessage)) return
    this.notifications.receive(lastMessage)
    this.#snapshot = { ...this.#snapshot, lastMessage }
    // Each message is a task of its own in a browser: a render for each would make a burst slow.
    this.#telling ??= setTimeout(this.tell, 0)
  }

  #onStatus (status: Status): void {
    this.#change({ status, isConnected: status === 'open' })
    if (status !== 'open') return
    if (this.#opened === this.#client) return this.#tellOfGap(this.#owed)
    const isFirst = this.#opened === undefined
    this.#opened = this.#client
    if (isFirst) this.#tellOfGap(this.#onGap)
    // A provider that was hidden for a while comes back with a client that knows of nothing before.
    else this.#resumed({ recovered: false })
  }

  #resumed (resume: Resume): void {
    for (const listener of [...this.#onResume]) this.#call(() => listener(resume))
    if (!resume.recovered) this.#tellOfGap(this.#onGap)
  }

  #tellOfGap (listeners: ReadonlySet<() => void>): void {
    const told = [...listeners]
    this.#owed.clear()
    for (const listener of told) listener()
  }

  /** One that throws does not keep the others from being told. */
  #call (action: () => void): void {
    try {
      action()
    } catch (error) {
      this.report(error)
    }
  }

  #change (part: Partial<Snapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...part }
    this.tell()
  }
}
