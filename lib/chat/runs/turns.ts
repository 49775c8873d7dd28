import type { FastifyBaseLogger } from 'fastify'
import type { Lease } from '../../brokers/broker.js'
import { report } from '../../server/reports/caught.js'
import type { ChatAddress } from '../address.js'
import { subject, type Cluster } from '../../server/cluster.js'
import type { Timers } from '../../time/timers.js'
import type { LiveRun } from './run.js'

/** A run whose server died. */
export interface Orphan {
  channel: string
  target: ChatAddress
  about: LiveRun['about']
}

export interface TurnsParts {
  cluster: Cluster
  timers: Timers
  log: FastifyBaseLogger
  /** Publishes the end of the run, unless `lost` aborts: then another server does. */
  onOrphan: (orphan: Orphan, lost: AbortSignal) => Promise<void>
}

/** Delay until a lease is requested again when no server announced that it is free, in ms. */
const retryAfter = 2_000

/** Announces that a chat may be free for the next run. */
const chatFreeSubject = subject<{ channel: string }>('chat_free')

/** Prefixes of the keys of leases: each run has one, and its chat has one, so that it has one active run on all servers. */
const prefixes = { run: 'run ', chat: 'chat ' }

/**
 * Turns of the runs of a chat on several servers. Each run holds a lease, so that another server ends it if its server dies. The active
 * run also holds the lease of the chat.
 */
export class Turns {
  readonly #parts: TurnsParts
  readonly #unbind: () => void
  /** Called when a chat may have become free, by channel. */
  readonly #waiting = new Map<string, Set<() => void>>()
  /** Runs of dead servers that are being ended, by id. */
  readonly #finishing = new Map<string, Promise<void>>()

  constructor (parts: TurnsParts) {
    const { cluster } = parts
    this.#parts = parts
    cluster.on(chatFreeSubject, ({ channel }) => { this.#onFree(channel) })
    this.#unbind = cluster.nodes.onInherited(lease => this.#inherit(lease))
  }

  /** Number of chats in which a run of this server waits. */
  get size (): number {
    return this.#waiting.size
  }

  /** Queues a run behind the other runs of its chat, on all servers. */
  enter (orphan: Orphan, run: LiveRun): Turn {
    const { channel } = orphan
    const hold = (key: string, onHeld?: () => void) => this.#hold(key, JSON.stringify(orphan), channel, run, onHeld)
    return new Turn(run, hold(prefixes.run + run.id), () => hold(prefixes.chat + channel, () => run.announce()), () => this.#free(channel))
  }

  /** Waits for a lease; `undefined` when the run is over first. Calls `onHeld` each time that another node holds the lease. */
  async #hold (key: string, data: string, channel: string, run: LiveRun, onHeld = () => {}): Promise<Lease | undefined> {
    while (run.state !== 'over') {
      try {
        const lease = await this.#parts.cluster.nodes.hold(key, data)
        if (lease !== undefined) return lease
        onHeld()
      } catch (error) {
        report(this.#parts.log, error, 'a run is waiting for the broker', { runId: run.id })
      }
      await this.#change(channel, run)
    }
    return undefined
  }

  /** Resolves when the chat may be free, when the run is over, and after `retryAfter`. */
  #change (channel: string, run: LiveRun): Promise<void> {
    return new Promise(resolve => {
      const ofChannel = this.#waiting.get(channel) ?? new Set()
      this.#waiting.set(channel, ofChannel)
      const go = () => {
        cancel()
        ofChannel.delete(go)
        if (ofChannel.size === 0) this.#waiting.delete(channel)
        resolve()
      }
      const cancel = this.#parts.timers.after(retryAfter, go)
      ofChannel.add(go)
      run.finished.then(go)
    })
  }

  #onFree (channel: string): void {
    for (const go of [...this.#waiting.get(channel) ?? []]) go()
  }

  #free (channel: string): void {
    this.#onFree(channel)
    this.#parts.cluster.tell(chatFreeSubject, { channel })
  }

  async #inherit (lease: Lease): Promise<void> {
    const { log, timers } = this.#parts
    try {
      const orphan = JSON.parse(lease.data) as Orphan
      if (lease.key.startsWith(prefixes.run)) await this.#finish(orphan, lease.lost)
      else await this.#finished(orphan)
      await lease.release()
      if (lease.key.startsWith(prefixes.chat)) this.#free(orphan.channel)
    } catch (error) {
      // The run is not lost: this server holds its lease, and another server inherits it if this one dies.
      report(log, error, 'a run of a dead server could not be ended', { key: lease.key })
      timers.after(retryAfter, () => { if (!lease.lost.aborted) this.#inherit(lease) })
    }
  }

  async #finish (orphan: Orphan, lost: AbortSignal): Promise<void> {
    const { about: { run_id: id } } = orphan
    const finishing = this.#parts.onOrphan(orphan, lost)
    this.#finishing.set(id, finishing)
    try {
      await finishing
    } finally {
      this.#finishing.delete(id)
    }
  }

  /** Waits until the end of a run is published, so that the next run does not begin before. */
  async #finished ({ about }: Orphan): Promise<void> {
    // The lease of the run may be inherited right after that of its chat.
    await new Promise(resolve => setImmediate(resolve))
    await this.#finishing.get(about.run_id)
  }

  close (): void {
    this.#unbind()
  }
}

/** Place of one run in the queue of its chat. */
export class Turn {
  /** Resolves when the run has its lease: from then on its end is published even if this server dies. `undefined`: the run is over. */
  readonly registered: Promise<Lease | undefined>
  readonly #run: LiveRun
  readonly #holdChat: () => Promise<Lease | undefined>
  #chat: Promise<Lease | undefined> | undefined
  readonly #free: () => void

  constructor (run: LiveRun, registered: Promise<Lease | undefined>, holdChat: () => Promise<Lease | undefined>, free: () => void) {
    this.#run = run
    this.registered = registered
    registered.then(lease => onLost(lease, () => run.abandon()))
    this.#holdChat = holdChat
    this.#free = free
  }

  /** Waits for the run's turn. Resolves too when the run is over. */
  async take (): Promise<void> {
    await this.registered
    this.#chat = this.#holdChat()
    // Without the lease of the chat, another server may have begun a run, unaware of this one.
    onLost(await this.#chat, () => this.#run.end('interrupted'))
  }

  /** Releases the leases, once the end of the run is stored. Never rejects. */
  async end (): Promise<void> {
    const leases = await Promise.all([this.registered, this.#chat])
    // A lease whose release fails is released later.
    await Promise.allSettled(leases.map(lease => lease?.release()))
    this.#free()
  }
}

function onLost (lease: Lease | undefined, action: () => void): void {
  if (lease?.lost.aborted) action()
  else lease?.lost.addEventListener('abort', action, { once: true })
}
