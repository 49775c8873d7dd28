import type { KindName } from '../protocol/kind-name.js'
import type { AnswerOf, ControlMessages, Envelope, Messages } from '../protocol/envelope.js'
import { ownCode, ownCodes, parseDelay, type CloseAction } from '../protocol/own-codes.js'
import { urlOf, withQuery, type Address } from './address.js'
import { delayAfter, type Backoff } from './backoff.js'
import { after, now, type Timer } from './clock.js'
import { channelName, type Channel } from './channels/channel.js'
import { loadRoster } from './channels/presence.js'
import { subscriptions, type ChannelReader, type Subscriptions } from './channels/subscriptions.js'
import { cursors } from './cursors.js'
import { envelopesOf } from './envelopes.js'
import { closedError, RealtimeError, type Closed } from './error.js'
import { parse } from './frame.js'
import { attempt, listeners } from './listeners.js'
import { liveness } from './liveness.js'
import { abnormal, handover, outageOf, type Loss } from './outage.js'
import { bytesOf, outbox, type Outbox } from './outbox.js'
import { paced } from './pace.js'
import { isHidden, watchPage } from './page.js'
import { renewal, type GetToken } from './renewal.js'
import type { Resume, Status } from './status.js'
import type { WebSocketConstructor, WebSocketLike } from './socket.js'
import type { Parts } from './sharing/parts.js'
import type { joinTabs, Tabs } from './sharing/tabs.js'
import { credentialed, type TokenTransport } from './token.js'
import type { ConnectedOptions } from './waiting.js'

export type { Resume, Status }

export interface ClientOptions extends Address {
  /** Returns a credential. Called before each attempt to connect, and when the current credential is about to expire. Default: none. */
  getToken?: GetToken | undefined
  /** How the handshake carries the credential. Default: `protocol`, as a subprotocol. */
  tokenIn?: TokenTransport | undefined
  /** WebSocket constructor. Default: the global one. Node 20 has none: pass that of `ws`. */
  WebSocket?: WebSocketConstructor | undefined
  /** Returns the delay before a reconnect, in ms. Default: `fullJitter`, up to 0.5 s at first and 9 s at last. */
  backoff?: Backoff | undefined
  /**
   * Shares one WebSocket among all tabs of this browser with the same address, with the channels and chats of each. These tabs must belong
   * to the same user. Ignored for a client on the path of a chat, and for a URL with `since`, where each tab reads the history. Without Web
   * Locks or BroadcastChannel, for example on a page without https, each tab has its own WebSocket. The code for this is loaded with
   * `import()`. Default: false.
   */
  share?: boolean | undefined
  /** Maximum number of unanswered messages, at most 500. Further messages reject with `queue_full`. Default: 100. */
  queue?: number | undefined
  /**
   * Called with a RealtimeError for each outage, and with another one when its reason changes. Also called with the errors of listeners
   * and options, such as `getToken`. Default: `console.error`.
   */
  onError?: ((error: unknown) => void) | undefined
}

/** @inline */
export interface AnswerOptions {
  /** Maximum time for the answer of the server, in ms. Default: 30,000. */
  timeout?: number | undefined
}

type DataOf<T extends string> = T extends keyof Messages ? Messages[T] : unknown
/** @inline */
type Listener<T extends string> = (data: Envelope<T>['data'], envelope: Envelope<T>) => unknown
/** @inline */
type AnyListener = (envelope: Envelope) => unknown
/** @inline */
type StatusListener = (status: Status, closed: Closed | undefined) => unknown

/** Time for the `connection_ack`, plus a random part of `handshakeSpreadMs`: clients that time out together retry at different times. */
const handshakeMs = 7_500
const handshakeSpreadMs = 5_000
/** Minimum duration of a connection that resets the count of attempts. */
const settledMs = 5_000
/** Delay after 4429, in addition to the backoff. */
const tooManyMs = 5_000
/** Minimum delay between the attempts of a hidden page, except before the first. */
const hiddenMs = 20_000
/** Time for the answer to the ping of a page that wakes up. */
const wakingMs = 500

const sinceParameter = /([?&])since=[^&]*/

/**
 * Connection to one channel route. Reconnects by itself, without a limit, and resumes after the last publication: none is repeated, and
 * `onResume` reports when some were missed.
 */
