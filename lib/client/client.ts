import { closeCode, closeCodes, parseDelay } from '../protocol/close-codes.js'
import type { ControlMessages, Envelope, Messages } from '../protocol/envelope.js'
import { urlOf, type Address } from './address.js'
import { fullJitter, type Backoff } from './backoff.js'
import { Cursors } from './cursors.js'
import { RealtimeError } from './error.js'
import { parse } from './frame.js'
import { Outbox } from './outbox.js'
import type { WebSocketConstructor, WebSocketLike } from './socket.js'
import { canShare, Tabs } from './tabs.js'
import { credentialed, type TokenTransport } from './token.js'

/** `connecting`: for the first time or again; `open`; `waiting` for the next attempt; `closed` for good. */
export type Status = 'connecting' | 'open' | 'waiting' | 'closed'

/** What came of a reconnect, or of falling behind. When not all was `recovered`, load your state again. */
export interface Resume {
  readonly recovered: boolean
}

export interface ClientOptions extends Address {
  /** A credential, asked for before each attempt and when the present one is about to expire. `isRefused`: the last one was. */
  getToken?: ((reason: { isRefused: boolean }) => string | undefined | Promise<string | undefined>) | undefined
  /** How the credential travels. Default: as a subprotocol. */
  tokenIn?: TokenTransport | undefined
  /** Default: the global one. Node 20 has none: pass that of `ws`. */
  WebSocket?: WebSocketConstructor | undefined
  /** Default: full jitter from 0.5 to 20 s. */
  backoff?: Backoff | undefined
  /**
   * One socket for all tabs of this browser that connect to the same address, which must then stand for one user. Not for
   * chats, where each tab is to get the whole history. Where the browser has no Web Locks or no BroadcastChannel, as where
   * the page is not served over https, each tab has its own. Default: false.
   */
  share?: boolean | undefined
  /** How many messages may wait for their answer, at most 500; one more is refused with `queue_full`. Default: 100. */
  queue?: number | undefined
  /** Told what a listener threw. Default: `console.error`. */
  onError?: ((error: unknown) => void) | undefined
}

type DataOf<T extends string> = T extends keyof Messages ? Messages[T] : unknown
type Listener<T extends string> = (data: Envelope<T>['data'], envelope: Envelope<T>) => void
type AnyListener = (envelope: Envelope) => void

/** Until the server's `connection_ack`, in milliseconds: not the same for all, so that those who wait in vain spread. */
const handshakeTime = () => 7_500 + Math.random() * 5_000

/** For the answer to a `send`, in milliseconds. */
const answerTime = 30_000

/** A connection that held for so long counts as a success, in milliseconds. */
const settled = 5_000

/** Envelopes that may wait for a `for await`. */
const maxWaiting = 10_000

/** Below the server's limits for a connection, also when what was written over some time arrives at once. */
const pace = { rate: 15, burst: 20, window: 16 }

/** The server keeps the answers to somewhat more. */
const maxQueue = 500

/** At this part of a credential's time a new one is asked for. */
const renewAt = 0.8

/** A connection to one channel route that comes back by itself, for ever, and from its first ack on loses and repeats nothing. */
export class RealtimeClient {
  /** How it was closed for good. */
  closed: { code: number, reason: string } | undefined
  /** What the server said when it was connected last: `user_id` is whom it takes this client for. */
  declare ack: Ack | undefined
  #status: Status = 'connecting'
  readonly #options: ClientOptions
  readonly #WebSocket: WebSocketConstructor
  readonly #url: URL
  readonly #cursors = new Cursors()
  readonly #outbox: Outbox
  readonly #tabs: Tabs | undefined
  readonly #listeners = new Map<string, Set<Listener<any> | AnyListener>>()
  readonly #onStatus = new Set<(status: Status) => void>()
  readonly #onResume = new Set<(resume: Resume) => void>()
  readonly #ending = new AbortController()
  #socket: WebSocketLike | undefined
  /** Failed attempts since a connection held. */
  #attempt = 0
  /** A new credential was asked for because of 4401, and has not been accepted yet. */
  #isRenewed = false
  #openedAt = 0
  #heardAt = 0
  #heartbeat = 25_000
  #isProbing = false
  /** The server said when to come back, so nothing else may hurry it. */
  #isToldToWait = false
  /** The attempt that is under way. */
  #connecting: object | undefined
  #retryTimer: Timer
  #watchTimer: Timer
  #renewTimer: Timer

