import type { UIMessageChunk } from 'ai'
import { closedError, RealtimeError } from '../client/error.js'
import type { Envelope } from '../protocol/envelope.js'
import { sentIdOf } from '../protocol/message-id.js'
import { FollowedRun } from './ai-sdk/run.js'
import type { Link, LinkEvents, OpenLink } from './link.js'
import { errorTextOf, UiStream } from './ai-sdk/ui-stream.js'

export interface FollowedChatOptions {
  /** Opens the chat, again after publications were missed. */
  open: OpenLink
  /** Owner of the chat. Default: the user of the connection. */
  ownerId?: string | undefined
  /** Called with the errors of cancels. */
  onError: (error: unknown) => void
  /** Time after which an unused connection is closed, in ms. */
  idle: number
  /** Called when the connection is closed, which is final. */
  onClose: () => void
}

/** Message types that announce a run. */
const boundaries = ['run_queued', 'run_started', 'run_finished']

/** Maximum number of runs with approvals that are known after their end. */
const maxApproved = 10

/** Sent message whose run is unknown yet. */
interface Awaited {
  readonly data: Record<string, unknown>
  readonly stream: UiStream
  isAcked: boolean
}

/** Answers to approvals, by the ids of the approvals. */
export type Approvals = ReadonlyMap<string, { approved: boolean, reason?: string }>

export interface Sending {
  /** Data of the message. Its `message_id` identifies its run. */
  data: Record<string, unknown> & { message_id: string }
  /** Id of the page's message that the answer continues. Default: a new message. */
  messageId?: string
  signal?: AbortSignal
}

/**
 * One chat, on a link that is open as long as it is used. Follows all live runs from their beginnings, so that a stream that is opened
 * later begins there too.
 */
export class FollowedChat {
  readonly #options: FollowedChatOptions
  readonly #runs = new Map<string, FollowedRun>()
  readonly #awaited = new Map<string, Awaited>()
  /** The latest runs that are over and had approvals. */
  #approved: FollowedRun[] = []
  #link: Link
  #isReplayed = false
  #onReplayed = new Set<() => void>()
  #epoch: string | undefined
  /** Set when the log of the chat was lost, with all acknowledged messages. */
  #isNewEpoch = false
  /** Reason why the connection is closed. */
  #closed: RealtimeError | undefined
  #uses = 0
  #resumes = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  /** Connects at once. Throws a TypeError when the address is invalid, or there is no WebSocket. */
  constructor (options: FollowedChatOptions) {
    this.#options = options
    this.#link = this.#connect()
  }

