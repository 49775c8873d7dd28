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

/** What a node does when it is told; what it returns, if anything, is the answer. */
export type Listener = (data: any) => unknown

/** What the nodes of an app tell and ask each other, by subject. */
export class Cluster {
  readonly nodes: Nodes
  readonly #timers: Timers
  readonly #log: FastifyBaseLogger
  readonly #listeners = new Map<string, Listener>()
  readonly #asked = new Map<string, (answer: unknown) => void>()
  readonly #unbind: () => void
  #count = 0

  constructor (nodes: Nodes, timers: Timers, log: FastifyBaseLogger) {
    this.nodes = nodes
    this.#timers = timers
    this.#log = log
    this.#unbind = nodes.onTold((message, from) => this.#hear(message, from))
  }

  /** One listener for each subject. */
  on (about: string, listener: Listener): void {
    this.#listeners.set(about, listener)
  }

  /** Tells all others. Failures are logged: who is told cannot be waited for. */
  async tell (about: string, data: unknown): Promise<void> {
    await this.#tell({ about, data })
  }

  /** The first answer that is not `undefined`; `undefined` when there is none within 1.5 s. */
  async ask (about: string, data: unknown): Promise<unknown> {
    const ask = String(++this.#count)
    const answer = new Promise(resolve => {
      this.#asked.set(ask, resolve)
      this.#timers.after(answerTime, () => resolve(undefined))
    })
    await this.#tell({ about, data, ask })
    try {
      return await answer
    } finally {
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
      const answer = await this.#listeners.get(about)?.(data)
      if (ask !== undefined && answer !== undefined) await this.#tell({ about, data: answer, answers: ask, to: from })
    } catch (error) {
      report(this.#log, error, 'what another server asked for failed')
    }
  }

  close (): void {
    this.#unbind()
  }
}
