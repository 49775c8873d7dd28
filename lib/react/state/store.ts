import { createClient, RealtimeError, type ClientOptions, type Closed, type Envelope, type RealtimeClient, type Resume, type Status } from '../../client/index.js'
import type { AnswerOptions } from '../../client/client.js'
import { isMessage } from '../../client/frame.js'
import { listeners } from '../../client/listeners.js'
import { Journal } from './journal.js'
import { Notifications } from './notifications.js'
import { ChannelStores } from './channel-store.js'
import { Unanswered } from './unanswered.js'

/** State of a connection for React. Each change creates another object. */
export interface Snapshot {
  /** Status of the client; `idle` while the provider has no address. */
  readonly status: Status | 'idle'
  readonly isConnected: boolean
  /** How the connection was closed; `undefined` unless it is closed. `retry` opens it again. */
  readonly closed: Closed | undefined
  /** The latest message of any type. Of several that arrive together it is only the last one; `useMessages` gets all. */
  readonly lastMessage: Envelope | undefined
}

/** The options of a client, or a client. */
export interface StoreOptions extends ClientOptions {
  /**
   * Client of the app, or in tests a fake client. The provider neither opens nor closes it, and ignores the options of its own
   * connection. Default: the provider creates a client.
   */
  client?: RealtimeClient | undefined
}

type Listener = (...args: any[]) => void

/** Place where a listener stopped: a number of entries in the journal. */
export type Bookmark = number

const unknown = { status: 'idle', isConnected: false, closed: undefined, lastMessage: undefined } as const satisfies Snapshot
const atFirst = { ...unknown, status: 'connecting' } as const satisfies Snapshot

/** Connection of one provider, and the state that its hooks share. It exists before the connection does, and during server rendering. */
export class Store {
  readonly notifications = new Notifications()
  readonly channels: ChannelStores
  /** Messages of all components, those to chats and channels included. */
  readonly unanswered = new Unanswered()
  /** Read each time, because every option may change. */
  readonly options: StoreOptions
  /** State at first, and during server rendering. */
  readonly first: Snapshot
  readonly #listeners = listeners(error => this.report(error))
  readonly #journal = new Journal()
  readonly #onChange = new Set<() => void>()
  readonly #onGap = new Set<() => void>()
  /** Listeners of `#onGap` that were added while there was no connection: they must load, even if the connection recovers. */
  readonly #owed = new Set<() => void>()
  #client: RealtimeClient | undefined
  /** Removes the listeners of the client. */
  #unbind: (() => void) | undefined
  #snapshot: Snapshot
  #isStarted = false
  #hasOpened = false
  #ending: ReturnType<typeof setTimeout> | undefined
  #telling: ReturnType<typeof setTimeout> | undefined

  constructor (options: StoreOptions) {
    this.options = options
    this.channels = new ChannelStores({ connect: () => this.connect(), report: this.report })
    this.first = this.#snapshot = isAddressed(options) ? atFirst : unknown
  }

