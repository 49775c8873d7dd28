import type { FastifyBaseLogger } from 'fastify'
import type { Nodes } from '../brokers/broker.js'
import { report } from './caught.js'
import type { Timers } from './timers.js'

/** Milliseconds for another node to answer. */
const answerTime = 1_500

/** What one node tells the others. */
interface Told {
  about: string
  data: unknown
  /** Which question it is, where an answer is wanted. */
  ask?: string
  /** The question that it answers, and whose that is. */
  answers?: string
  to?: string
}

/** What servers have to say to each other, by subject. */
export interface Subjects {
  /** What became of a message with a `ref`? */
  answer: { userId: string, key: string }
  disconnect: { userId: string, code: number }
  /** A chat may have become free. */
  chat_free: { channel: string }
  chat_cancel: { channel: string, name?: string }
  /** What became of a user's message? */
  chat_message: { key: string }
  input_response: { channel: string, id: string, value: unknown, userId: string }
}

/** What the nodes of an app tell and ask each other. */
export class Cluster<S extends object = Subjects> {
  readonly nodes: Nodes
  readonly #timers: Timers
  readonly #log: FastifyBaseLogger
  readonly #listeners = new Map<unknown, (data: never) => unknown>()
  readonly #asked = new Map<string, (answer: unknown) => void>()
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

  /** Tells all others. Failures are logged: who is told cannot be waited for. */
  async tell<T extends keyof S & string> (about: T, data: S[T]): Promise<void> {
    await this.#tell({ about, data })
  }

  /**
   * The first answer that is not `undefined`; `undefined` when none comes within 1.5 s after the others were told. Rejects
   * with RT_ERR_BROKER or RT_ERR_UNCONFIRMED when they could not be.
   */
  async ask<T extends keyof S & string> (about: T, data: S[T]): Promise<unknown> {
    const ask = String(++this.#count)
    const answer = new Promise(resolve => this.#asked.set(ask, resolve))
    let stopClock = () => {}
    try {
      await this.nodes.tell(JSON.stringify({ about, data, ask }))
      stopClock = this.#timers.after(answerTime, () => this.#asked.get(ask)?.(undefined))
      return await answer
    } finally {
      stopClock()
      this.#asked.delete(ask)
    }
  }

  async #tell (told: Told): Promise<void> {
    try {
      await this.nodes.tell(JSON.stringify(told))
    } catch (error) {
      report(this.#log, error, 'the other servers could not be told', { about: told.about })
    }
  }

  async #hear (message: string, from: string): Promise<void> {
    try {
      const { about, data, ask, answers, to } = JSON.parse(message) as Told
      if (to !== undefined && to !== this.nodes.id) return
      if (answers !== undefined) return this.#asked.get(answers)?.(data)
      const answer = await this.#listeners.get(about)?.(data as never)
      if (ask !== undefined && answer !== undefined) await this.#tell({ about, data: answer, answers: ask, to: from })
    } catch (error) {
      report(this.#log, error, 'what another server asked for failed')
    }
  }

  close (): void {
    this.#unbind()
  }
}
