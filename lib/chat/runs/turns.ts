import type { FastifyBaseLogger } from 'fastify'
import type { Lease } from '../../brokers/broker.js'
import { report } from '../../server/reports/caught.js'
import type { ChatAddress } from '../address.js'
import { subject, type Cluster } from '../../server/cluster.js'
import type { Timers } from '../../time/timers.js'
import type { LiveRun } from './run.js'

/** A run whose server is gone. */
export interface Orphan {
  channel: string
  target: ChatAddress
  about: LiveRun['about']
}

export interface TurnsParts {
  cluster: Cluster
  timers: Timers
  log: FastifyBaseLogger
  /** Tells users that it is over, unless another server is to. */
  onOrphan: (orphan: Orphan, lost: AbortSignal) => Promise<void>
}

/** Milliseconds after which a lease is asked for again, where no word came that it is free. */
const retryAfter = 2_000

/** A chat may have become free. */
const chatFreeSubject = subject<{ channel: string }>('chat_free')

/** The leases of runs, and of chats: one run at a time, whichever server it is on. */
const prefixes = { run: 'run ', chat: 'chat ' }

/**
 * Runs of one chat on several servers: each has a lease of its own, so that another server ends it should this one die, and
 * the one whose turn it is has the chat's.
 */
export class Turns {
  readonly #parts: TurnsParts
  readonly #unbind: () => void
  /** Called when a chat may have become free, by channel. */
  readonly #waiting = new Map<string, Set<() => void>>()
  /** Runs of servers that are gone, while they are ended, by their ids. */
  readonly #finishing = new Map<string, Promise<void>>()

  constructor (parts: TurnsParts) {
    const { cluster } = parts
    this.#parts = parts
    cluster.on(chatFreeSubject, ({ channel }) => { this.#onFree(channel) })
    this.#unbind = cluster.nodes.onInherited(lease => this.#inherit(lease))
  }

  /** A run's place among those of its chat. */
  enter (orphan: Orphan, run: LiveRun): Turn {
    const { channel } = orphan
    const hold = (key: string, onHeld?: () => void) => this.#hold(key, JSON.stringify(orphan), channel, run, onHeld)
    return new Turn(run, hold(prefixes.run + run.id), () => hold(prefixes.chat + channel, () => run.announce()), () => this.#free(channel))
  }

  /** Waits until the lease is free; `undefined` when the run is over before. `onHeld` is called whenever somebody else holds it. */
  async #hold (key: string, data: string, channel: string, run: LiveRun, onHeld = () => {}): Promise<Lease | undefined> {
    while (run.state !== 'over') {
      try {
        const lease = await this.#parts.cluster.nodes.hold(key, data)
        if (lease !== undefined) return lease
        onHeld()
      } catch (error) {
        report(this.#parts.log, error, 'a run waits for the broker', { runId: run.id })
      }
      await this.#change(channel, run)
    }
    return undefined
  }

  /** Until the chat may be free, the run is over, or it is time to look. */
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
      // Nothing of it is lost: the lease is held, and goes to the next server should this one end.
      report(log, error, 'a run of a server that is gone could not be ended', { key: lease.key })
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

  /** No run begins in the middle of what is told of the one before. */
  async #finished ({ about }: Orphan): Promise<void> {
    // The run's lease may come right after its chat's.
    await new Promise(resolve => setImmediate(resolve))
    await this.#finishing.get(about.run_id)
  }

  close (): void {
    this.#unbind()
  }
}

/** One run's place. */
export class Turn {
  /** Whatever happens to this server, users will be told how the run ended. */
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

  /** Resolves when it is the run's turn, or the run is over. */
  async take (): Promise<void> {
    await this.registered
    this.#chat = this.#holdChat()
    // Another server has begun a run of this chat, and knows nothing of this one.
    onLost(await this.#chat, () => this.#run.end('interrupted'))
  }

  /** Once the run is over and users have been told. Never rejects. */
  async end (): Promise<void> {
    const leases = await Promise.all([this.registered, this.#chat])
    // What cannot be released now is released later.
    await Promise.allSettled(leases.map(lease => lease?.release()))
    this.#free()
  }
}

function onLost (lease: Lease | undefined, action: () => void): void {
  if (lease?.lost.aborted) action()
  else lease?.lost.addEventListener('abort', action, { once: true })
}
