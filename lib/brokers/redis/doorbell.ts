import { isCluster, isReady, type RedisClient } from './connection.js'
import { separator } from './scripts.js'

/** One publication as it is announced. */
export interface Announcement {
  readonly epoch: string
  readonly offset: number
  readonly mark: string
  readonly body: string
}

/** Who hears the announcements of one channel. */
export interface Listener {
  /** May have missed announcements: they begin, or were interrupted. */
  onListening (): void
  onAnnounced (announcements: Announcement[]): void
}

/** How many channels are subscribed to in one command. */
const slice = 500

/** Subscriptions that did not come about are tried again this often, and the connection is tried, in milliseconds. */
const lookEvery = 1_500

/** In a Cluster, subscriptions come back some time after it is said that they do, in milliseconds at most. */
const settling = 1_000

/** Redis pub/sub: it tells that something was published, and what; the stream is what can be relied on. */
export class Doorbell {
  readonly #connection: RedisClient
  readonly #listeners = new Map<string, Listener>()
  /** Not subscribed to at the moment, or not for certain. */
  readonly #silent = new Set<string>()
  #turn: NodeJS.Immediate | undefined
  readonly #looker: NodeJS.Timeout
  #settler: NodeJS.Timeout | undefined

  constructor (connection: RedisClient) {
    this.#connection = connection
    connection.on(isCluster(connection) ? 'smessage' : 'message', this.#onMessage)
    connection.on('ready', this.#onReady)
    if (isCluster(connection)) connection.on('subscribersReady', this.#onSubscribersReady)
    this.#looker = setInterval(() => this.#look(), lookEvery).unref()
  }

  /** Channels that are listened to. */
  get size (): number {
    return this.#listeners.size
  }

  /** `onListening` is called once announcements come in. */
  listen (channel: string, listener: Listener): void {
    this.#listeners.set(channel, listener)
    this.#silent.add(channel)
    this.#turn ??= setImmediate(() => this.#subscribe())
  }

  leave (channel: string): void {
    this.#listeners.delete(channel)
    this.#silent.delete(channel)
    if (!isReady(this.#connection)) return
    const left = isCluster(this.#connection) ? this.#connection.sunsubscribe(channel) : this.#connection.unsubscribe(channel)
    left.catch(() => {})
  }

  close (): void {
    clearImmediate(this.#turn)
    clearInterval(this.#looker)
    clearTimeout(this.#settler)
    this.#listeners.clear()
    this.#silent.clear()
  }

  readonly #onMessage = (channel: string, message: string): void => {
    this.#listeners.get(channel)?.onAnnounced(parse(message))
  }

  readonly #onReady = (): void => {
    for (const channel of this.#listeners.keys()) this.#silent.add(channel)
    this.#subscribe()
  }

  readonly #onSubscribersReady = (): void => {
    const tellAll = () => { for (const listener of this.#listeners.values()) listener.onListening() }
    tellAll()
    clearTimeout(this.#settler)
    this.#settler = setTimeout(tellAll, settling).unref()
  }

  #subscribe (): void {
    clearImmediate(this.#turn)
    this.#turn = undefined
    if (!isReady(this.#connection)) return
    const channels = [...this.#silent]
    if (isCluster(this.#connection)) for (const channel of channels) this.#confirm([channel], this.#connection.ssubscribe(channel))
    else for (let at = 0; at < channels.length; at += slice) this.#confirmSlice(channels.slice(at, at + slice))
  }

  #confirmSlice (channels: string[]): void {
    this.#confirm(channels, (this.#connection as Exclude<RedisClient, { isCluster: true }>).subscribe(...channels))
  }

  #confirm (channels: string[], subscribed: Promise<unknown>): void {
    // Who came after this was sent waits for a command of its own.
    const listeners = channels.map(channel => this.#listeners.get(channel))
    subscribed.then(() => {
      for (const [at, channel] of channels.entries()) {
        if (this.#listeners.get(channel) === listeners[at] && this.#silent.delete(channel)) listeners[at]?.onListening()
      }
    }, () => {})
  }

  /** A connection over which nothing comes any more ends with a ping that is not answered. */
  #look (): void {
    if (!isReady(this.#connection)) return
    if (!isCluster(this.#connection)) this.#connection.ping().catch(() => {})
    if (this.#silent.size > 0) this.#subscribe()
  }
}

function parse (message: string): Announcement[] {
  const [head, ...parts] = message.split(separator)
  const [epoch, first] = head.split(' ', 2)
  return parts.map((part, at) => {
    const end = part.indexOf(' ')
    return { epoch, offset: Number(first) + at, mark: part.slice(0, end), body: part.slice(end + 1) }
  })
}
