import type { ControlMessages, Envelope, Messages } from '../protocol/envelope.js'
import { ownCode, ownCodes, parseDelay, type CloseAction } from '../protocol/own-codes.js'
import { urlOf, withQuery, type Address } from './address.js'
import { fullJitter, type Backoff } from './backoff.js'
import { after, now, type Timer } from './clock.js'
import { cursors } from './cursors.js'
import { closedError, RealtimeError, type Closed } from './error.js'
import { parse } from './frame.js'
import { attempt, listeners } from './listeners.js'
import { liveness } from './liveness.js'
import { Lost, outageOf, type Loss } from './outage.js'
import { outbox, type Outbox } from './outbox.js'
import { isHidden, watchPage } from './page.js'
import { renewal, type GetToken } from './renewal.js'
import type { WebSocketConstructor, WebSocketLike } from './socket.js'
import { canShare, joinTabs, type Tabs } from './tabs.js'
import { credentialed, type TokenTransport } from './token.js'
import { envelopesOf, whenOpen, type ConnectedOptions } from './waiting.js'

/** `connecting`: for the first time or again; `open`; `waiting` for the next attempt; `closed` until `reopen`. */
export type Status = 'connecting' | 'open' | 'waiting' | 'closed'

/** What came of a reconnect, or of falling behind. When not all was `recovered`, load your state again. */
export interface Resume {
  readonly recovered: boolean
}

export interface ClientOptions extends Address {
  /** A credential, fetched before each attempt and when the present one is about to expire. */
  getToken?: GetToken | undefined
  /** How the credential travels. Default: as a subprotocol. */
  tokenIn?: TokenTransport | undefined
  /** Default: the global one. Node 20 has none: pass that of `ws`. */
  WebSocket?: WebSocketConstructor | undefined
  /** Default: full jitter from 0.5 to 8 s, then 4.5 to 9 s. */
  backoff?: Backoff | undefined
  /**
   * One socket for all tabs of this browser that connect to the same address, which must then stand for one user. Not for
   * chats, where each tab is to get the whole history. Where the browser has no Web Locks or no BroadcastChannel, as where
   * the page is not served over https, each tab has its own. Default: false.
   */
  share?: boolean | undefined
  /** How many messages may wait for their answer, at most 500; one more is refused with `queue_full`. Default: 100. */
  queue?: number | undefined
  /**
   * Receives a RealtimeError for each outage, and another one when its reason changes; and what a listener or an option
   * threw or rejected with. Default: `console.error`.
   */
  onError?: ((error: unknown) => void) | undefined
}

type DataOf<T extends string> = T extends keyof Messages ? Messages[T] : unknown
type Listener<T extends string> = (data: Envelope<T>['data'], envelope: Envelope<T>) => unknown
type AnyListener = (envelope: Envelope) => unknown
type StatusListener = (status: Status, closed: Closed | undefined) => unknown

/** In milliseconds; an enum costs a page nothing. */
const enum Ms {
  /** Time for the server's `connection_ack`, and up to `handshakeSpread` more, so that clients which wait in vain spread. */
  handshake = 7_500,
  handshakeSpread = 5_000,
  /** For the answer to a `send`. */
  answer = 30_000,
  /** A connection that held for so long counts as a success. */
  settled = 5_000,
  /** After 4429, beside the backoff. */
  tooMany = 5_000,
  /** Between the attempts of a page that is hidden, at least; the first one comes as anywhere. */
  hidden = 20_000,
  /** For the answer to the ping of a page that wakes. */
  waking = 500
}

const sinceParameter = /([?&])since=[^&]*/

