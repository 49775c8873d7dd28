import { randomBytes } from 'node:crypto'
import type { EnteredConnection, Lease, Nodes } from '../../broker.js'
import { never } from '../../../logs/log.js'
import { Claims } from './claims.js'
import { unanswered } from '../link/connection.js'
import type { Fed } from '../following/feed.js'
import type { Keys } from '../keys.js'
import { Leases } from './leases.js'
import type { RedisLink } from '../link/link.js'
import { Members } from './members.js'
import { Presences } from './presence.js'
import { within } from '../../../time/within.js'

/** Time after which an operation fails, in ms. */
const patience = 1_900

/** Maximum time for telling the other nodes that this one ends, in ms. Otherwise they notice later. */
const farewell = 500

export interface NodesParts {
  link: RedisLink
  keys: Keys
  /** Stores a publication in the nodes' channel. */
  publish: (body: string) => Promise<unknown>
}

/** Log of the nodes' channel: passes each message to a listener. */
class Told implements Fed {
  epoch: string
  head = 0
  precedes = never
  /** When the newest message was stored, on the monotonic clock, in ms. */
  #last = -Infinity
  /** Whether appended messages may have been delivered before. */
  #isAgain = false
  readonly #onTold: (body: string) => void

  constructor (epoch: string, onTold: (body: string) => void) {
    this.epoch = epoch
    this.#onTold = onTold
  }

  append (body: string, at: number): void {
    this.head++
    this.#isAgain &&= at <= this.#last
    if (this.#isAgain) return
    this.#last = at
    this.#onTold(body)
  }

  begin (epoch: string): void {
    this.epoch = epoch
  }

  /** Redis went back to an earlier state. Its messages are appended again, and were delivered when they were new. */
  reset (epoch: string, head = 0): void {
    this.epoch = epoch
    this.head = head
    this.#isAgain = true
  }
}

export class RedisNodes implements Nodes {
  readonly id = randomBytes(9).toString('base64url')
  readonly #parts: NodesParts
  readonly #members: Members
  readonly #presence: Presences
  readonly #leases: Leases
  readonly #claims: Claims
  readonly #listeners = new Set<(message: string, from: string) => void>()
  readonly #aliveListeners = new Set<() => void>()
  /** Whether messages are delivered. Those from before this node's start are not for it. */
  #isListening = false

  constructor (parts: NodesParts) {
    const { link, keys } = parts
    this.#parts = parts
    this.#leases = new Leases(link, keys, this.id)
    this.#claims = new Claims(link, keys)
    this.#members = new Members(this.id, link, keys, {
      onUnknown: wasDead => {
        this.#presence.renew()
        this.#leases.renew(wasDead)
      },
      canInherit: () => this.#leases.canInherit,
      onInherited: leases => this.#leases.inherit(leases),
      onBeat: () => {
        this.#presence.look()
        this.#leases.look()
        this.#onAlive()
      },
      onSilent: () => this.#onAlive()
    })
    this.#presence = new Presences(link, keys, this.#members)
  }

  get alive (): readonly string[] | undefined {
    return this.#members.known
  }

  onAlive (listener: () => void): () => void {
    this.#aliveListeners.add(listener)
    return () => { this.#aliveListeners.delete(listener) }
  }

  #onAlive (): void {
    for (const listener of this.#aliveListeners) listener()
  }

  /** Call when earlier messages have been read. */
  start (): void {
    this.#isListening = true
    this.#members.start()
  }

  /** Call when Redis is connected again. */
  beat (): void {
    this.#members.beat()
  }

  createLog (epoch: string): Fed {
    return new Told(epoch, body => this.#onTold(body))
  }

  #onTold (body: string): void {
    const end = body.indexOf(' ')
    const from = body.slice(0, end)
    if (from === this.id || !this.#isListening) return
    for (const listener of this.#listeners) listener(body.slice(end + 1), from)
  }

  async tell (message: string): Promise<void> {
    await this.#parts.publish(`${this.id} ${message}`)
  }

  onTold (listener: (message: string, from: string) => void): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  enter (key: string, connectionId: string, limit: number): Promise<boolean> {
    return this.#do(() => this.#presence.enter(key, connectionId, limit), isEntered => {
      if (isEntered) this.leave(key, connectionId)
    })
  }

  leave (key: string, connectionId: string): void {
    this.#presence.leave(key, connectionId)
  }

  present (key: string): Promise<EnteredConnection[]> {
    return this.#do(() => this.#presence.present(key))
  }

  claim (holder: string, key: string, ms: number): Promise<boolean> {
    return this.#do(() => this.#claims.claim(holder, key, ms))
  }

  hold (key: string, data: string): Promise<Lease | undefined> {
    return this.#do(() => this.#leases.hold(key, data), lease => { lease?.release() })
  }

  onInherited (listener: (lease: Lease) => void): () => void {
    return this.#leases.onInherited(listener)
  }

  /** Runs `work` with a timeout. `undo` is called with a result that comes too late. */
  async #do<T> (work: () => Promise<T>, undo: (result: T) => void = () => {}): Promise<T> {
    const { link: { isReady, health } } = this.#parts
    if (!isReady) throw health.refusal()
    const working = work()
    try {
      return await within(patience, working, unanswered(() => health.silent()))
    } catch (error) {
      working.then(undo, () => {})
      throw health.refusal('', error)
    }
  }

  async close (): Promise<void> {
    this.#isListening = false
    await within(farewell, Promise.all([this.#presence.close(), this.#members.stop()])).catch(() => {})
  }
}
