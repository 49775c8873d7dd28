import type { FastifyBaseLogger } from 'fastify'
import type { Nodes } from '../brokers/broker.js'
import { errors } from '../errors.js'
import { report } from './caught.js'
import type { Timers } from './timers.js'

/** Milliseconds for another node to answer, or to say that it will. */
const answerTime = 1_500

/** A node says so every so many milliseconds while the answer is being made. */
const patienceEvery = 500

/** What could not be told is told again, after so many milliseconds and so often; later it would surprise. */
const retry = { after: 1_000, times: 10 }

/** What one node tells the others. */
interface Told {
  about: string
  data: unknown
  /** Which question it is, where an answer is wanted. */
  ask?: string
  /** The question that it answers, and whose that is. */
  answers?: string
  to?: string
  /** The answer is still being made. */
  isPending?: boolean
}

/** A question that is not answered yet. */
interface Asked {
  resolve: (answer: unknown) => void
  /** Starts the clock, again if it has been. */
  wait: () => void
}

/** Which runs a `chat_cancel` ends: the one with this id, or those that a user names by what started them. */
export type RunName = { runId: string } | { userId: string, ref: string, messageId: string }

/** What servers have to say to each other, by subject. */
export interface Subjects {
  /** What became of a message with a `ref`? */
  answer: { userId: string, key: string }
  disconnect: { userId: string, code: number }
  /** A chat may have become free. */
  chat_free: { channel: string }
  /** `early`: the key under which a cancel of this user is remembered whose message has not come yet. */
  chat_cancel: { channel: string, userId: string, name?: RunName, early?: string }
  input_response: { channel: string, id: string, value: unknown, userId: string }
}

/** What the nodes of an app tell and ask each other. */
export class Cluster<S extends object = Subjects> {
  readonly nodes: Nodes
  readonly #timers: Timers
  readonly #log: FastifyBaseLogger
  readonly #listeners = new Map<unknown, (data: never) => unknown>()
  readonly #asked = new Map<string, Asked>()
  readonly #unbind: () => void
  #count = 0

  constructor (nodes: Nodes, timers: Timers, log: FastifyBaseLogger) {
    this.nodes = nodes
    this.#timers = timers
    this.#log = log
    this.#unbind = nodes.onTold((message, from) => this.#hear(message, from))
  }

  /** One listener for each subject; what it returns, if anything, is the answer. */
  on<T extends keyof S & string> (about: T, listener: (data: S[T]) => unknown): void {
    this.#listeners.set(about, listener)
  }

  /** Tells all others, tried again for 10 s while the broker cannot store it. Failures are logged. */
  async tell<T extends keyof S & string> (about: T, data: S[T]): Promise<void> {
    await this.#tell({ about, data }, retry.times)
  }

  /**
   * The first answer that is not `undefined`, however long another node takes for it; `undefined` when nobody answers within
   * 1.5 s after the others were told. Rejects with RT_ERR_BROKER or RT_ERR_UNCONFIRMED when they could not be.
   */
  async ask<T extends keyof S & string> (about: T, data: S[T]): Promise<unknown> {
    const ask = String(++this.#count)
    let stopClock = () => {}
    const answer = new Promise(resolve => {
      const wait = () => {
        stopClock()
        stopClock = this.#timers.after(answerTime, () => resolve(undefined))
      }
      this.#asked.set(ask, { resolve, wait })
    })
    try {
      await this.nodes.tell(JSON.stringify({ about, data, ask }))
      this.#asked.get(ask)?.wait()
      return await answer
    } finally {
      stopClock()
      this.#asked.delete(ask)
    }
  }

  async #tell (told: Told, retries = 0): Promise<void> {
    try {
      await this.nodes.tell(JSON.stringify(told))
    } catch (error) {
      // What may be stored is not told twice.
      if (retries === 0 || !(error instanceof errors.BROKER)) {
        return report(this.#log, error, 'the other servers could not be told', { about: told.about })
      }
      await new Promise<void>(resolve => { this.#timers.after(retry.after, resolve) })
      await this.#tell(told, retries - 1)
    }
  }

  async #hear (message: string, from: string): Promise<void> {
    try {
      const { about, data, ask, answers, to, isPending } = JSON.parse(message) as Told
      if (to !== undefined && to !== this.nodes.id) return
      const asked = this.#asked.get(answers ?? '')
      if (answers !== undefined) return isPending ? asked?.wait() : asked?.resolve(data)
      const work = this.#listeners.get(about)?.(data as never)
      if (ask !== undefined) await this.#answer({ about, data: undefined, answers: ask, to: from }, work)
      else await work
    } catch (error) {
      report(this.#log, error, 'what another server asked for failed')
    }
  }

  async #answer (told: Told, work: unknown): Promise<void> {
    let cancel = () => {}
    const later = () => { cancel = this.#timers.after(patienceEvery, sayPending) }
    const sayPending = () => {
      this.#tell({ ...told, isPending: true })
      later()
    }
    later()
    try {
      const data = await work
      if (data !== undefined) await this.#tell({ ...told, data })
    } finally {
      cancel()
    }
  }

  close (): void {
    this.#unbind()
  }
}
