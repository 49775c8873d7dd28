import { createClient, RealtimeError, type ClientOptions, type Closed, type Envelope, type RealtimeClient, type Resume, type Status } from '../client/index.js'
import { isMessage } from '../client/frame.js'
import { listeners } from '../client/listeners.js'
import { Journal } from './journal.js'
import { Notifications } from './notifications.js'
import { Unanswered } from './unanswered.js'

/** What React shows of a connection. A new object with each change, the same one without. */
export interface Snapshot {
  /** That of the client; `idle` while the provider knows no user, nor another address. */
  readonly status: Status | 'idle'
  readonly isConnected: boolean
  /** How it was closed, while it is. `retry` starts it again. */
  readonly closed: Closed | undefined
  /** The latest message of any type. Of several that arrive together only the last is ever seen here: see `useMessages`. */
  readonly lastMessage: Envelope | undefined
}

/** The options of a client, or a client. */
export interface StoreOptions extends ClientOptions {
  /**
   * A client that the app has made, a fake one in a test. The provider neither opens nor closes it, and takes no other option.
   * For `useChat` it must be one of `fastify-realtime/chat`.
   */
  client?: RealtimeClient | undefined
}

type Listener = (...args: any[]) => void

/** Where a listener stopped. */
export type Bookmark = number

const unknown = { status: 'idle', isConnected: false, closed: undefined, lastMessage: undefined } as const satisfies Snapshot
const atFirst = { ...unknown, status: 'connecting' } as const satisfies Snapshot

/** One provider's connection, and what its hooks share of it. It exists before the connection does, and on a server. */
export class Store {
  readonly notifications = new Notifications()
  /** Read whenever they are needed: each may change, come and go. */
  readonly options: StoreOptions
  /** On a server, and before anything has come. */
  readonly first: Snapshot
  readonly #listeners = listeners(error => this.report(error))
  readonly #journal = new Journal()
  readonly #unanswered = new Unanswered()
  readonly #onChange = new Set<() => void>()
  readonly #onGap = new Set<() => void>()
  /** Of these, those that came while there was no connection: they have known nothing, whatever is recovered. */
  readonly #owed = new Set<() => void>()
  #client: RealtimeClient | undefined
  /** Ends what is bound to the client. */
  #unbind: (() => void) | undefined
  #snapshot: Snapshot
  #isStarted = false
  #hasOpened = false
  #ending: ReturnType<typeof setTimeout> | undefined
  #telling: ReturnType<typeof setTimeout> | undefined

  constructor (options: StoreOptions) {
    this.options = options
    this.first = this.#snapshot = isAddressed(options) ? atFirst : unknown
  }

  /**
   * Connects, unless it is connected; one that was ended resumes where it was. StrictMode starts, ends and starts again at
   * once: that is one connection. Without an address it does nothing.
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
    // What the app's client heard while nothing was bound to it is not known here.
    if (given && this.#hasOpened) this.#resumed({ recovered: false })
    this.#showStatus(client.status)
  }

  /** Closes, unless it is started again in this turn. What was sent before is answered first. */
  end (): void {
    this.#ending = setTimeout(async () => {
      if (!this.#isStarted) return
      this.#isStarted = false
      clearTimeout(this.#telling)
      this.#telling = undefined
      if (this.options.client) return this.#letGo()
      await this.#unanswered.none()
      if (!this.#isStarted) this.#client!.close()
    }, 0)
  }

  /** Connects again when it is closed, at once when it waits. */
  readonly retry = (): void => {
    if (this.#isStarted) this.#client!.reopen()
  }

  async send (...args: Parameters<RealtimeClient['send']>): Promise<void> {
    // The effects of children run before the provider's, which connects: a moment later it has.
    if (!this.#isStarted) await Promise.resolve()
    if (this.#isStarted) return this.#unanswered.add(this.#client!.send(...args))
    throw new RealtimeError('closed', isAddressed(this.options)
      ? 'the provider of this connection is not mounted'
      : 'RealtimeProvider has no userId yet')
  }

  /** Where a listener is that has heard everything so far. */
  get bookmark (): Bookmark {
    return this.#journal.end
  }

  /**
   * Calls `listener` with each message of a type, with `'*'` with each envelope. One that was bound before, and stopped at
   * `from`, gets first what came since.
   */
  on (type: string, listener: Listener, from?: Bookmark): () => void {
    for (const envelope of this.#journal.messages(from)) {
      if (type === '*') this.#call(() => listener(envelope))
      else if (type === envelope.type) this.#call(() => listener(envelope.data, envelope))
    }
    return this.#listeners.add(type, listener)
  }

  /** Calls `listener` after each reconnect, and when messages were missed; first with what came since `from`. */
  onResume (listener: (resume: Resume) => void, from?: Bookmark): () => void {
    for (const resume of this.#journal.resumes(from)) this.#call(() => listener(resume))
    return this.#listeners.add(' resume', listener)
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

  #bind (client: RealtimeClient): () => void {
    const ends = [
      client.on('*', envelope => this.#received(envelope)),
      client.onStatus(status => this.#showStatus(status)),
      client.onResume(resume => this.#resumed(resume))
    ]
    return () => { for (const end of ends) end() }
  }

  /** The app's client goes on without it. */
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
    // Each message is a task of its own in a browser: a render for each would make a burst slow.
    this.#telling ??= setTimeout(this.tell, 0)
  }

  #showStatus (actual: Status): void {
    // One that is closed because nothing shows it connects as soon as something does.
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

  /** One that throws does not keep the others from being told. */
  #call (action: () => void): void {
    try {
      action()
    } catch (error) {
      this.report(error)
    }
  }
}

/** Whether it is known where to connect, and as whom. */
export function isAddressed ({ client, url, userId }: StoreOptions): boolean {
  return (client ?? url ?? userId) != null
}