/** A connection to one channel route that comes back by itself, for ever, and from its first ack on loses and repeats nothing. */
export class RealtimeClient {
  /** How it was closed, while it is. */
  closed: Closed | undefined
  /** Why it is not connected, as `onError` got it; `undefined` while it is. */
  outage: Error | undefined
  /** The server's answer to the latest handshake: `user_id` is the user of this connection. */
  declare ack: Ack | undefined
  #status: Status = 'waiting'
  readonly #options: ClientOptions
  readonly #WebSocket: WebSocketConstructor
  readonly #url: string
  readonly #cursors = cursors()
  readonly #outbox: Outbox
  readonly #liveness = liveness(() => this.#send('{"type":"ping"}'), () => {
    this.#hangUp()
    this.#connect()
  })

  readonly #renewBefore: (expiresIn?: number) => void
  /** By message type, and beside these `' status'` and `' resume'`. */
  readonly #listeners = listeners(error => this.#report(error))
  #tabs: Tabs | undefined
  #unwatchPage!: () => void
  #socket: WebSocketLike | undefined
  /** Failed attempts since a connection held. */
  #attempt = 0
  /** It came back because of 4401, and has not been accepted yet. */
  #isRenewed = false
  /** When the ack came. */
  #openedAt = Infinity
  /** The server said when to come back: nothing else may hurry it before. */
  #notBefore = 0
  /** Of the attempt that is under way, or until the next one. */
  #timer: Timer

  /** Connects at once. Throws a TypeError when the address or an id is wrong, or there is no WebSocket. */
  constructor (options: ClientOptions) {
    const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket
    if (!WebSocket) throw new TypeError('No WebSocket here: pass { WebSocket }')
    this.#WebSocket = WebSocket
    this.#options = options
    this.#url = urlOf(options)
    // The server keeps the answers to somewhat more than 500.
    this.#outbox = outbox(Math.min(options.queue ?? 100, 500))
    this.#renewBefore = renewal({ options, send: token => this.#send(JSON.stringify({ type: 'renew', ref: 0, data: { token } })), report: this.#report })
    this.#start()
  }

  get status (): Status {
    return this.#status
  }

  /**
   * Calls `listener` with each message of a type, or with `'*'` with each envelope, those of the connection itself
   * (`connection_ack`, `ack`, …) included. Returns what ends that.
   */
  on (type: '*', listener: AnyListener): () => void
  on<T extends (keyof Messages & string) | (string & {})> (type: T, listener: Listener<T>): () => void
  on (type: string, listener: Listener<any> | AnyListener): () => void {
    return this.#listeners.add(type, listener)
  }

  /** Calls `listener` with each change of the status; with `closed` it is told how. Returns what ends that. */
  onStatus (listener: StatusListener): () => void {
    return this.#listeners.add(' status', listener)
  }

  /** Calls `listener` after each reconnect, and when messages were missed. Returns what ends that. */
  onResume (listener: (resume: Resume) => unknown): () => void {
    return this.#listeners.add(' resume', listener)
  }

  /**
   * Sends a message to the server's handler of its type. Resolves when it has been handled, also after reconnects, and
   * once, as long as the server lives. Rejects with a RealtimeError when the server refuses it, after `timeout` milliseconds
   * (default: 30 s), when it is too big, when too many wait, or with how the client was closed.
   */
  async send<T extends string> (type: T, data?: DataOf<T>, { timeout = Ms.answer as number } = {}): Promise<void> {
    if (this.closed) throw closedError(this.closed)
    return this.#outbox.send(type, data, timeout)
  }

  /**
   * Resolves once connected. Rejects with a RealtimeError when the client is closed before, or not connected within
   * `timeout` milliseconds (default: no limit), and with the reason of `signal`. Add listeners before: what is replayed
   * comes together with the connection.
   */
  connected (options?: ConnectedOptions): Promise<void> {
    return whenOpen(this, options)
  }

  /** Closes, until `reopen`. What was not answered is rejected. */
  close (): void {
    if (!this.closed) this.#end(closedError({ code: ownCodes.NORMAL.code, reason: '' }))
  }

  /** Starts again when it is closed, and resumes where it was. Otherwise the same as `wake`. */
  reopen (): void {
    if (!this.closed) return this.wake()
    this.closed = this.outage = undefined
    this.#isRenewed = false
    this.#attempt = this.#notBefore = 0
    this.#status = 'waiting'
    this.#start()
  }

  /**
   * The app, or the device, is awake again: makes sure that the connection is alive, or connects at once, unless the server
   * said when to come back. A page does this by itself.
   */
  wake (): void {
    this.#attempt = 0
    if (this.#status === 'open') this.#liveness.probe(Ms.waking)
    else this.#comeBack()
  }

  /** Each envelope from now on, until the client is closed. Throws a RealtimeError when 10,000 wait for the loop. */
  [Symbol.asyncIterator] (): AsyncGenerator<Envelope, void, undefined> {
    return envelopesOf(this)
  }

  #start (): void {
    this.#unwatchPage = watchPage(() => this.wake(), () => {
      this.#rest()
      this.#setStatus('waiting')
    })
    this.#connect()
  }

  async #connect (): Promise<void> {
    clearTimeout(this.#timer)
    // Stands for the socket until there is one.
    const pending = this.#socket = { close () {} } as WebSocketLike
    this.#openedAt = Infinity
    this.#timer = after(Ms.handshake + Math.random() * Ms.handshakeSpread, () => {
      this.#hangUp()
      this.#lost({ code: Lost.abnormal, reason: 'no connection_ack' })
    })
    this.#setStatus('connecting')
    try {
      // A listener may have closed it.
      if (this.#socket !== pending) return
      const token = await this.#options.getToken?.({ isRefused: this.#isRenewed })
      // It may have taken too long, or the client was closed meanwhile.
      if (this.#socket === pending) this.#open(token)
    } catch (error) {
      if (this.#socket === pending) this.#lost({ code: Lost.abnormal, reason: '', error })
      else this.#report(error)
    }
  }

  /** Throws what the WebSocket's constructor throws. */
  #open (token: string | undefined): void {
    const { since } = this.#cursors
    const resuming = since ? withQuery(this.#url.replace(sinceParameter, '$1'), 'since', since) : this.#url
    const [url, protocols] = credentialed(resuming, token, this.#options.tokenIn)
    // Who asks for what was before gets that from the server only.
    if (this.#options.share && !this.#options.chat && !sinceParameter.test(this.#url) && canShare()) {
      this.#tabs ??= joinTabs({ name: `fastify-realtime ${this.#url}`, WebSocket: this.#WebSocket, onAwaited: () => this.#comeBack() })
    }
    const socket = this.#socket = this.#tabs?.open(url, protocols, since) ?? new this.#WebSocket(url, protocols)
    let fault: string | undefined
    socket.onmessage = ({ data }) => this.#receive(data)
    socket.onclose = ({ code, reason, size }: Loss) => this.#lost({ code, reason, size, fault })
    socket.onerror = ({ message, error }) => { fault = message || error?.code }
  }

  #receive (data: unknown): void {
    this.#liveness.heard()
    const envelope = parse(data)
    if (!envelope || (envelope.id && !this.#cursors.advance(envelope.id))) return
    this.#control(envelope)
    this.#listeners.tell(envelope.type, envelope.data, envelope)
    this.#listeners.tell('*', envelope)
  }

  /** What is about the connection itself. */
  #control (envelope: Envelope): void {
    switch (envelope.type) {
      case 'connection_ack': return this.#opened(envelope.data as Ack)
      case 'renewed': return this.#renewBefore((envelope.data as ControlMessages['renewed']).expires_in_ms)
      case 'ack': return this.#outbox.settle(envelope.ref)
      case 'error': return this.#refused(envelope)
      case 'resync':
        this.#cursors.start((envelope.data as ControlMessages['resync']).position)
        this.#listeners.tell(' resume', { recovered: false })
    }
  }

  #opened (ack: Ack): void {
    const { position, recovered, heartbeat_ms: heartbeat, expires_in_ms: expiresIn, limits } = this.ack = ack
    const { since } = this.#cursors
    clearTimeout(this.#timer)
    this.#cursors.start(position)
    this.#openedAt = now()
    this.#isRenewed = false
    this.outage = undefined
    this.#liveness.start(heartbeat)
    this.#renewBefore(expiresIn)
    this.#setStatus('open')
    if (since || recovered === false) this.#listeners.tell(' resume', { recovered: recovered === true })
    // A listener may have closed it.
    if (this.#socket) this.#outbox.start(frame => this.#send(frame), limits)
  }

  #refused ({ ref, data }: Envelope): void {
    const { code, message } = data as ControlMessages['error']
    const error = new RealtimeError(code, message)
    if (code === 'renew_refused') this.#report(error)
    else if (ref) this.#outbox.settle(ref, error)
    else if (code === 'rate_limited') this.#outbox.slowDown()
  }

  /** A socket that is closing may throw; its close follows. */
  #send (frame: string): void {
    attempt(() => this.#socket?.send(frame), this.#report)
  }

  /** The connection, or the attempt at one, is over. */
  #lost (loss: Loss): void {
    const { code, size, error = outageOf(this.#url, loss, this.#openedAt === Infinity) } = loss
    if (now() - this.#openedAt >= Ms.settled) this.#attempt = 0
    this.#letGo()
    if (code === ownCodes.TOO_BIG.code) this.#outbox.refuseLargest(size)
    const { action } = ownCode(code)
    const isRenewal = action === 'renew'
    if (action === 'stop' || (isRenewal && this.#isRenewed)) {
      this.#end(error as RealtimeError)
      return this.#failed(error)
    }
    this.#isRenewed ||= isRenewal
    const isTold = action === 'delay' || code === ownCodes.TOO_MANY.code
    const delay = this.#delay(action, loss)
    this.#notBefore = isTold ? now() + delay : 0
    this.#retry(delay)
    if (!isRenewal && code !== Lost.handover) this.#failed(error)
  }

  #delay (action: CloseAction, { code, reason }: Loss): number {
    const told = action === 'delay' ? parseDelay(reason) : undefined
    if (told !== undefined) return told
    const attempts = this.#attempt++
    // One that is sent away again at once waits like any other.
    if (attempts === 0 && (action === 'reconnect' || action === 'renew' || code === Lost.handover)) return 0
    const delay = (this.#options.backoff ?? fullJitter)(attempts) + (code === ownCodes.TOO_MANY.code ? Ms.tooMany : 0)
    return isHidden() && attempts > 0 ? Math.max(delay, Ms.hidden) : delay
  }

  #retry (delay: number): void {
    clearTimeout(this.#timer)
    this.#timer = after(delay, () => this.#connect())
    this.#setStatus('waiting')
  }

  /** Waits no longer, unless it was told to. */
  #comeBack (): void {
    if (this.#status !== 'waiting') return
    const left = this.#notBefore - now()
    if (left > 0) this.#retry(left)
    else this.#connect()
  }

  /** Nothing runs any more: on a page that sleeps it would only fail, and a browser keeps no page that has a connection. */
  #rest (): void {
    this.#hangUp()
    this.#tabs?.leave()
    this.#tabs = undefined
  }

  #hangUp (): void {
    const socket = this.#socket
    this.#letGo()
    socket?.close(ownCodes.NORMAL.code)
  }

  #letGo (): void {
    const socket = this.#socket
    this.#socket = undefined
    clearTimeout(this.#timer)
    this.#liveness.stop()
    this.#renewBefore()
    this.#outbox.stop()
    if (!socket) return
    socket.onmessage = socket.onclose = null
    // One that is closed before it is open has an error.
    socket.onerror = () => {}
  }

  #end (error: RealtimeError): void {
    this.#rest()
    this.#unwatchPage()
    this.closed = error.closed
    this.#outbox.stop(error)
    this.#setStatus('closed')
  }

  #setStatus (status: Status): void {
    if (this.#status === status) return
    this.#status = status
    this.#listeners.tell(' status', status, this.closed)
  }

  /** Reports why there is no connection, unless that was the reason already. */
  #failed (outage: unknown): void {
    const isKnown = String(this.outage) === String(outage)
    this.outage = outage as Error
    if (!isKnown) this.#report(outage)
  }

  readonly #report = (error: unknown): void => {
    try {
      (this.#options.onError ?? console.error)(error)
    } catch {
      // Nobody is left to tell.
    }
  }
}

type Ack = ControlMessages['connection_ack']