  /** Connects at once. Throws a TypeError when there is no address or no WebSocket. */
  constructor (options: ClientOptions) {
    const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket
    if (WebSocket === undefined) throw new TypeError('No WebSocket here: pass { WebSocket }')
    this.#WebSocket = WebSocket
    this.#options = options
    this.#url = urlOf(options)
    this.#outbox = new Outbox({ size: Math.min(options.queue ?? 100, maxQueue), ...pace })
    this.#tabs = this.#shared()
    const page = globalThis as Listenable & { document?: Listenable }
    const { signal } = this.#ending
    page.addEventListener?.('online', () => this.#hurry(), { signal })
    page.document?.addEventListener?.('visibilitychange', () => this.#hurry(), { signal })
    this.#connect()
  }

  get status (): Status {
    return this.#status
  }

  /** Calls `listener` with each message of a type, or with `'*'` with each envelope. Returns what ends that. */
  on (type: '*', listener: AnyListener): () => void
  on<T extends (keyof Messages & string) | (string & {})> (type: T, listener: Listener<T>): () => void
  on (type: string, listener: Listener<any> | AnyListener): () => void {
    const ofType = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, ofType.add(listener))
    return () => { ofType.delete(listener) }
  }

  /** Calls `listener` with each change of the status. Returns what ends that. */
  onStatus (listener: (status: Status) => void): () => void {
    return added(this.#onStatus, listener)
  }

  /** Calls `listener` after each reconnect, and when messages were missed. Returns what ends that. */
  onResume (listener: (resume: Resume) => void): () => void {
    return added(this.#onResume, listener)
  }

  /**
   * Sends a message to the server's handler of its type. Resolves when it has been handled, also after reconnects, and
   * once, as long as the server lives. Rejects with a RealtimeError when the server refuses it, after `timeout` milliseconds
   * (default: 30 s), when too many wait, or when the client is closed.
   */
  async send<T extends string> (type: T, data?: DataOf<T>, { timeout = answerTime } = {}): Promise<void> {
    if (this.#status === 'closed') throw new RealtimeError('closed', 'closed')
    return this.#outbox.send(type, data, timeout)
  }

  /**
   * Resolves once connected; rejects with a RealtimeError when the client is closed before. Add listeners before: what is
   * replayed comes together with the connection.
   */
  connected (): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (status: Status) => {
        if (status === 'open') resolve()
        else if (status === 'closed') reject(new RealtimeError('closed', `closed with ${this.closed?.code}`))
        else return
        unbind()
      }
      const unbind = this.onStatus(look)
      look(this.#status)
    })
  }

  /** Closes for good. What was not answered is rejected. */
  close (): void {
    if (this.#status !== 'closed') this.#end(closeCodes.NORMAL.code, '')
  }

  /** Each envelope from now on, until the client is closed. Throws a RealtimeError when 10,000 wait for the loop. */
  [Symbol.asyncIterator] (): AsyncGenerator<Envelope, void, undefined> {
    let waiting: Envelope[] = []
    let isTooSlow = false
    let wake = () => {}
    const unbind = [
      this.on('*', envelope => {
        isTooSlow ||= waiting.push(envelope) > maxWaiting
        if (isTooSlow) waiting = []
        wake()
      }),
      this.onStatus(() => wake())
    ]
    const isOver = () => this.#status === 'closed'
    return (async function * () {
      try {
        for (;;) {
          const batch = waiting
          waiting = []
          yield * batch
          if (isTooSlow) throw new RealtimeError('too_slow', `${maxWaiting} messages wait`)
          if (waiting.length > 0) continue
          if (isOver()) return
          await new Promise<void>(resolve => { wake = resolve })
        }
      } finally {
        for (const end of unbind) end()
      }
    })()
  }

  async #connect (): Promise<void> {
    clearTimeout(this.#retryTimer)
    const attempt = this.#connecting = {}
    this.#openedAt = 0
    this.#watchTimer = setTimeout(() => this.#drop(), handshakeTime())
    this.#setStatus('connecting')
    try {
      // A listener may have closed it.
      if (this.#connecting !== attempt) return
      const token = await this.#options.getToken?.({ isRefused: this.#isRenewed })
      // It may have taken too long, or the client was closed meanwhile.
      if (this.#connecting === attempt) this.#open(token)
    } catch (error) {
      if (this.#connecting === attempt) this.#lost(closeCodes.ABNORMAL.code, '')
      this.#report(error)
    }
  }

  /** Throws what the WebSocket's constructor throws. */
  #open (token: string | undefined): void {
    const { url, protocols } = credentialed(this.#resumingUrl(), token, this.#options.tokenIn ?? 'protocol')
    const socket = this.#tabs?.open(url, protocols) ?? new this.#WebSocket(url, protocols)
    this.#socket = socket
    socket.onmessage = ({ data }) => this.#receive(data)
    socket.onclose = ({ code, reason }) => this.#lost(code, reason)
    socket.onerror = () => {}
  }

  /** Who asks for what was before gets that from the server only. */
  #shared (): Tabs | undefined {
    if (!this.#options.share || this.#options.chat || this.#url.searchParams.has('since') || !canShare()) return undefined
    return new Tabs({ name: `fastify-realtime ${this.#url}`, WebSocket: this.#WebSocket, pace, onAwaited: () => this.#comeBack() })
  }

  #resumingUrl (): URL {
    const url = new URL(this.#url)
    const { since } = this.#cursors
    if (since !== '') url.searchParams.set('since', since)
    return url
  }

  #receive (data: unknown): void {
    this.#heardAt = performance.now()
    this.#isProbing = false
    const envelope = parse(data)
    if (envelope === undefined) return
    switch (envelope.type) {
      case 'connection_ack': return this.#opened(envelope.data as Ack)
      case 'pong': return
      case 'renewed': return this.#renewBefore((envelope.data as ControlMessages['renewed']).expires_in_ms)
      case 'ack': return this.#outbox.settle(envelope.ref)
      case 'error': return this.#refused(envelope)
      case 'resync':
        this.#cursors.reset((envelope.data as ControlMessages['resync']).position)
        return this.#tell(this.#onResume, { recovered: false })
    }
    if (envelope.id !== undefined && !this.#cursors.advance(envelope.id)) return
    for (const listener of this.#listenersOf<Listener<string>>(envelope.type)) this.#call(() => listener(envelope.data, envelope))
    for (const listener of this.#listenersOf<AnyListener>('*')) this.#call(() => listener(envelope))
  }

  /** As they are at the moment: one may unbind another. */
  #listenersOf<T> (type: string): T[] {
    return [...this.#listeners.get(type) ?? []] as T[]
  }

  #opened (ack: Ack): void {
    const { position, recovered, heartbeat_ms: heartbeat, expires_in_ms: expiresIn } = this.ack = ack
    const isFirst = this.#cursors.since === ''
    this.#cursors.reset(position)
    this.#openedAt = performance.now()
    this.#heartbeat = heartbeat
    this.#isRenewed = false
    this.#watch()
    this.#renewBefore(expiresIn)
    this.#setStatus('open')
    if (!isFirst || recovered === false) this.#tell(this.#onResume, { recovered: recovered === true })
    // A listener may have closed it.
    if (this.#socket !== undefined) this.#outbox.open(frame => this.#write(frame))
  }

  #refused ({ ref, data }: Envelope): void {
    const { code, message } = data as ControlMessages['error']
    if (code === 'renew_refused') this.#report(new RealtimeError(code, message))
    else if (ref !== undefined) this.#outbox.settle(ref, new RealtimeError(code, message))
    else if (code === 'rate_limited') this.#outbox.slowDown()
  }

  /** Nothing was heard for one and a half heartbeats: is anybody there? */
  #watch (): void {
    clearTimeout(this.#watchTimer)
    const silence = performance.now() - this.#heardAt
    const left = this.#heartbeat * 1.5 - silence
    if (left > 0) this.#watchTimer = setTimeout(() => this.#watch(), left)
    else this.#probe()
  }

  /** Asks for an answer, and takes the connection for dead when none comes. */
  #probe (): void {
    if (this.#isProbing) return
    clearTimeout(this.#watchTimer)
    this.#write('{"type":"ping"}')
    this.#isProbing = true
    this.#watchTimer = setTimeout(() => {
      if (this.#isProbing) this.#drop()
      else this.#watch()
    }, this.#heartbeat * 0.4)
  }

  /** A socket that is closing may throw; its close follows. */
  #write (frame: string): void {
    this.#call(() => this.#socket?.send(frame))
  }

  #renewBefore (expiresIn: number | undefined): void {
    clearTimeout(this.#renewTimer)
    if (expiresIn === undefined || this.#options.getToken === undefined) return
    this.#renewTimer = setTimeout(() => this.#renew(), Math.min(expiresIn * renewAt, 2 ** 31 - 1))
  }

  /** In place, without a reconnect. Where that fails the server closes with 4401, and a reconnect brings a new one. */
  async #renew (): Promise<void> {
    try {
      const socket = this.#socket
      const token = await this.#options.getToken!({ isRefused: false })
      // A server that cannot renew says `unknown_type`, and closes with 4401 in time.
      if (token !== undefined && socket === this.#socket) this.#write(JSON.stringify({ type: 'renew', ref: 0, data: { token } }))
    } catch (error) {
      this.#report(error)
    }
  }

  /** The connection is dead, or stuck. */
  #drop (): void {
    const socket = this.#socket
    this.#lost(closeCodes.ABNORMAL.code, '')
    socket?.close()
  }

  #lost (code: number, reason: string): void {
    const held = this.#openedAt > 0 && performance.now() - this.#openedAt >= settled
    this.#letGo()
    if (held) this.#attempt = 0
    const action = (closeCode(code) ?? closeCodes.ABNORMAL).action
    if (action === 'stop' || (action === 'renew' && (this.#isRenewed || this.#options.getToken === undefined))) return this.#end(code, reason)
    if (action === 'renew') this.#isRenewed = true
    this.#isToldToWait = action === 'delay' || code === closeCodes.TOO_MANY.code
    this.#retry(this.#delay(code, action, reason, held))
  }

  #delay (code: number, action: string, reason: string, held: boolean): number {
    if (action === 'delay') return parseDelay(reason) ?? this.#backoff()
    // One that is sent away again at once waits like any other.
    if ((action === 'reconnect' || action === 'renew') && (held || this.#attempt === 0)) {
      this.#attempt++
      return 0
    }
    const delay = this.#backoff()
    return code === closeCodes.TOO_MANY.code ? 5_000 + delay : delay
  }

  #backoff (): number {
    return (this.#options.backoff ?? fullJitter)(this.#attempt++)
  }

  #retry (delay: number): void {
    if (this.#status === 'closed') return
    this.#retryTimer = setTimeout(() => this.#connect(), delay)
    this.#setStatus('waiting')
  }

  /** The network is back, or somebody looks at the page again. */
  #hurry (): void {
    const { document } = globalThis as { document?: { visibilityState: string } }
    if (document?.visibilityState === 'hidden') return
    if (this.#status === 'open') this.#probe()
    else this.#comeBack()
  }

  /** Waits no longer, unless it was told to. */
  #comeBack (): void {
    if (this.#status === 'waiting' && !this.#isToldToWait) this.#connect()
  }

  #letGo (): void {
    const socket = this.#socket
    this.#socket = undefined
    this.#connecting = undefined
    clearTimeout(this.#watchTimer)
    clearTimeout(this.#renewTimer)
    this.#isProbing = false
    this.#outbox.pause()
    if (socket !== undefined) socket.onmessage = socket.onclose = null
  }

  #end (code: number, reason: string): void {
    const socket = this.#socket
    this.#letGo()
    socket?.close(closeCodes.NORMAL.code)
    clearTimeout(this.#retryTimer)
    this.#ending.abort()
    this.#tabs?.leave()
    this.closed = { code, reason }
    this.#outbox.close()
    this.#setStatus('closed')
  }

  #setStatus (status: Status): void {
    if (this.#status === status || this.#status === 'closed') return
    this.#status = status
    this.#tell(this.#onStatus, status)
  }

  #tell<T> (listeners: Set<(value: T) => void>, value: T): void {
    for (const listener of [...listeners]) this.#call(() => listener(value))
  }

  #call (action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#report(error)
    }
  }

  #report (error: unknown): void {
    try {
      (this.#options.onError ?? console.error)(error)
    } catch {
      // Nobody is left to tell.
    }
  }
}

type Timer = ReturnType<typeof setTimeout> | undefined

interface Listenable {
  addEventListener?: (event: string, action: () => void, options: { signal: AbortSignal }) => void
}

type Ack = ControlMessages['connection_ack']

function added<T> (set: Set<T>, item: T): () => void {
  set.add(item)
  return () => { set.delete(item) }
}
