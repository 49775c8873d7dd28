import { RealtimeClient, type Resume, type Status } from '../client.js'
import type { Closed, RealtimeError } from '../error.js'
import { now } from '../clock.js'
import { listeners } from '../listeners.js'
import type { PresenceOf } from '../../protocol/member.js'
import type { ChannelPresence } from '../channels/presence.js'
import { random } from '../outbox.js'
import { clientFor, connectChat, hasChannels, type ChatConnection, type Connect, type OpenChatOptions } from './connection.js'
import { Conversation } from './conversation.js'
import type { Page } from './history.js'
import { wholeMessages } from './messages.js'
import type { ChatError, ChatItem, Question, WholeMessage } from './items.js'
import { beforePaint } from './paint.js'
import { chatPresence } from './presence.js'

/**
 * Status of a chat, the first of these that applies:
 * - `closed`: by the app or by the server; the field `closed` has the close. `reopen` opens the chat again.
 * - `connecting`: not connected yet. Later interruptions change only `connection`, not this status.
 * - `waiting`: a question is open.
 * - `streaming`: a run is active.
 * - `submitted`: a message was sent whose run has not started, or a run of any user waits for its turn.
 * - `ready`: none of these.
 */
export type ChatStatus = 'closed' | 'connecting' | 'waiting' | 'streaming' | 'submitted' | 'ready'

/** State of a chat. Immutable: a change creates another object, with the same objects for unchanged parts. */
export interface ChatState {
  /** Texts, tool calls, questions and other parts of messages, in order. */
  readonly items: readonly ChatItem[]
  /** The messages, each with its parts. */
  readonly messages: readonly WholeMessage[]
  /** The oldest open question. */
  readonly question: Question | undefined
  readonly status: ChatStatus
  readonly connection: Status
  /** How the chat was closed; `undefined` unless it is closed. */
  readonly closed: Closed | undefined
  /** Error of the latest run, until the next one starts. */
  readonly error: ChatError | undefined
  /** Whether there are no older messages to load. */
  readonly isComplete: boolean
}

export interface SendOptions {
  /** Fields to send in addition to `content`. Default: none. */
  data?: Record<string, unknown> | undefined
  /** Id of the message: at most 128 characters, no slash. The id of a failed message sends it again. Default: a new id. */
  id?: string | undefined
  /** Maximum time for the server's answer, in ms. Default: 30,000. */
  timeout?: number | undefined
}

/** Minimum time between two fresh connections, in ms. A client that reads too slowly would otherwise start over forever. */
const renewal = 30_000

/** Maximum number of requests for a page of the history. A page is lost when the connection is lost before its ack. */
const attempts = 5

const none: readonly never[] = []

/** State before a chat is connected, and when React renders on a server. */
export const atFirst: ChatState = {
  items: none, messages: none, question: undefined, status: 'connecting', connection: 'connecting', closed: undefined, error: undefined, isComplete: false
}

/** One chat of one user, with its conversation so far. Reconnects by itself, like a client. */
export class Chat {
  readonly #options: OpenChatOptions
  readonly #newClient: Connect
  #conversation: Conversation
  readonly #report = (error: unknown): void => (this.#options.onError ?? console.error)(error)
  readonly #listeners = listeners(this.#report)
  readonly #presence = chatPresence(data => this.#say('presence', data), this.#report, this.#listeners)
  #client!: RealtimeClient
  #connection!: ChatConnection
  /** Stops following the status of the client in the options. */
  #unfollow: (() => void) | undefined
  #holders = 1
  #renewedAt = -Infinity
  #wasOpen = false
  /** Set while a fresh connection is opened, which does not resume. It takes over with its first ack. */
  #isAnew = false
  #wantsHistory: boolean
  #loading: { page?: Page, readonly done: Promise<boolean> } | undefined
  /** Prefix of the ids of this client's messages: its user id and a slash; empty for the owner of the chat. */
  #prefix = ''
  #messages: ChatState['messages'] = none
  /** Items that `#messages` was made of. */
  #collected: ChatState['items'] | undefined
  #state = atFirst
  #isStale = true
  #isTelling = false

  /** Connects at once. Throws a TypeError when the address is invalid, or there is no WebSocket. */
  constructor (options: OpenChatOptions, connect: Connect = options => new RealtimeClient(options)) {
    this.#options = options
    this.#newClient = connect
    this.#conversation = new Conversation(this.#answer)
    this.#wantsHistory = options.history === true
    this.#connect()
    this.#follow()
  }