  /** Sends a message, and streams its run. The last chunk reports a failure. */
  send ({ data, messageId, signal }: Sending): ReadableStream<UIMessageChunk> {
    const ref = data.message_id
    const stream = this.#stream(messageId)
    if (signal?.aborted) stream.abort()
    else {
      const awaited = { data, stream, isAcked: false }
      this.#awaited.set(ref, awaited)
      this.#deliver(ref, awaited)
      this.#onAbort(stream, signal, () => {
        this.#awaited.delete(ref)
        this.#cancel({ ref })
      })
      if (messageId === undefined) this.#abandon(ref)
    }
    return stream.stream
  }

  /**
   * Streams the newest run that is active or waits for its turn, from its beginning; `undefined` when there is none. Rejects with a
   * RealtimeError when the connection is closed.
   */
  async resume (signal?: AbortSignal): Promise<ReadableStream<UIMessageChunk> | undefined> {
    const count = ++this.#resumes
    this.#use()
    try {
      await this.#replayed(signal)
      const run = [...this.#runs.values()].at(-1)
      if (run === undefined || signal?.aborted) return undefined
      const stream = this.#stream()
      stream.read(run)
      this.#onAbort(stream, signal, () => {
        // A stream that is aborted because the next one replaces it does not cancel its run.
        queueMicrotask(() => { if (count === this.#resumes) this.#cancel({ run_id: run.id }) })
      })
      return stream.stream
    } finally {
      this.#release()
    }
  }

  /**
   * Answers approvals that a run waits for, by their ids, and streams the rest of the run. If they were answered elsewhere, or the run is
   * over, only streams the rest. `undefined` when no known run has asked for any of them.
   */
  async approve (answers: Approvals, signal?: AbortSignal): Promise<ReadableStream<UIMessageChunk> | undefined> {
    this.#use()
    try {
      await this.#replayed(signal)
      const run = [...this.#runs.values(), ...this.#approved].find(({ approvals }) => [...answers.keys()].some(id => approvals.has(id)))
      if (run === undefined || signal?.aborted) return undefined
      const stream = this.#stream()
      stream.readOn(run)
      if (!run.isPaused || run.outcome !== undefined) return stream.stream
      this.#onAbort(stream, signal, () => { this.#cancel({ run_id: run.id }) })
      for (const [id, value] of answers) {
        const requestId = run.approvals.get(id)
        // An approval that was answered on another device is closed.
        if (requestId !== undefined) this.respond(requestId, value).catch(() => {})
      }
      return stream.stream
    } finally {
      this.#release()
    }
  }

  /** Answers a question of a run. Rejects with a RealtimeError, like `send` of a client. */
  async respond (requestId: string, value: unknown): Promise<void> {
    this.#use()
    try {
      await this.#link.send('input_response', { request_id: requestId, value })
    } finally {
      this.#release()
    }
  }

  close (): void {
    this.#end(new RealtimeError('closed', 'the transport was closed'))
  }

  #connect (): Link {
    const ifCurrent = <T extends unknown[]>(action: (...given: T) => void) => (...given: T) => { if (link === this.#link) action(...given) }
    const events: LinkEvents = {
      onConnected: ifCurrent((epoch, recovered) => this.#connected(epoch, recovered)),
      onReplayed: ifCurrent(() => this.#caughtUp()),
      onEnvelope: ifCurrent(envelope => this.#take(envelope)),
      onLost: ifCurrent(() => this.#startOver()),
      onClosed: ifCurrent(closed => this.#end(closedError(closed)))
    }
    const link = this.#options.open(events)
    return link
  }

  /** After missed publications, reads the whole history again on another link. Runs that are not in it are over. */
  #startOver (): void {
    const old = this.#link
    this.#isReplayed = false
    for (const run of this.#runs.values()) run.isDoubtful = true
    this.#link = this.#connect()
    old.close()
    // The server recognises a message that it already has by its id.
    for (const [ref, awaited] of this.#awaited) if (!awaited.isAcked) this.#deliver(ref, awaited)
  }

  /** A chat gets its epoch with its first publication, so another epoch alone does not mean that publications were missed. */
  #connected (epoch: string | undefined, recovered: boolean): void {
    if (this.#epoch !== undefined && this.#epoch !== epoch && !recovered) this.#isNewEpoch = true
    this.#epoch = epoch
  }

  #caughtUp (): void {
    for (const run of this.#runs.values()) {
      if (!run.isDoubtful) continue
      run.end({ status: 'interrupted' })
      this.#forget(run)
    }
    if (this.#isNewEpoch) for (const [ref, { isAcked }] of this.#awaited) if (isAcked) this.#fail(ref, 'interrupted')
    this.#isNewEpoch = false
    this.#isReplayed = true
    this.#tellReplayed()
  }

  #tellReplayed (): void {
    for (const tell of this.#onReplayed) tell()
  }

  #replayed (signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        this.#onReplayed.delete(look)
        signal?.removeEventListener('abort', look)
        if (this.#closed !== undefined) reject(this.#closed)
        else resolve()
      }
      if (this.#isReplayed || this.#closed !== undefined || signal?.aborted) return look()
      this.#onReplayed.add(look)
      signal?.addEventListener('abort', look)
    })
  }

  #take (envelope: Envelope): void {
    const data = envelope.data as { run_id?: unknown, message_id?: string } | undefined
    if (typeof data?.run_id !== 'string') return
    const id = data.run_id
    const isBoundary = boundaries.includes(envelope.type)
    // A run that was cancelled at once has only a `run_finished`.
    if (isBoundary && !this.#runs.has(id)) this.#runs.set(id, new FollowedRun(id, data.message_id))
    const run = this.#runs.get(id)
    if (run === undefined) return
    run.isDoubtful = false
    run.apply(envelope)
    this.#claim(run)
    if (run.outcome !== undefined) this.#forget(run)
  }

  /** Removes a run that is over. A page may still show its approvals as open. */
  #forget (run: FollowedRun): void {
    this.#runs.delete(run.id)
    if (run.approvals.size > 0) this.#approved = [...this.#approved, run].slice(-maxApproved)
  }

  /** Cancels the runs of this user that wait for approvals: the user went on without them, and the next run would wait, too. */
  async #abandon (nextRef: string): Promise<void> {
    await this.#replayed().catch(() => {})
    for (const run of [...this.#runs.values()]) {
      const ref = this.#refOf(run)
      if (run.isPaused && ref !== undefined && ref !== nextRef) this.#cancel({ run_id: run.id })
    }
  }

  /** Returns the id with which this user has sent the message of a run; `undefined` for another user's, and for a run without a message. */
  #refOf ({ messageId }: FollowedRun): string | undefined {
    const { userId = '' } = this.#link
    return messageId === undefined ? undefined : sentIdOf(messageId, userId, this.#options.ownerId ?? userId)
  }

  /** Connects a run to the stream of its message, if the message was sent from here. */
  #claim (run: FollowedRun): void {
    const ref = this.#refOf(run)
    if (ref === undefined) return
    const awaited = this.#awaited.get(ref)
    this.#awaited.delete(ref)
    awaited?.stream.read(run)
  }

  async #deliver (ref: string, awaited: Awaited): Promise<void> {
    const link = this.#link
    try {
      await link.send('chat_message', awaited.data)
      awaited.isAcked = true
    } catch (error) {
      // Another link has sent the message again.
      const isCurrent = link === this.#link && this.#awaited.get(ref) === awaited
      if (isCurrent) this.#fail(ref, errorTextOf(withCure(error as RealtimeError, awaited.data)))
    }
  }

  #fail (ref: string, text: string): void {
    const awaited = this.#awaited.get(ref)
    this.#awaited.delete(ref)
    awaited?.stream.fail(text)
  }

  async #cancel (which: { ref: string } | { run_id: string }): Promise<void> {
    this.#use()
    try {
      await this.#link.send('chat_cancel', which)
    } catch (error) {
      if (this.#closed === undefined) this.#options.onError(error)
    } finally {
      this.#release()
    }
  }

  #onAbort (stream: UiStream, signal: AbortSignal | undefined, action: () => void): void {
    if (stream.isEnded) return
    const abort = () => {
      if (stream.isEnded) return
      action()
      stream.abort()
    }
    signal?.addEventListener('abort', abort, { once: true })
    stream.onEnd(() => signal?.removeEventListener('abort', abort))
  }

  #stream (messageId?: string): UiStream {
    this.#use()
    const stream = new UiStream(messageId)
    stream.onEnd(() => this.#release())
    return stream
  }

  #use (): void {
    clearTimeout(this.#timer)
    this.#uses++
  }

  #release (): void {
    if (--this.#uses > 0 || this.#closed !== undefined) return
    this.#timer = setTimeout(() => this.close(), this.#options.idle)
  }

  #end (error: RealtimeError): void {
    if (this.#closed !== undefined) return
    this.#closed = error
    clearTimeout(this.#timer)
    this.#options.onClose()
    for (const ref of [...this.#awaited.keys()]) this.#fail(ref, errorTextOf(error))
    for (const run of this.#runs.values()) run.end({ status: 'error', error })
    this.#runs.clear()
    this.#link.close()
    this.#tellReplayed()
  }
}

/** Files are sent as data URLs, in one frame with their message, and an answer that the page continues is sent whole. */
function withCure ({ code, message }: RealtimeError, { ui_message: whole }: Record<string, unknown>): { code: string, message: string } {
  if (code !== 'too_big' || whole === undefined) return { code, message }
  const { role, parts } = whole as { role?: string, parts?: Array<{ type: string }> }
  if (role === 'assistant') return { code, message: `${message}. Send only what the page has added to the answer, with prepareSendMessagesRequest` }
  return { code, message: parts?.some(({ type }) => type === 'file') ? `${message}. Upload the files, and send their URLs` : message }
}