export class RealtimeClient {
  /** How the client was closed; `undefined` unless it is closed. */
  declare closed: Closed | undefined
  /** Reason why the client is not connected, as `onError` got it; `undefined` while it is connected. */
  declare outage: Error | undefined
  /** Data of the latest `connection_ack`; `user_id` is the user of this connection. `undefined` before the first one. */
  declare ack: Ack | undefined
  #status: Status = 'waiting'
  /** @internal */
  readonly options: ClientOptions
  readonly #WebSocket: WebSocketConstructor
  readonly #url: string
  /** Name of its channel, if its path is that of a chat. */
  readonly #own: string
  readonly #cursors = cursors()
  readonly #outbox: Outbox
  readonly #channels: Subscriptions
  readonly #report = (error: unknown): void => {
    try {
      (this.options.onError ?? console.error)(error)
    } catch {
      // An error of `onError` itself cannot be reported.
    }
  }

  /** Writes a frame. A socket that is closing may throw; its close event follows. */
  readonly #send = (frame: string): void => attempt(() => this.#socket?.send(frame), this.#report)
  readonly #liveness = liveness(() => this.#send('{"type":"ping"}'), () => {
    this.#hangUp()
    this.#connect()
  })

  readonly #renewBefore: (expiresIn?: number) => void
  /** Listeners by message type, and those of the events `' status'` and `' resume'`. */
  readonly #listeners = listeners(this.#report)
  /** Code that shares the connection among tabs, once it is needed; without a result if it cannot be loaded. */
  #sharing: Promise<void | [{ joinTabs: typeof joinTabs }, Pick<Parts, 'applied'>]> | undefined
  #tabs: Tabs | undefined
  #unwatchPage!: () => void
  #socket: WebSocketLike | undefined
  /** Number of attempts since a connection lasted `settledMs`. */
  #attempt = 0
  /** Set while it reconnects after 4401, until the server accepts the new credential. */
  #isRenewed = false
  /** Time of the ack; `Infinity` before it. */
  #openedAt = Infinity
  /** Time before which the server has forbidden a reconnect; 0 for none. */
  #notBefore = 0
  /** Limits the attempt that is in progress, or ends the wait for the next one. */
  #timer: Timer

  /** Connects at once. Throws a TypeError when the address or an id is invalid, or there is no WebSocket. */
  constructor (options: ClientOptions) {
    const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket
    if (!WebSocket) throw new TypeError('No WebSocket here: pass { WebSocket }')
    this.#WebSocket = WebSocket
    this.options = options
    this.#url = urlOf(options)
    this.#own = 'chat:' + decodeURIComponent(this.#url.replace(/\?.*/, '')).split('/').slice(-4).join('/')
    // The server remembers its answers to slightly more than 500 messages.
    this.#outbox = outbox(Math.min(options.queue ?? 100, 500))
    this.#channels = subscriptions(options, this.#outbox, this.#report)
    this.#renewBefore = renewal(options, token => this.#send(JSON.stringify({ type: 'renew', ref: 0, data: { token } })), this.#report)
    this.#start()
  }

  get status (): Status {
    return this.#status
  }

  /**
   * Calls `listener` with each message of a type, or for `'*'` with each envelope, including connection-level frames
   * (`connection_ack`, `ack`, …). Returns a function that removes the listener.
   */
  on (type: '*', listener: AnyListener): () => void
  on<T extends (keyof Messages & string) | (string & {})> (type: T, listener: Listener<T>): () => void
  on (type: string, listener: Listener<any> | AnyListener): () => void {
    return this.#listeners.add(type, listener)
  }

  /** Calls `listener` with each new status, and for `closed` with the close. Returns a function that removes the listener. */
  onStatus (listener: StatusListener): () => void {
    return this.#listeners.add(' status', listener)
  }

  /** Calls `listener` after each reconnect, and when publications were missed. Returns a function that removes the listener. */
  onResume (listener: (resume: Resume) => unknown): () => void {
    return this.#listeners.add(' resume', listener)
  }

  /**
   * Sends a message to the server's handler of its type. Resolves when it was handled, also after reconnects; it is handled once as
   * long as the server lives. Rejects with a RealtimeError when the server refuses it, after `timeout` ms (default: 30,000), when it is
   * too big, when too many messages wait, and when the client is closed.
   */
  async send<T extends string> (type: T, data?: DataOf<T>, options?: AnswerOptions): Promise<void> {
    await this.request(type, data, options)
  }

  /** Like `send`. Resolves with what the handler returned, for types with a schema in the server's `answers`. */
  async request<T extends string> (type: T, data?: DataOf<T>, options?: AnswerOptions): Promise<AnswerOf<T>>
  async request (type: string, data?: unknown, options?: AnswerOptions): Promise<unknown> {
    if (this.closed) throw closedError(this.closed)
    return this.#outbox.send(type, data, options)
  }

  /**
   * Opens a channel of a kind of the server on this connection. Calls for the same channel share one subscription, and each needs a `close`
   * of the result. Throws a TypeError if the kind or the id is invalid.
   */
  channel<K extends KindName> (kind: K, id: string): Channel<K> {
    return this.read(channelName(kind, id)) as ChannelReader & Channel<K>
  }

  /** Reads a channel by its name. `since`: position to read from. @internal */
  read (name: string, since?: string): ChannelReader {
    return this.#channels.read(name, since)
  }

  /**
   * Resolves once connected. Rejects with a RealtimeError when the client is closed first or not connected within `timeout` ms (default:
   * no limit), and with the reason of `signal` when that aborts. Add listeners before: replayed publications arrive together with the
   * connection. The code for this is loaded with `import()`; rejects also when that fails.
   */
  async connected (options?: ConnectedOptions): Promise<void> {
    const { whenOpen } = await import('./waiting.js')
    return whenOpen(this, options, { after, closedError, RealtimeError })
  }

  /** Closes the client until `reopen`. Unanswered messages reject. */
  close (): void {
    if (!this.closed) this.#end(closedError())
  }

  /** Opens a closed client again and resumes. Otherwise the same as `wake`. */
  reopen (): void {
    if (!this.closed) return this.wake()
    this.closed = this.outage = undefined
    this.#isRenewed = false
    this.#attempt = this.#notBefore = 0
    this.#start()
  }

  /**
   * Checks that the connection is alive, or reconnects at once, unless the server has set a delay. Call it when the app or the device
   * wakes up. A page does this by itself.
   */
  wake (): void {
    this.#attempt = 0
    if (this.#status === 'open') this.#liveness.probe(wakingMs)
    else this.#comeBack()
  }

  /** Iterates over the envelopes from now on, until the client is closed. Throws a RealtimeError when over 10,000 wait for the loop. */
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
    // Placeholder until there is a socket.
    const pending = this.#socket = { close () {} } as WebSocketLike
    this.#openedAt = Infinity
    this.#timer = after(handshakeMs + Math.random() * handshakeSpreadMs, () => {
      this.#hangUp()
      this.#lost({ code: abnormal, reason: 'no connection_ack' })
    })
    this.#setStatus('connecting')
    try {
      // A listener may have closed the client.
      if (this.#socket !== pending) return
      const { share, chat } = this.options
      // Only the server has the history that `since` in the URL requests.
      if (share && !chat && !sinceParameter.test(this.#url)) this.#sharing ??= Promise.all([import('./sharing/tabs.js'), loadRoster()]).catch(this.#report)
      const [token, [tabs, roster] = []] = await Promise.all([this.options.getToken?.({ isRefused: this.#isRenewed }), this.#sharing])
      // This may have taken too long, or the client was closed meanwhile.
      if (this.#socket !== pending) return
      this.#tabs ??= tabs?.joinTabs(
        this.#url, this.#WebSocket, () => this.#comeBack(), { cursors, parse, bytesOf, paced, handover, ...roster! }
      )
      this.#open(token)
    } catch (error) {
      if (this.#socket === pending) this.#lost({ code: abnormal, reason: '', error })
      else this.#report(error)
    }
  }

  /** Opens a socket. Throws what the constructor of the WebSocket throws. */
  #open (token: string | undefined): void {
    const { since } = this.#cursors
    const resuming = since ? withQuery(this.#url.replace(sinceParameter, '$1'), 'since', since) : this.#url
    const [url, protocols] = credentialed(resuming, token, this.options.tokenIn)
    const socket = this.#socket = this.#tabs?.open(url, protocols, since) ?? new this.#WebSocket(url, protocols)
    let fault: string | undefined
    socket.onmessage = ({ data }) => this.#receive(data)
    socket.onclose = ({ code, reason, size }: Loss) => this.#lost({ code, reason, size, fault })
    socket.onerror = ({ message, error }) => { fault = message || error?.code }
  }

  #receive (data: unknown): void {
    this.#liveness.heard()
    const envelope = parse(data)
    // Tabs with one connection hear the channels of each other.
    if (!envelope || this.#channels.receive(envelope) || (envelope.channel ?? this.#own) !== this.#own) return
    if (envelope.id && !this.#cursors.advance(envelope.id)) return
    this.#control(envelope)
    this.#listeners.tell(envelope.type, envelope.data, envelope)
    this.#listeners.tell('*', envelope)
  }

  /** Handles connection-level frames. */
  #control (envelope: Envelope): void {
    switch (envelope.type) {
      case 'connection_ack': return this.#opened(envelope.data as Ack)
      case 'renewed': return this.#renewBefore((envelope.data as ControlMessages['renewed']).expires_in_ms)
      case 'pong':
      case 'ack': return this.#outbox.settle(envelope.ref, undefined, envelope.data)
      case 'error': return this.#refused(envelope)
      case 'resync':
        this.#cursors.start((envelope.data as ControlMessages['resync']).position)
        this.#listeners.tell(' resume', { recovered: false })
    }
  }

  #opened (ack: Ack): void {
    const { position, recovered, limits } = this.ack = ack
    const { since } = this.#cursors
    clearTimeout(this.#timer)
    this.#cursors.start(position)
    this.#openedAt = now()
    this.#isRenewed = false
    this.outage = undefined
    this.#liveness.start(ack.heartbeat_ms)
    this.#renewBefore(ack.expires_in_ms)
    this.#setStatus('open')
    if (since || recovered === false) this.#listeners.tell(' resume', { recovered: !!recovered })
    // A listener may have closed the client.
    if (this.#status !== 'open') return
    this.#channels.start(limits)
    this.#outbox.start(this.#send, this.#channels, limits)
  }

  #refused ({ ref, data }: Envelope): void {
    const { code, message } = data as ControlMessages['error']
    const error = new RealtimeError(code, message)
    if (code === 'renew_refused') this.#report(error)
    else if (ref) this.#outbox.settle(ref, error)
    else if (code === 'rate_limited') {
      this.#channels.again()
      this.#outbox.slowDown()
    }
  }

  /** Handles the end of a connection or of an attempt to connect. */
  #lost (loss: Loss): void {
    const { code, size, error = outageOf(this.#url, loss, this.#openedAt === Infinity) } = loss
    if (now() - this.#openedAt >= settledMs) this.#attempt = 0
    this.#letGo()
    if (code === ownCodes.TOO_BIG.code) this.#outbox.refuseLargest(size)
    const [, { action }] = ownCode(code)
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
    if (!isRenewal && code !== handover) this.#failed(error)
  }

  #delay (action: CloseAction, { code, reason }: Loss): number {
    const told = parseDelay(reason)
    if (told! >= 0) return told!
    const attempts = this.#attempt++
    // Only the first attempt is made at once: a server that keeps closing the connection gets the backoff.
    if (!attempts && (action === 'reconnect' || action === 'renew' || code === handover)) return 0
    const delay = delayAfter(attempts, this.options.backoff, this.#report) + (code === ownCodes.TOO_MANY.code ? tooManyMs : 0)
    return isHidden() && attempts ? Math.max(delay, hiddenMs) : delay
  }

  #retry (delay: number): void {
    clearTimeout(this.#timer)
    this.#timer = after(delay, () => this.#connect())
    this.#setStatus('waiting')
  }

  /** Ends the wait for the next attempt, unless the server has set a delay. */
  #comeBack (): void {
    if (this.#status !== 'waiting') return
    const left = this.#notBefore - now()
    if (left > 0) this.#retry(left)
    else this.#connect()
  }

  /** Releases the connection: it would fail on a sleeping page, and a browser does not cache a page that has one. */
  #rest (code?: number): void {
    this.#hangUp(code)
    this.#tabs?.leave()
    this.#tabs = undefined
  }

  /** Closes the socket. Without a code, the server keeps this connection in the presence of its channels for a while: it may come back. */
  #hangUp (code?: number): void {
    const socket = this.#socket
    this.#letGo()
    socket?.close(code)
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
    // A socket that is closed before it is open emits an error.
    socket.onerror = () => {}
  }

  #end (error: RealtimeError): void {
    this.#rest(error.closed!.code)
    this.#unwatchPage()
    this.closed = error.closed
    this.#outbox.stop(error)
    this.#setStatus('closed')
  }

  #setStatus (status: Status): void {
    if (this.#status === status) return
    this.#status = status
    if (status !== 'open') this.#channels.stop(status, this.closed)
    this.#listeners.tell(' status', status, this.closed)
  }

  /** Reports an outage, unless its reason is the same as before. */
  #failed (outage: unknown): void {
    const before = this.outage
    this.outage = outage as Error
    if (String(before) !== String(outage)) this.#report(outage)
  }
}

type Ack = ControlMessages['connection_ack']
