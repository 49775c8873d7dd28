import { nobody, type PresenceState } from '../client/channels/presence.js'
import { applied } from '../client/channels/roster.js'
import { closeMeaning } from '../protocol/close-codes.js'
import type { ControlMessages, Envelope } from '../protocol/envelope.js'
import { pathOf } from '../protocol/paths.js'
import { within } from '../time/within.js'

// Kept, because a test may replace the global ones with fake timers.
const { setTimeout, clearTimeout } = globalThis

/** A Fastify app with any server and type provider. */
export interface TestedApp {
  ready (): PromiseLike<unknown>
  injectWS (path: string, request: { headers: Record<string, string> }, options: { onInit (socket: Socket): void }): Promise<unknown>
}

/** User and channel of a connection. */
export interface ConnectOptions {
  userId: string
  /** The chat to connect to. Default: the user's notifications. */
  chat?: { workflow: string, appId: string, chatId: string } | undefined
  /** Prefix of the routes. Default: `/ws`. */
  prefix?: string | undefined
  /** Headers of the upgrade, for example a credential. Default: none. */
  headers?: Record<string, string> | undefined
  /** Query of the URL. Default: none. */
  query?: Record<string, string> | undefined
  /** Maximum time of each wait, in ms. Default: 2,000. */
  timeout?: number | undefined
}

/** Close that the client received. */
export interface ReceivedClose {
  readonly code: number
  readonly reason: string
}

/** Used part of a WebSocket of `ws`. @inline */
interface Socket {
  on (event: 'message', listener: (data: { toString (): string }) => void): unknown
  on (event: 'close', listener: (code: number, reason: { toString (): string }) => void): unknown
  on (event: 'error', listener: (error: Error) => void): unknown
  send (data: string): void
  terminate (): void
}

/**
 * Connects a user to an app in this process, without a port, and waits for the ack. Works with any test runner. Rejects with an Error:
 * it has the `statusCode` of a refused upgrade, and `closed` when the connection was closed before its ack. Rejects with a TypeError
 * when an id is missing.
 */
export async function connect (app: TestedApp, options: ConnectOptions): Promise<TestSocket> {
  const { headers = {}, timeout = 2_000 } = options
  const path = urlOf(options)
  await app.ready()
  if (app.injectWS === undefined) throw new Error('this app has no WebSockets: register fastify-realtime')
  let ws: Socket | undefined
  let socket: TestSocket | undefined
  const opened = app.injectWS(path, { headers: lowerCased(headers) }, {
    // Frames may arrive together with the handshake, so the socket listens before it is done.
    onInit: made => {
      ws = made
      socket = new TestSocket(made, timeout)
    }
  })
  // A server that has closed never answers.
  const late = () => new Error(`no answer to the upgrade of ${path} within ${timeout} ms; is the app closed, or 'authenticate' slow?`)
  await within(timeout, opened, { late }).catch(error => {
    throw refusalOf(error, path)
  })
  const { data } = await socket!.next('connection_ack').catch(error => {
    // The caller gets no socket, so only this can end the connection.
    ws!.terminate()
    throw error
  })
  return Object.assign(socket!, { ack: data })
}

/** Client side of a connection. Keeps messages until `next` returns them. */
export class TestSocket {
  /** The data of `connection_ack`. */
  readonly ack!: ControlMessages['connection_ack']
  /** All received envelopes in order, without the answers to `send`. */
  readonly received: Envelope[] = []
  /** How the connection was closed; `undefined` while it is open. */
  closed: ReceivedClose | undefined
  readonly #socket: Socket
  readonly #timeout: number
  /** Checks of the waits in progress, called after each change. The first wait is served first. */
  readonly #waiting = new Set<() => void>()
  /** Answers to the socket's own frames, by ref. `next` never returns them, even when they arrive late. */
  readonly #answers = new Map<Envelope['ref'], Envelope>()
  #read = 0
  #refs = 0

