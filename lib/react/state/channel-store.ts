import type { ChannelPresence } from '../../client/channels/presence.js'
import type { ChannelReader } from '../../client/channels/subscriptions.js'
import type { AnswerOptions } from '../../client/client.js'
import type { Closed, Envelope, RealtimeClient, Resume, Status } from '../../client/index.js'
import { attempt, listeners } from '../../client/listeners.js'
import { Journal } from './journal.js'

/** Time for which a channel without a component keeps what arrives, in ms. The client stays subscribed for as long. */
const linger = 5_000

/** State of a channel for React. Each change creates another object. */
export interface ChannelSnapshot {
  readonly status: Status
  /** Why the channel has ended; `undefined` unless it is closed. */
  readonly closed: Closed | undefined
}

/** State of a channel before it is opened. */
export const atFirst: ChannelSnapshot = { status: 'connecting', closed: undefined }

/** Place where a component stopped. */
export interface Stop {
  readonly channel: ChannelStore
  /** Number of entries in the journal of the channel. */
  readonly at: number
}

export interface ChannelListeners {
  readonly onMessage: (envelope: Envelope) => unknown
  /** Called after each reconnect, and when messages were missed. */
  readonly onResume: (resume: Resume) => unknown
}

export interface ChannelStoreOptions {
  /** Returns the client of the provider. */
  readonly connect: () => RealtimeClient
  readonly report: (error: unknown) => void
}

/** Channels of the client of a provider. */
export class ChannelStores {
  readonly #options: ChannelStoreOptions
  /** Channels with components, now or less than 5 s ago. */
  readonly #all = new Map<string, ChannelStore>()

  constructor (options: ChannelStoreOptions) {
    this.#options = options
  }

  /**
   * Opens a channel. Each call needs a `leave` of the result. `before`: an earlier object of the same channel, which is used again and
   * resumes, unless there is another one by now.
   */
  open (name: string, before?: ChannelStore): ChannelStore {
    const channel = this.#all.get(name) ?? before ?? new ChannelStore(name, this.#options, () => { this.#all.delete(name) })
    this.#all.set(name, channel)
    channel.hold()
    return channel
  }
}

/** A channel with one subscription for all components that show it. */
export class ChannelStore {
  readonly name: string
  readonly #options: ChannelStoreOptions
  readonly #onFree: () => void
  readonly #listeners: ReturnType<typeof listeners>
  readonly #journal = new Journal()
  readonly #onChange = new Set<() => void>()
  /** Reads the channel for the components; resumes at its position after it was closed. */
  #reader: ChannelReader | undefined
  #holders = 0
  #freeing: ReturnType<typeof setTimeout> | undefined
  #snapshot = atFirst

  /** `onFree`: called 5 s after the last component has left. */
  constructor (name: string, options: ChannelStoreOptions, onFree: () => void) {
    this.name = name
    this.#options = options
    this.#onFree = onFree
    this.#listeners = listeners(options.report)
  }

  /** Subscribes for a component, until `leave`. */
  hold (): void {
    clearTimeout(this.#freeing)
    if (this.#holders++ > 0) return
    const client = this.#options.connect()
    this.#reader ??= this.#read(client)
    if (this.#reader.status === 'closed') this.#reader.reopen()
    this.#show()
  }

  leave (): void {
    if (--this.#holders > 0) return
    this.#freeing = setTimeout(() => {
      this.#reader!.close(0)
      this.#onFree()
    }, linger)
  }

  /** Subscribes again after the channel has ended. */
  reopen (): void {
    this.#reader!.reopen()
  }

  /** Sends a message to the channel. Only while a component holds it. */
  request (type: string, data: unknown, options: AnswerOptions | undefined): Promise<unknown> {
    return this.#reader!.request(type, data, options)
  }

  /** Who is present in the channel. Only while a component holds it. */
  get presence (): ChannelPresence {
    return this.#reader!.presence
  }

  /** Place of a component that has received everything so far. */
  get stop (): Stop {
    return { channel: this, at: this.#journal.end }
  }

  /** Calls the listeners, at first with the messages since `stop`. Returns a function that removes them. */
  listen ({ onMessage, onResume }: ChannelListeners, stop: Stop | undefined): () => void {
    const { report } = this.#options
    const from = stop?.channel === this ? stop.at : undefined
    const resumes = stop && from === undefined ? [{ recovered: false }] : this.#journal.resumes(from)
    for (const resume of resumes) attempt(() => onResume(resume), report)
    for (const envelope of this.#journal.messages(from)) attempt(() => onMessage(envelope), report)
    const ends = [this.#listeners.add('*', onMessage), this.#listeners.add(' resume', onResume)]
    return () => { for (const end of ends) end() }
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#onChange.add(listener)
    return () => { this.#onChange.delete(listener) }
  }

  readonly snapshot = (): ChannelSnapshot => this.#snapshot

  #read (client: RealtimeClient): ChannelReader {
    const reader = client.read(this.name)
    reader.listeners.add('*', envelope => {
      this.#journal.add(envelope)
      this.#listeners.tell('*', envelope)
    })
    reader.listeners.add(' resume', resume => {
      this.#journal.resumed(resume)
      this.#listeners.tell(' resume', resume)
    })
    reader.listeners.add(' status', () => this.#show())
    return reader
  }

  /** Informs React of a change. A channel that no component shows keeps its state. */
  #show (): void {
    const { status, closed } = this.#reader!
    if (this.#holders === 0 || (status === this.#snapshot.status && closed === this.#snapshot.closed)) return
    this.#snapshot = { status, closed }
    for (const listener of [...this.#onChange]) listener()
  }
}
