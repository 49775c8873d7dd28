import type { FastifyBaseLogger } from 'fastify'
import type { Nodes } from '../brokers/broker.js'
import { errors } from '../errors.js'
import { report } from './reports/caught.js'
import type { Timers } from '../time/timers.js'

/** Time for another node to answer, or to say that it will, in ms. */
const answerTime = 1_500

/** How often a node says so while the answer is being made, in ms. */
const pendingEvery = 500

/** Delay in ms and maximum number of retries of a note that could not be stored. Later it would take effect unexpectedly. */
const retry = { after: 1_000, times: 10 }

/** Type of message between servers, with its request and its reply. */
export interface Subject<Request, Reply = undefined> {
  readonly name: string
  /** Changes with the form of the request or the reply. Notes of another version are not handled. */
  readonly version: number
  /** Only in types. */
  readonly types?: (request: Request) => Reply
}

export function subject<Request, Reply = undefined> (name: string, version = 1): Subject<Request, Reply> {
  return { name, version }
}

/** Message between nodes, sent as JSON. */
type Note =
  | { readonly kind: 'tell', readonly subject: string, readonly version: number, readonly request: unknown }
  /** `id`: which of the sender's questions it is. */
  | { readonly kind: 'ask', readonly subject: string, readonly version: number, readonly request: unknown, readonly id: string }
  /** For the node `to`, to its question `id`. */
  | { readonly kind: 'reply', readonly to: string, readonly id: string, readonly reply: unknown }
  /** The reply is still being made. */
  | { readonly kind: 'pending', readonly to: string, readonly id: string }

/** A question that is not answered yet. */
interface Question {
  resolve: (reply: unknown) => void
  /** Starts the clock, again if it has been. */
  wait: () => void
}

type Listen<Request, Reply> = (request: Request) => Reply | undefined | Promise<Reply | undefined>

interface Listener {
  readonly version: number
  readonly listen: (request: never) => unknown
}

/** What the nodes of an app tell and ask each other. */
export class Cluster {
  readonly nodes: Nodes
  readonly #timers: Timers
  readonly #log: FastifyBaseLogger
  readonly #listeners = new Map<string, Listener>()
  readonly #questions = new Map<string, Question>()
  readonly #unbind: () => void
  #asked = 0

  constructor (nodes: Nodes, timers: Timers, log: FastifyBaseLogger) {
    this.nodes = nodes
    this.#timers = timers
    this.#log = log
    this.#unbind = nodes.onTold((message, from) => this.#hear(message, from))
  }

  /** One listener for each subject; what it returns, unless it is `undefined`, is the reply. */
  on<Request, Reply> ({ name, version }: Subject<Request, Reply>, listen: Listen<Request, Reply>): void {
    this.#listeners.set(name, { version, listen })
  }

  /** Tells all others, tried again for 10 s while the broker cannot store it. Failures are logged. */
  async tell<Request> ({ name, version }: Subject<Request, unknown>, request: Request): Promise<void> {
    await this.#store({ kind: 'tell', subject: name, version, request }, name, retry.times)
  }

  /**
   * The first reply that is not `undefined`, however long another node takes for it; `undefined` when nobody answers within
   * 1.5 s after the others were told. Rejects with RT_ERR_BROKER or RT_ERR_UNCONFIRMED when they could not be.
   */
  async ask<Request, Reply> ({ name, version }: Subject<Request, Reply>, request: Request): Promise<Reply | undefined> {
    const id = String(++this.#asked)
    let stopClock = () => {}
    const answer = new Promise<Reply | undefined>(resolve => {
      const wait = () => {
        stopClock()
        stopClock = this.#timers.after(answerTime, () => resolve(undefined))
      }
      this.#questions.set(id, { resolve: reply => resolve(reply as Reply), wait })
    })
    try {
      await this.nodes.tell(JSON.stringify({ kind: 'ask', subject: name, version, request, id } satisfies Note))
      this.#questions.get(id)?.wait()
      return await answer
    } finally {
      stopClock()
      this.#questions.delete(id)
    }
  }

  /** `about`: the subject, for the log. */
  async #store (note: Note, about: string, retries = 0): Promise<void> {
    try {
      await this.nodes.tell(JSON.stringify(note))
    } catch (error) {
      // What may be stored is not told twice.
      if (retries === 0 || !(error instanceof errors.BROKER)) {
        return report(this.#log, error, 'the other servers could not be told', { about })
      }
      await new Promise<void>(resolve => { this.#timers.after(retry.after, resolve) })
      await this.#store(note, about, retries - 1)
    }
  }

  async #hear (message: string, from: string): Promise<void> {
    try {
      await this.#take(JSON.parse(message) as Note, from)
    } catch (error) {
      report(this.#log, error, 'what another server asked for failed')
    }
  }

  async #take (note: Note, from: string): Promise<void> {
    if (note.kind === 'reply' || note.kind === 'pending') {
      if (note.to !== this.nodes.id) return
      const question = this.#questions.get(note.id)
      return note.kind === 'reply' ? question?.resolve(note.reply) : question?.wait()
    }
    const { kind, subject, version, request } = note
    const listener = this.#listeners.get(subject)
    if (listener === undefined) return
    if (listener.version !== version) {
      throw new Error(`it speaks version ${version} of '${subject}', and this server ${listener.version}: run the same release on all servers`)
    }
    const work = listener.listen(request as never)
    if (kind === 'tell') await work
    else await this.#reply(subject, { to: from, id: note.id }, work)
  }

  async #reply (about: string, question: { to: string, id: string }, work: unknown): Promise<void> {
    let cancel = () => {}
    const later = () => { cancel = this.#timers.after(pendingEvery, sayPending) }
    const sayPending = () => {
      this.#store({ kind: 'pending', ...question }, about)
      later()
    }
    later()
    try {
      const reply = await work
      if (reply !== undefined) await this.#store({ kind: 'reply', ...question, reply }, about)
    } finally {
      cancel()
    }
  }

  close (): void {
    this.#unbind()
  }
}