  constructor (socket: Socket, timeout: number) {
    this.#socket = socket
    this.#timeout = timeout
    socket.on('message', data => {
      const envelope: Envelope = JSON.parse(data.toString())
      if (this.#isOwn(envelope.ref)) this.#answers.set(envelope.ref, envelope)
      else this.received.push(envelope)
      this.#wake()
    })
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
      this.#wake()
    })
    // A 'close' follows.
    socket.on('error', () => {})
  }

  /** Resolves with the next unread envelope, or with the next one of a type, and skips those before it. Rejects after `timeout` ms. */
  next<T extends string> (type?: T): Promise<Envelope<T>> {
    return this.#wait(() => this.#take(type) as Envelope<T> | undefined, type === undefined ? 'message' : `'${type}'`)
  }

  /** Rejects when there is an unread envelope, or one of a type. Waits for everything that was published before the call. */
  async expectNone (type?: string): Promise<void> {
    // Messages are written at the end of a turn: the second ping is answered after the messages that were due at the first.
    for (let round = 0; round < 2 && this.closed === undefined; round++) await this.#ping()
    const at = this.#find(type)
    if (at !== undefined) throw new Error(`expected no ${type ?? 'message'}, got ${JSON.stringify(this.received[at])}`)
  }

  /** Waits until the connection is closed. Rejects when its code is another one, and after `timeout` ms. */
  async expectClose (code?: number): Promise<ReceivedClose> {
    const closed = await this.#wait(() => this.closed, 'close')
    if (code !== undefined && closed.code !== code) throw new Error(`expected close code ${code}, got ${described(closed)}`)
    return closed
  }

  /**
   * Sends a message to its handler. Resolves with the `ack` of the server. Rejects with its `error`, as an Error with the same `code`.
   * `channel`: name of the channel that the message is for, such as `board:b1`. Default: that of the connection's path.
   */
  async send (type: string, data?: unknown, { channel }: { channel?: string | undefined } = {}): Promise<void> {
    await this.request(type, data, { channel })
  }

  /** Like `send`. Resolves with what the handler returned, for types with a schema in `answers`. */
  async request (type: string, data?: unknown, { channel }: { channel?: string | undefined } = {}): Promise<unknown> {
    const answered = this.#ask(type, data, channel)
    const { type: answer, data: returned } = await this.#wait(answered, `answer to '${type}'`)
    if (answer !== 'error') return returned
    const { code, message } = returned as ControlMessages['error']
    throw Object.assign(new Error(`${code}: ${message}`), { code })
  }

  /**
   * Subscribes to a channel, such as `board:b1`. Resolves with the data of `subscribed`; `next` returns the frames of the channel.
   * `since`: position to resume from. Rejects with the reason of `unsubscribed` as the `code` of the Error.
   */
  async subscribe (channel: string, { since }: { since?: string | undefined } = {}): Promise<ControlMessages['subscribed']> {
    const before = this.received.length
    const isAnswer = ({ type, channel: of }: Envelope, at: number) => at >= before && of === channel && /^(un)?subscribed$/.test(type)
    const answered = this.#ask('subscribe', { channels: [{ channel, since }] })
    const envelope = await this.#wait(() => answered()?.type === 'error' ? answered() : this.received.find(isAnswer), "answer to 'subscribe'")
    this.#forget(envelope)
    if (envelope.type === 'subscribed') return envelope.data as ControlMessages['subscribed']
    const { code, reason = code } = envelope.data as { code?: string, reason?: string }
    throw Object.assign(new Error(`${channel}: ${reason}`), { code: reason })
  }

  /** Unsubscribes from a channel. Resolves once no frame of it follows. */
  async unsubscribe (channel: string): Promise<void> {
    await this.send('unsubscribe', { channels: [channel] })
  }

  /**
   * Resolves with who is present in a channel to which this socket has subscribed, such as `board:b1`, once `isExpected` returns true for
   * it. Default: once it is known. Rejects after `timeout` ms. `next` returns the `presence` frames, too.
   */
  presence (channel: string, isExpected: (present: PresenceState) => boolean = () => true): Promise<PresenceState> {
    const look = () => {
      const frames = this.received.filter(({ type, channel: of }) => type === 'presence' && of === channel) as Array<Envelope<'presence'>>
      const state = frames.reduce((state, { data }) => applied(state, data), nobody)
      return frames.length > 0 && isExpected(state) ? state : undefined
    }
    return this.#wait(look, `presence in ${channel}`)
  }

  /** Sends a text frame, valid or not. `next` returns its answer. */
  sendRaw (text: string): void {
    this.#socket.send(text)
  }

  /** Ends the connection without a Close frame, like a network failure. */
  async close (): Promise<void> {
    this.#socket.terminate()
    await this.#wait(() => this.closed, 'end of the connection')
  }

  async #ping (): Promise<void> {
    const since = this.received.length
    const answered = this.#ask('ping')
    const refusal = () => this.received.findLast((each, at) => at >= since && isRateLimited(each))
    const found = await this.#wait(() => answered() ?? refusal() ?? this.closed, "answer to 'ping'")
    if (found !== refusal()) return
    // Pings count against the server's rate limit, which allows at least one per second. The server does not name the refused frame:
    // it is the ping, unless that is still answered.
    await this.#watch(answered, 1_000)
    if (answered() !== undefined || this.closed !== undefined) return
    this.#forget(refusal())
    await this.#ping()
  }

  /** Removes an envelope, so that `next` does not return it. */
  #forget (envelope: Envelope | undefined): void {
    const at = this.received.findIndex(each => each === envelope)
    if (at === -1) return
    this.received.splice(at, 1)
    if (at < this.#read) this.#read--
  }

  /** Sends a message. Returns a function that finds its answer, which `next` does not return. */
  #ask (type: string, data?: unknown, channel?: string): () => Envelope | undefined {
    // A number, so that the server does not take a message for a repeated one; a low one, which no `sendRaw` uses.
    const ref = Number.MIN_SAFE_INTEGER + this.#refs++
    this.#socket.send(JSON.stringify({ type, channel, ref, data }))
    return () => this.#answers.get(ref)
  }

  #isOwn (ref: Envelope['ref']): boolean {
    return typeof ref === 'number' && ref < Number.MIN_SAFE_INTEGER + this.#refs
  }

  #take (type: string | undefined): Envelope | undefined {
    const at = this.#find(type)
    if (at === undefined) return undefined
    this.#read = at + 1
    return this.received[at]
  }

  #find (type: string | undefined): number | undefined {
    const at = this.received.findIndex((envelope, index) => index >= this.#read && (type === undefined || envelope.type === type))
    return at === -1 ? undefined : at
  }

  /** Resolves with the result of `look`, now or after a change. Rejects when the connection is closed first, and on a timeout. */
  async #wait<T> (look: () => T | undefined, what: string): Promise<T> {
    const found = await this.#watch(look)
    // Thrown here, not where the socket was read, so that the stack leads to the test.
    if (found === undefined) throw Object.assign(new Error(this.#missing(what)), { closed: this.closed })
    return found
  }

  #watch<T> (look: () => T | undefined, ms = this.#timeout): Promise<T | undefined> {
    return new Promise(resolve => {
      const done = (found?: T) => {
        clearTimeout(timer)
        this.#waiting.delete(check)
        resolve(found)
      }
      const check = () => {
        const found = look()
        if (found !== undefined || this.closed !== undefined) done(found)
      }
      const timer = setTimeout(() => done(), ms)
      this.#waiting.add(check)
      check()
    })
  }

  #wake (): void {
    for (const check of [...this.#waiting]) check()
  }

  #missing (what: string): string {
    const unread = this.received.slice(this.#read).map(envelope => envelope.type === 'error' ? JSON.stringify(envelope) : envelope.type)
    const why = this.closed === undefined ? `within ${this.#timeout} ms` : `before the connection was closed with ${described(this.closed)}`
    return `no ${what} ${why}; unread: ${unread.join(', ') || 'nothing'}`
  }
}