  /** Texts, tool calls, questions and other parts of messages, in order. */
  get items (): ChatState['items'] { return this.#conversation.items }
  /** The messages, each with its parts. */
  get messages (): ChatState['messages'] {
    const { items, wholes } = this.#conversation
    if (this.#collected !== items) this.#messages = wholeMessages(items, wholes, this.#messages)
    this.#collected = items
    return this.#messages
  }

  /** The oldest open question. It closes when it is answered on any device. */
  get question (): ChatState['question'] { return this.#conversation.question }
  get status (): ChatStatus {
    if (this.closed) return 'closed'
    if (!this.#wasOpen) return 'connecting'
    const { question, isStreaming, runs, submitted } = this.#conversation
    if (question) return 'waiting'
    if (isStreaming) return 'streaming'
    return runs.length + submitted.length > 0 ? 'submitted' : 'ready'
  }

  get connection (): Status { return this.#connection.status }
  /** Error of the latest run, until the next one starts. */
  get error (): ChatState['error'] { return this.#conversation.error }
  /** Whether there are no older messages to load. */
  get isComplete (): boolean { return this.#conversation.isComplete }
  /** Members of the chat, if the server has `chat.presence`. */
  get presence (): ChannelPresence<PresenceOf<'chat'>> { return this.#presence.shown }
  /** How the chat was closed; `undefined` unless it is closed. */
  get closed (): ChatState['closed'] { return this.#connection.closed }

  /**
   * Calls `listener` after changes, at most once per frame of the screen, or without a screen once per turn of the event loop. Returns a
   * function that removes the listener.
   */
  readonly subscribe = (listener: () => unknown): (() => void) => this.#listeners.add('change', listener)

  /** State at the latest call of the listeners. For React's `useSyncExternalStore`, together with `subscribe`. */
  readonly snapshot = (): ChatState => {
    if (this.#isStale && !this.#isTelling) {
      this.#isStale = false
      const { items, messages, question, status, connection, closed, error, isComplete } = this
      this.#state = { items, messages, question, status, connection, closed, error, isComplete }
    }
    return this.#state
  }

  /**
   * Sends a message. It is in `items` at once, with the status `pending`. Resolves when the server has accepted it, also after
   * reconnects, and does not wait for its run. Rejects with a RealtimeError otherwise: `chat_busy`, or as a client's `send`. The message
   * then has the status `error`.
   */
  readonly send = async (content: string, { data, id = random() + random(), timeout }: SendOptions = {}): Promise<void> => {
    const sentId = this.#sentIdOf(id)
    const userId = this.#prefix.slice(0, -1) || this.#options.userId
    this.#conversation.send({ id: this.#prefix + sentId, text: content, data, userId, createdAt: new Date().toISOString() })
    this.#changed()
    try {
      await this.#say('chat_message', { ...data, message_id: sentId, content }, timeout)
      this.#conversation.accept(this.#prefix + sentId)
    } catch (error) {
      const { code, message } = error as RealtimeError
      if (this.#conversation.refuse(this.#prefix + sentId, { code, message }) || code !== 'timeout') throw error
    } finally {
      this.#changed()
    }
  }

  /**
   * Cancels the active run and the waiting runs of any user. Resolves when the server has received this. Streaming and queued
   * messages are `cancelled` then or shortly after. Rejects like `send`.
   */
  readonly stop = async (): Promise<void> => {
    const { runs, submitted } = this.#conversation
    const all = [...runs.map(id => ({ run_id: id })), ...submitted.map(id => ({ ref: this.#sentIdOf(id) }))]
    // The last run first: otherwise the next run would start when the one before it ends.
    await Promise.all(all.reverse().map(data => this.#say('chat_cancel', data)))
  }

  /**
   * Withdraws a message whose run waits for its turn, by the id of the message. Resolves when the server has received this. A run that
   * has started meanwhile is cancelled; a run that is over stays as it is. Rejects like `send`.
   */
  readonly withdraw = async (id: string): Promise<void> => {
    const runId = this.#conversation.runOf(id)
    await this.#say('chat_cancel', runId ? { run_id: runId } : { ref: this.#sentIdOf(id) })
  }

  /**
   * Loads older messages, or the newest ones when there are none yet. Calls during a load join it. Resolves with `true` when there are no
   * older ones, also on a server without `chat.loadHistory`. Rejects like `send`, and when the code for the history cannot be loaded.
   */
  readonly loadOlder = (): Promise<boolean> => {
    if (this.#conversation.isComplete) return Promise.resolve(true)
    // A message without an id has its position as its id, which the app has not saved.
    return this.#load(this.messages.find(({ id, status }) => status !== 'pending' && !/^c\.\w+\.\d+$/.test(id))?.id)
  }

  /** Adds a holder, which must call `close`. */
  hold ({ history = false }: { history?: boolean } = {}): this {
    this.#holders++
    if (!history || this.#wantsHistory) return this
    this.#wantsHistory = true
    if (this.#wasOpen) this.#catchUp()
    return this
  }

  /** Releases the chat, and closes it when no holder is left. Unanswered messages then reject. */
  close (): void {
    if (--this.#holders === 0) this.end()
  }

  /** Closes the chat, even if it has holders. */
  end (): void {
    this.#unfollow?.()
    this.#connection.close()
    this.#changed()
  }

  /** Opens a closed chat again and resumes. The items stay. */
  reopen (): void {
    this.#holders ||= 1
    this.#follow()
    this.#connection.reopen()
    this.#changed()
  }

  /** Like `wake` of a client. */
  wake (): void {
    this.#client.wake()
  }

  /** Whether the chat has no holder. */
  get isFree (): boolean {
    return this.#holders === 0
  }

  #connect (): void {
    this.#client = clientFor(this.#options, this.#newClient)
    const connection = this.#connection = connectChat(this.#client, this.#options)
    this.#presence.connect(connection)
    connection.on('*', envelope => {
      if (envelope.type === 'chat_history' && this.#loading) this.#loading.page ??= envelope.data as unknown as Page
      if (this.#conversation.apply(envelope)) this.#changed()
    })
    connection.onStatus(status => {
      if (connection === this.#connection) this.#onStatus(status)
    })
    connection.onResume(resume => this.#resumed(resume))
    this.#changed()
  }

  /** Moves between a channel of the client and a connection of its own when the client meets a server of another version. */
  #follow (): void {
    const { client } = this.#options
    this.#unfollow?.()
    this.#unfollow = client?.onStatus(() => {
      if (hasChannels(client) !== (this.#client === client)) this.#restart()
    })
  }

  /** Reads the whole chat again on a fresh connection. */
  #restart (): void {
    this.#isAnew = this.#wasOpen
    const connection = this.#connection
    this.#connect()
    connection.close()
  }

  #onStatus (status: Status): void {
    this.#changed()
    if (status !== 'open') return
    const isFirst = !this.#wasOpen
    this.#wasOpen = true
    if (isFirst) this.#identify()
    if (this.#isAnew) this.#lose()
    this.#isAnew = false
    if (isFirst) this.#catchUp()
  }

  /** Applies the user id from the ack. Unless this is the owner of the chat, messages that were sent before get other ids. */
  #identify (): void {
    const { user_id: userId } = this.#client.ack!
    if (userId === this.#options.userId) return
    this.#prefix = `${userId}/`
    const messages = this.items.filter(item => item.kind === 'message')
    this.#conversation = new Conversation(this.#answer)
    for (const message of messages) {
      const id = this.#prefix + message.id
      this.#conversation.send({ ...message, id, userId })
      if (message.error) this.#conversation.refuse(id, message.error)
    }
  }

  /** Returns the id of this client's message, as it is sent. */
  #sentIdOf (id: string): string {
    return id.startsWith(this.#prefix) ? id.slice(this.#prefix.length) : id
  }

  /**
   * After a loss, reads the whole history again on a fresh connection. This repeats unfinished messages from their beginning, and open
   * questions.
   */
  #resumed ({ recovered }: Resume): void {
    if (recovered) return
    const time = now()
    if (time - this.#renewedAt < renewal) return this.#lose()
    this.#renewedAt = time
    this.#restart()
  }

  #lose (): void {
    this.#conversation.doubt()
    this.#changed()
    this.#catchUp()
  }

  async #catchUp (): Promise<void> {
    if (!this.#wantsHistory) return
    try {
      // A page that is already in transit may be older than the loss.
      await this.#loading?.done.catch(() => {})
      await this.#load(undefined)
    } catch (error) {
      if (!this.closed) this.#report(error)
    }
  }

  #load (before: string | undefined): Promise<boolean> {
    this.#loading ??= {
      done: this.#history(before).finally(() => {
        this.#loading = undefined
        this.#changed()
      })
    }
    return this.#loading.done
  }

  async #history (before: string | undefined): Promise<boolean> {
    const code = import('./history.js')
    // After a lost connection the server repeats the ack, but not the page before it.
    for (let attempt = 0; attempt < attempts; attempt++) {
      try {
        const [{ insertPage }] = await Promise.all([code, this.#say('chat_history', { before })])
        const page = this.#loading?.page
        if (!page) continue
        insertPage(this.#conversation, page, before)
      } catch (error) {
        if ((error as RealtimeError).code !== 'unknown_type') throw error
        this.#conversation.isComplete = true
      }
      break
    }
    return this.#conversation.isComplete
  }

  /** Like `send` of a client. Sends again when the connection is replaced by a fresh one. */
  async #say (type: string, data: unknown, timeout?: number): Promise<void> {
    for (;;) {
      const connection = this.#connection
      try {
        return await connection.send(type, data, { timeout })
      } catch (error) {
        if (connection === this.#connection) throw error
      }
    }
  }

  readonly #answer = async (id: string, value: unknown): Promise<void> => {
    try {
      await this.#say('input_response', { request_id: id, value })
    } catch (error) {
      if ((error as RealtimeError).code === 'input_closed') this.#conversation.expire(id)
      this.#changed()
      throw error
    }
  }

  #changed (): void {
    this.#isStale = true
    if (this.#isTelling) return
    this.#isTelling = true
    beforePaint(() => {
      this.#isTelling = false
      this.#listeners.tell('change')
    })
  }
}