  /**
   * Connects, or resumes after `end`. Does nothing when it is started or has no address. StrictMode starts, ends and starts it again at
   * once, which results in one connection.
   */
  start (): void {
    clearTimeout(this.#ending)
    if (this.#isStarted || !isAddressed(this.options)) return
    const { client: given } = this.options
    const known = this.#client
    const client = this.#client ??= given ?? createClient(this.options)
    this.#isStarted = true
    this.#unbind ??= this.#bind(client)
    if (known) client.reopen()
    // The app's client may have received messages while no listener was bound.
    if (given && this.#hasOpened) this.#resumed({ recovered: false })
    this.#showStatus(client.status)
  }

  /** Connects, and returns the client: effects of children run before that of the provider. Only for a store with an address. */
  connect (): RealtimeClient {
    this.start()
    return this.#client!
  }

  /** Closes the connection, unless it is started again in this turn of the event loop. Waits for unanswered messages, at most 5 s. */
  end (): void {
    this.#ending = setTimeout(async () => {
      if (!this.#isStarted) return
      this.#isStarted = false
      clearTimeout(this.#telling)
      this.#telling = undefined
      if (this.options.client) return this.#letGo()
      await this.unanswered.none()
      if (!this.#isStarted) this.#client!.close()
    }, 0)
  }

  /** Opens a closed connection again. Ends the wait for the next attempt to connect. */
  readonly retry = (): void => {
    if (this.#isStarted) this.#client!.reopen()
  }

  async send (...args: Parameters<RealtimeClient['send']>): Promise<void> {
    await this.request(...args)
  }

  async request (type: string, data?: unknown, options?: AnswerOptions): Promise<unknown> {
    // The effects of children run before the effect of the provider, which connects in the same task.
    if (!this.#isStarted) await Promise.resolve()
    if (this.#isStarted) return this.unanswered.add(this.#client!.request(type, data, options))
    throw new RealtimeError('closed', isAddressed(this.options)
      ? 'the provider of this connection is not mounted'
      : 'RealtimeProvider has no userId yet')
  }

  /** Place of a listener that has received everything so far. */
  get bookmark (): Bookmark {
    return this.#journal.end
  }

  /**
   * Calls `listener` with each message of a type, or for `'*'` with each envelope. A listener that was removed at `from` first gets the
   * messages since then. Returns a function that removes the listener.
   */
  on (type: string, listener: Listener, from?: Bookmark): () => void {
    for (const envelope of this.#journal.messages(from)) {
      if (type === '*') this.#call(() => listener(envelope))
      else if (type === envelope.type) this.#call(() => listener(envelope.data, envelope))
    }
    return this.#listeners.add(type, listener)
  }

  /** Calls `listener` after each reconnect and when messages were missed, and first with the resumes since `from`. */
  onResume (listener: (resume: Resume) => void, from?: Bookmark): () => void {
    for (const resume of this.#journal.resumes(from)) this.#call(() => listener(resume))
    return this.#listeners.add(' resume', listener)
  }

  /** Calls `listener` when state must be loaded: once connected, at once if that is the case already, and after a loss. */
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

  /** Informs React of a change. */
  readonly tell = (): void => {
    clearTimeout(this.#telling)
    this.#telling = undefined
    for (const listener of [...this.#onChange]) listener()
  }

  /** Passes an error to `onError`. Never throws. */
  readonly report = (error: unknown): void => {
    try {
      (this.options.onError ?? console.error)(error)
    } catch (fault) {
      console.error(fault)
    }
  }

  #bind (client: RealtimeClient): () => void {
    const ends = [
      client.on('*', envelope => this.#received(envelope)),
      client.onStatus(status => this.#showStatus(status)),
      client.onResume(resume => this.#resumed(resume))
    ]
    return () => { for (const end of ends) end() }
  }

  /** Removes the listeners of the app's client, which stays open. */
  #letGo (): void {
    this.#unbind!()
    this.#client = this.#unbind = undefined
    this.#showStatus('closed')
  }

  #received (envelope: Envelope): void {
    if (isMessage(envelope)) this.#show(envelope)
    this.#listeners.tell(envelope.type, envelope.data, envelope)
    this.#listeners.tell('*', envelope)
  }

  #show (lastMessage: Envelope): void {
    this.#journal.add(lastMessage)
    this.notifications.receive(lastMessage)
    this.#snapshot = { ...this.#snapshot, lastMessage }
    // In a browser each message is a task of its own, and one render per message would make a burst slow.
    this.#telling ??= setTimeout(this.tell, 0)
  }

  #showStatus (actual: Status): void {
    // A connection that was closed because no component shows it connects again with the next component.
    const status = this.#isStarted ? actual : 'connecting'
    const isConnected = status === 'open'
    this.#snapshot = { ...this.#snapshot, status, isConnected, closed: this.#isStarted ? this.#client!.closed : undefined }
    this.tell()
    if (!isConnected) return
    this.#tellOfGap(this.#hasOpened ? this.#owed : this.#onGap)
    this.#hasOpened = true
  }

  #resumed (resume: Resume): void {
    this.#journal.resumed(resume)
    this.#listeners.tell(' resume', resume)
    if (!resume.recovered) this.#tellOfGap(this.#onGap)
  }

  #tellOfGap (listeners: ReadonlySet<() => void>): void {
    const told = [...listeners]
    this.#owed.clear()
    for (const listener of told) listener()
  }

  /** Calls a listener. Its error does not affect other listeners. */
  #call (action: () => void): void {
    try {
      action()
    } catch (error) {
      this.report(error)
    }
  }
}

/** Whether the options name a user, a URL or a client. */
export function isAddressed ({ client, url, userId }: StoreOptions): boolean {
  return (client ?? url ?? userId) != null
}
