import { WebSocket } from 'ws'
import { errors } from '../../errors.js'
import { closeCodes, isSendable, type CloseCode } from '../../protocol/close-codes.js'
import type { PeerStream } from '../handshake/pending.js'
import type { Closed } from '../hooks.js'
import type { RefusalReason } from '../reports/refusal-reasons.js'
import type { Timers } from '../../time/timers.js'
import { dismiss } from './dismiss.js'
import { Outlet, type OutletContext } from '../delivery/outlet.js'

export interface LifecycleContext extends OutletContext {
  readonly timers: Timers
}

/** Maximum bytes of a reason in a Close frame (RFC 6455 section 5.5). */
const maxReason = 123

/** States of a connection: opening, open, closing, closed. */
export abstract class Lifecycle extends Outlet {
  readonly #socket: WebSocket
  readonly #timers: Timers
  #state: 'opening' | 'open' | 'closing' | 'closed' = 'opening'
  #closed: Closed | undefined
  /** Code and reason of a close that waits until pending frames are written. */
  #pendingClose: Closed | undefined

  constructor (socket: WebSocket, stream: PeerStream, context: LifecycleContext, isDeflated: boolean) {
    super(stream, context, isDeflated)
    this.#socket = socket
    this.#timers = context.timers
  }

  protected get socket (): WebSocket {
    return this.#socket
  }

  /** Whether a message is being handled. */
  protected abstract get isBusy (): boolean

  /** Records why it is closed, unless it is ending already. Returns the close code. */
  protected abstract refuse (reason: RefusalReason, detail?: string, error?: () => Error): CloseCode

  /** Drops messages that wait for a handler. */
  protected abstract stopHandling (): void

  /** Releases its resources. Further calls have no effect. */
  protected abstract release (): void

  /** Called once, when it is closed. */
  protected abstract onClosed (): void

  get state (): 'opening' | 'open' | 'closing' | 'closed' {
    return this.#state
  }

  /** How it was closed; `undefined` until it is being closed. */
  get closed (): Closed | undefined {
    return this.#closed
  }

  /** Whether it is closing or closed. */
  get isEnding (): boolean {
    return this.#state === 'closing' || this.#state === 'closed'
  }

  protected override get isClosingGently (): boolean {
    return this.#pendingClose !== undefined
  }

  protected override get isTaking (): boolean {
    return this.#state === 'open' || this.#state === 'opening'
  }

  protected override get isOpen (): boolean {
    return this.#state === 'open'
  }

  protected override get isWriting (): boolean {
    return this.#state === 'open' && this.#socket.readyState === WebSocket.OPEN
  }

  protected begin (): void {
    this.#state = 'open'
  }

  protected override onFlushed (): void {
    if (this.#pendingClose !== undefined && !this.isBlocked && !this.isBusy) this.closeNow()
  }

  close (code: number = closeCodes.FORBIDDEN.code, reason = ''): void {
    if (!isSendable(code)) throw new errors.UNKNOWN_CLOSE_CODE(code)
    const text = String(reason)
    const fits = Buffer.byteLength(text) <= maxReason
    const closed = { code, reason: fits ? text : text.slice(0, maxReason / 3) }
    if (this.#end(closed)) this.#socket.close(code, closed.reason)
  }

  /** Closes a connection that violates a limit or the protocol, and handles no more of its messages. */
  expel (reason: RefusalReason, detail?: string): void {
    const code = this.refuse(reason, detail)
    if (this.#end({ code: code.code, reason: '' })) dismiss(this.#socket, code, this.#timers)
  }

  /** Closes the connection for a reason of the server, and records the reason. */
  turnAway (reason: RefusalReason, error?: () => Error): void {
    this.close(this.refuse(reason, undefined, error).code)
  }

  /** Closes when all pending frames are written and the message being handled is answered. */
  closeGently (code: CloseCode, reason: string): void {
    if (this.#state !== 'open') return this.close(code.code, reason)
    this.#pendingClose ??= { code: code.code, reason }
    this.stopHandling()
    this.hurry()
  }

  /** Completes a `closeGently` without waiting any longer. */
  closeNow (): void {
    if (this.#pendingClose !== undefined) this.close(this.#pendingClose.code, this.#pendingClose.reason)
  }

  /** Ends the connection without a Close frame. */
  terminate (): void {
    this.#socket.terminate()
    this.onClose(closeCodes.ABNORMAL.code, '')
  }

  /** Writes pending frames, as far as possible at once, and ends. Returns `false` if the connection is ending already. */
  #end (closed: Closed): boolean {
    if (this.isEnding) return false
    this.#pendingClose = undefined
    this.flushAll()
    // Writing can end the connection.
    if (this.isEnding) return false
    this.#closed = closed
    this.#stop('closing')
    // Resumes reading, for the client's Close.
    this.#socket.resume()
    return true
  }

  /** Called when the socket is closed. */
  onClose (code: number, reason: string): void {
    if (this.#state === 'closed') return
    // The code that this server sent counts, whether or not the client answered it.
    this.#closed ??= { code, reason }
    this.#stop('closed')
    this.onClosed()
  }

  #stop (state: 'closing' | 'closed'): void {
    this.#state = state
    this.release()
    this.endSubscriptions()
  }
}
