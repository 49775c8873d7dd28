import type { FastifyBaseLogger } from 'fastify'
import type { Nodes } from '../brokers/broker.js'
import { errors } from '../errors.js'
import { report } from './reports/caught.js'
import type { Timers } from '../time/timers.js'

/** Maximum time without a reply or a `pending` note before a request counts as unanswered, in ms. */
const answerTime = 1_500

/** Interval between `pending` notes while a reply is being prepared, in ms. */
const pendingEvery = 500

/** Delay in ms and maximum number of retries of a note that could not be stored. A later one would take effect unexpectedly. */
const retry = { after: 1_000, times: 10 }

/** Type of message between nodes, with the types of its request and its reply. */
export interface Subject<Request, Reply = undefined> {
  readonly name: string
  /** Changes when the format of the request or the reply changes. Notes of another version are rejected. */
  readonly version: number
  /** Exists only in the type. */
  readonly types?: (request: Request) => Reply
}

export function subject<Request, Reply = undefined> (name: string, version = 1): Subject<Request, Reply> {
  return { name, version }
}

/** Message between nodes, sent as JSON. */
type Note =
  | { readonly kind: 'tell', readonly subject: string, readonly version: number, readonly request: unknown }
  /** `id` identifies the request among those of its sender. */
  | { readonly kind: 'ask', readonly subject: string, readonly version: number, readonly request: unknown, readonly id: string }
  /** Answers the request `id` of the node `to`. */
  | { readonly kind: 'reply', readonly to: string, readonly id: string, readonly reply: unknown }
  /** The reply to the request `id` of the node `to` is still being prepared. */
  | { readonly kind: 'pending', readonly to: string, readonly id: string }

/** A request that waits for its reply. */
interface Question {
  resolve: (reply: unknown) => void
  /** Starts the timeout, or restarts it. */
  wait: () => void
}

type Listen<Request, Reply> = (request: Request) => Reply | undefined | Promise<Reply | undefined>

interface Listener {
  readonly version: number
  readonly listen: (request: never) => unknown
}

/** Messages and requests between the nodes of an app. */
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

  /** Sets the listener of a subject. Its result is the reply; `undefined` sends none. */
  on<Request, Reply> ({ name, version }: Subject<Request, Reply>, listen: Listen<Request, Reply>): void {
    this.#listeners.set(name, { version, listen })
  }

  /** Sends a request to all other nodes. Retries for 10 s while the broker cannot store it. Never rejects: failures are logged. */
  async tell<Request> ({ name, version }: Subject<Request, unknown>, request: Request): Promise<void> {
    await this.#store({ kind: 'tell', subject: name, version, request }, name, retry.times)
  }

  /**
   * Sends a request to all other nodes. Resolves with the first reply that is not `undefined`, or with `undefined` if neither a reply
   * nor a `pending` note arrives for 1.5 s. Rejects with RT_ERR_BROKER, or with RT_ERR_UNCONFIRMED, if it is not certain to be stored.
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

  /** Stores a note for the other nodes. Never rejects. `about`: the subject, for the log. */
  async #store (note: Note, about: string, retries = 0): Promise<void> {
    try {
      await this.nodes.tell(JSON.stringify(note))
    } catch (error) {
      // A note that may be stored already is not sent again.
      if (retries === 0 || !(error instanceof errors.BROKER)) {
        return report(this.#log, error, 'a message to the other servers could not be sent', { about })
      }
      await new Promise<void>(resolve => { this.#timers.after(retry.after, resolve) })
      await this.#store(note, about, retries - 1)
    }
  }

  async #hear (message: string, from: string): Promise<void> {
    try {
      await this.#take(JSON.parse(message) as Note, from)
    } catch (error) {
      report(this.#log, error, 'a message of another server could not be handled')
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
      const versions = `its version of '${subject}' is ${version}, and that of this server is ${listener.version}`
      throw new Error(`${versions}: run the same release on all servers`)
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
