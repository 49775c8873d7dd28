import type { FastifyInstance } from 'fastify'
// For the type of `injectWS`.
import type {} from '@fastify/websocket'
import type { Envelope } from '../protocol/envelope.js'

/** Whom to connect, and how. */
export interface ConnectOptions {
  userId: string
  /** The chat to connect to. Default: the user's notifications. */
  chat?: { workflow: string, appId: string, chatId: string }
  /** Where the routes are. Default: `/ws`. */
  prefix?: string
  /** For what `authenticate` looks at. */
  headers?: Record<string, string>
  query?: Record<string, string>
  /** How long each wait may take, in milliseconds. Default: 2,000. */
  timeout?: number
}

/** A close, as the client saw it. */
export interface Closed {
  readonly code: number
  readonly reason: string
}

interface Socket {
  on (event: 'message', listener: (data: { toString (): string }) => void): unknown
  on (event: 'close', listener: (code: number, reason: { toString (): string }) => void): unknown
  send (data: string): void
  terminate (): void
}

/**
 * Connects a user to an app in this process, without a port, and waits for the ack. Works with any test runner: what
 * goes wrong is an Error. Rejects when the upgrade is refused, and when the connection is closed before its ack.
 */
export async function connect (app: FastifyInstance, options: ConnectOptions): Promise<TestSocket> {
  const { userId, chat, prefix = '/ws', headers = {}, query = {}, timeout = 2_000 } = options
  const parts = chat === undefined ? ['notifications', userId] : [chat.workflow, chat.appId, chat.chatId, userId]
  const search = new URLSearchParams(query).toString()
  const path = `${prefix}/${parts.map(encodeURIComponent).join('/')}${search && `?${search}`}`
  await app.ready()
  let socket: TestSocket | undefined
  // What arrives together with the handshake is lost to whoever listens only after it.
  await app.injectWS(path, { headers }, { onInit: ws => { socket = new TestSocket(ws, timeout) } })
  const ack = await socket!.next('connection_ack')
  return Object.assign(socket!, { ack })
}

/** A connected user, from the client's side. What arrives is kept until `next` asks for it. */
export class TestSocket {
  /** The data of `connection_ack`. */
  readonly ack!: Envelope<'connection_ack'>
  /** Everything received, in order. */
  readonly received: Envelope[] = []
  closed: Closed | undefined
  readonly #socket: Socket
  readonly #timeout: number
  readonly #waiting = new Set<() => void>()
  #read = 0
  #refs = 0

  constructor (socket: Socket, timeout: number) {
    this.#socket = socket
    this.#timeout = timeout
    socket.on('message', data => {
      this.received.push(JSON.parse(data.toString()))
      this.#wake()
    })
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
      this.#wake()
    })
  }

  /** The next envelope that was not read yet, or the next of a type; those before it are skipped. */
  async next<T extends string> (type?: T): Promise<Envelope<T>> {
    await this.#until(() => this.#find(type) !== undefined, `'${type ?? 'any message'}'`)
    const at = this.#find(type)!
    this.#read = at + 1
    return this.received[at] as Envelope<T>
  }

  /** Throws when an envelope, or one of a type, has come that was not read, or comes of what was published until now. */
  async expectNone (type?: string): Promise<void> {
    // Messages are written at the end of a turn: the answer to the second ping comes after what the first found due.
    await this.#ping()
    await this.#ping()
    const at = this.#find(type)
    if (at !== undefined) throw new Error(`expected no ${type ?? 'message'}, got ${JSON.stringify(this.received[at])}`)
  }

  /** Waits for the server to close, and throws when it is with another code. */
  async expectClose (code?: number): Promise<Closed> {
    await this.#until(() => this.closed !== undefined, 'a close', true)
    const { closed } = this
    if (code !== undefined && closed!.code !== code) throw new Error(`expected close code ${code}, got ${closed!.code} ${closed!.reason}`)
    return closed!
  }

  /** Sends a message to its handler. Resolves with the server's `ack`, rejects with its `error`. */
  async send (type: string, data?: unknown): Promise<void> {
    const { type: answer, data: fault } = await this.#ask(type, data)
    if (answer !== 'error') return
    const { code, message } = fault as { code: string, message: string }
    throw Object.assign(new Error(message), { code })
  }

  /** Sends a frame as it is, valid or not. */
  sendRaw (text: string): void {
    this.#socket.send(text)
  }

  /** Ends the connection, as when the network is cut. */
  close (): void {
    this.#socket.terminate()
  }

  async #ping (): Promise<void> {
    await this.#ask('ping')
  }

  /** The frame that answers; it is not one that `next` finds. */
  async #ask (type: string, data?: unknown): Promise<Envelope> {
    const ref = ++this.#refs
    const isAnswer = (envelope: Envelope) => envelope.ref === ref
    this.#socket.send(JSON.stringify({ type, ref, data }))
    await this.#until(() => this.received.some(isAnswer), `the answer to '${type}'`)
    const at = this.received.findIndex(isAnswer)
    if (at < this.#read) this.#read--
    return this.received.splice(at, 1)[0]
  }

  #find (type: string | undefined): number | undefined {
    const at = this.received.findIndex((envelope, index) => index >= this.#read && (type === undefined || envelope.type === type))
    return at === -1 ? undefined : at
  }

  async #until (holds: () => boolean, what: string, mayBeClosed = false): Promise<void> {
    const end = performance.now() + this.#timeout
    while (!holds()) {
      const seen = this.received.slice(this.#read).map(({ type }) => type).join(', ') || 'nothing'
      if (this.closed !== undefined && !mayBeClosed) throw new Error(`closed with ${this.closed.code} ${this.closed.reason}while waiting for ${what}`)
      const left = end - performance.now()
      if (left <= 0) throw new Error(`no ${what} within ${this.#timeout} ms; unread: ${seen}`)
      await this.#change(left)
    }
  }

  /** Something has come, or `ms` milliseconds have passed. */
  #change (ms: number): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.#waiting.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#waiting.add(done)
    })
  }

  #wake (): void {
    for (const done of [...this.#waiting]) done()
  }
}