function isRateLimited ({ type, data }: Envelope): boolean {
  return type === 'error' && (data as ControlMessages['error']).code === 'rate_limited'
}

/** Throws a TypeError when an id is missing: the URL would have the id 'undefined'. */
function urlOf ({ userId, chat, prefix = '/ws', query = {} }: ConnectOptions): string {
  const ids = chat === undefined ? { userId } : { workflow: chat.workflow, appId: chat.appId, chatId: chat.chatId, userId }
  const missing = Object.entries(ids).find(([, id]) => id === undefined)
  if (missing !== undefined) throw new TypeError(`connect needs '${missing[0] === 'userId' ? '' : 'chat.'}${missing[0]}'`)
  const search = new URLSearchParams(query).toString()
  return `${prefix}${pathOf(ids)}${search && `?${search}`}`
}

/** Lower-cases the names of headers, as Node does in a request. */
function lowerCased (headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

function described ({ code, reason }: ReceivedClose): string {
  return [code, reason, `(${closeMeaning(code) ?? 'not a code of fastify-realtime'})`].filter(part => part !== '').join(' ')
}

/** Cause, and cure if there is one, by HTTP status. `injectWS` reports only the status. */
const cures: Record<number, string> = {
  400: 'an id is not valid',
  403: "the origin is not allowed, or the app is in development mode and the headers are not those of this machine; pass 'authenticate' to it",
  404: "there is no such route; register fastify-realtime, or pass its 'prefix'",
  503: 'the app is closing, or has reached its limit of connections'
}

function refusalOf (error: Error, path: string): Error {
  const statusCode = Number(/^Unexpected server response: (\d+)$/.exec(error.message)?.[1])
  if (Number.isNaN(statusCode)) return error
  return Object.assign(new Error(`the upgrade of ${path} was refused with HTTP ${statusCode}: ${cures[statusCode] ?? 'a hook of the app refused it'}`), { statusCode })
}
