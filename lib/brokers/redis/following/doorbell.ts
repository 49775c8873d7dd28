import type { Cluster, Redis } from 'ioredis'
import { isCluster } from '../link/connection.js'
import type { RedisLink } from '../link/link.js'
import { separator } from '../commands/lua.js'

/** An announced publication. */
export interface Announcement {
  readonly epoch: string
  readonly offset: number
  readonly mark: string
  readonly body: string
}

/** Listener for the announcements of one channel. */
export interface Listener {
  /** Called when announcements begin or resume: some may have been missed. */
  onListening (): void
  onAnnounced (announcements: Announcement[]): void
}

/** Maximum number of channels per SUBSCRIBE command. */
const slice = 500

/** Interval at which failed subscriptions are retried, and the connection is checked, in ms. */
const lookEvery = 1_500

/** Maximum time, in ms, between the event 'subscribersReady' of a Cluster and its working subscriptions. */
const settling = 1_000

/** Announcements over Redis pub/sub, with the publications themselves. They may get lost: the stream is authoritative. */
export class Doorbell {
  readonly #link: RedisLink
  readonly #listeners = new Map<string, Listener>()
  /** Channels without a confirmed subscription. */
  readonly #silent = new Set<string>()
  #turn: NodeJS.Immediate | undefined
  readonly #looker: NodeJS.Timeout
  #settler: NodeJS.Timeout | undefined

  constructor (link: RedisLink) {
    this.#link = link
    const { client } = link
    client.on(isCluster(client) ? 'smessage' : 'message', this.#onMessage)
    client.on('ready', this.#onReady)
    if (isCluster(client)) client.on('subscribersReady', this.#onSubscribersReady)
    this.#looker = setInterval(() => this.#look(), lookEvery).unref()
  }

  /** Number of channels with a listener. */
  get size (): number {
    return this.#listeners.size
  }

  /** Subscribes to a channel. Calls `onListening` when announcements arrive. */
  listen (channel: string, listener: Listener): void {
    this.#listeners.set(channel, listener)
    this.#silent.add(channel)
    this.#turn ??= setImmediate(() => this.#subscribe())
  }

  leave (channel: string): void {
    this.#listeners.delete(channel)
    this.#silent.delete(channel)
    if (!this.#link.isReady) return
    const { client } = this.#link
    const left: Promise<unknown> = isCluster(client) ? this.#link.ask('SUNSUBSCRIBE', client.sunsubscribe(channel)) : this.#link.ask('UNSUBSCRIBE', client.unsubscribe(channel))
    // The health knows. Announcements without a listener are ignored.
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
    if (!this.#link.isReady) return
    const { client } = this.#link
    const channels = [...this.#silent]
    if (isCluster(client)) for (const channel of channels) this.#confirm('SSUBSCRIBE', [channel], client.ssubscribe(channel))
    else for (let at = 0; at < channels.length; at += slice) this.#confirmSlice(client, channels.slice(at, at + slice))
  }

  #confirmSlice (client: Exclude<Redis | Cluster, { isCluster: true }>, channels: string[]): void {
    this.#confirm('SUBSCRIBE', channels, client.subscribe(...channels))
  }

  #confirm (command: string, channels: string[], subscribed: Promise<unknown>): void {
    // A listener that was added after the command was sent waits for its own command.
    const listeners = channels.map(channel => this.#listeners.get(channel))
    subscribed.then(() => {
      for (const [at, channel] of channels.entries()) {
        if (this.#listeners.get(channel) === listeners[at] && this.#silent.delete(channel)) listeners[at]?.onListening()
      }
      // Redis may permit one channel and refuse another.
      if (this.#silent.size === 0) this.#link.health.well(command)
    }, error => this.#link.health.failed(command, error))
  }

  /** Sends a ping, and retries subscriptions. A dead connection ends when its ping is not answered. */
  #look (): void {
    if (!this.#link.isReady) return
    const { client } = this.#link
    if (!isCluster(client)) this.#link.ask('PING of the subscriber', client.ping()).catch(() => {})
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
