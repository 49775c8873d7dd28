import { RealtimeClient, type ClientOptions, type Resume, type Status } from '../client.js'
import type { Closed, RealtimeError } from '../error.js'
import { now } from '../clock.js'
import { listeners } from '../listeners.js'
import { random } from '../outbox.js'
import { Conversation, type Page } from './conversation.js'
import type { ChatError, ChatItem, ChatMessage, Question } from './items.js'
import { beforePaint } from './paint.js'

/** Which chat. */
export interface ChatIds {
  workflow: string
  appId: string
  chatId: string
}

export interface OpenChatOptions extends ChatIds, Omit<ClientOptions, 'url' | 'chat' | 'share'> {
  userId: string
  /** Loads the newest messages of the server's `loadHistory` once connected, and after a loss. Default: false. */
  history?: boolean | undefined
}

/**
 * What the chat is doing. The first of these that holds:
 * - `closed`, by the app or by the server: `closed` says how. `reopen` starts it again.
 * - `connecting`: it has not been connected yet. What comes after that is in `connection`: the status of a chat stays.
 * - `waiting`: a question is open.
 * - `streaming`: a run has started and not finished.
 * - `submitted`: a message was sent whose run has not started, or a run of anybody waits for its turn.
 * - `ready`: none of these.
 */
export type ChatStatus = 'closed' | 'connecting' | 'waiting' | 'streaming' | 'submitted' | 'ready'

/** What is shown of a chat. It never changes: after a change there is another one, in which what has not changed is the same. */
export interface ChatState {
  /** All there is to show, in order. */
  readonly items: readonly ChatItem[]
  /** Of these, the messages. */
  readonly messages: readonly ChatMessage[]
  /** The oldest open question. */
  readonly question: Question | undefined
  readonly status: ChatStatus
  readonly connection: Status
  /** How it was closed, while it is. */
  readonly closed: Closed | undefined
  /** Why the latest run failed, until the next one starts. */
  readonly error: ChatError | undefined
  /** There is nothing older to load. */
  readonly isComplete: boolean
}

export interface SendOptions {
  /** More to send along, beside `content`. */
  data?: Record<string, unknown> | undefined
  /** Of the message, at most 128 characters and without a slash. The id of a message that failed tries it again. Default: a new one. */
  id?: string | undefined
  /** For the server's answer, in milliseconds. Default: 30 s. */
  timeout?: number | undefined
}

/** Makes the client of a chat: a fake one in a test. */
export type Connect = (options: ClientOptions) => RealtimeClient

/** Between connections that start anew, at least, in milliseconds: one that reads too slowly would otherwise never end to. */
const renewal = 30_000

/** Connections that may be lost between an answer to `chat_history` and its ack. */
const attempts = 5

const none: readonly never[] = []

/** Before a chat is connected, and on a server. */
export const atFirst: ChatState = {
  items: none, messages: none, question: undefined, status: 'connecting', connection: 'connecting', closed: undefined, error: undefined, isComplete: false
}

/** One chat of one user: the conversation so far, as it grows. It comes back by itself like a client. */
export class Chat {
  readonly #options: OpenChatOptions
  readonly #newClient: Connect
  #conversation: Conversation
  readonly #listeners = listeners(error => this.#report(error))
  #client!: RealtimeClient
  #holders = 1
  #renewedAt = -Infinity
  #wasOpen = false
  /** A connection that knows nothing of the one before takes over with its first ack. */
  #isAnew = false
  #wantsHistory: boolean
  #loading: { page?: Page, readonly done: Promise<boolean> } | undefined
  /** Ids of this client's messages begin so: its user id and a slash, unless it is the chat's owner. */
  #prefix = ''
  #state = atFirst
  #isStale = true
  #isTelling = false
  #shown = atFirst

  /** Connects at once. Throws a TypeError when there is no WebSocket. */
  constructor (options: OpenChatOptions, connect: Connect = options => new RealtimeClient(options)) {
    this.#options = options
    this.#newClient = connect
    this.#conversation = new Conversation(this.#answer)
    this.#wantsHistory = options.history === true
    this.#connect()
  }

  /** All there is to show, in order: messages, tool calls and questions. */
  get items (): ChatState['items'] { return this.#now().items }
  get messages (): ChatState['messages'] { return this.#now().messages }
  /** The oldest open question. It goes away when it is answered, on whatever device. */
  get question (): ChatState['question'] { return this.#now().question }
  get status (): ChatStatus { return this.#now().status }
  get connection (): Status { return this.#client.status }
  /** Why the latest run failed, until the next one starts. */
  get error (): ChatState['error'] { return this.#now().error }
  /** There is nothing older to load. */
  get isComplete (): boolean { return this.#now().isComplete }
  /** How it was closed, while it is. */
  get closed (): ChatState['closed'] { return this.#client.closed }

  /**
   * Calls `listener` when something has changed, at most once per frame of the screen, and where there is no screen once
   * per turn of the event loop. Returns what ends that.
   */
  readonly subscribe = (listener: () => unknown): (() => void) => this.#listeners.add('change', listener)

  /** What the listeners were told of last; with `subscribe` it is for React's `useSyncExternalStore`. */
  readonly snapshot = (): ChatState => {
    if (!this.#isTelling) this.#shown = this.#now()
    return this.#shown
  }

  /**
   * Sends a message. It is in `items` at once, as `pending`, then `complete`; the run that it starts is the server's
   * business. Resolves when the server has taken it, also after reconnects, and once. Rejects with a RealtimeError when it
   * did not: of `chat_busy`, as of a client's `send`. Then the message is there with the status `error`.
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
   * Ends the run that goes and those that wait, whoever sent their messages. Resolves when the server knows; messages that
   * were streaming or queued are `cancelled` then or shortly after. Rejects like `send`.
   */
  readonly stop = async (): Promise<void> => {
    const { runs, submitted } = this.#conversation
    const all = [...runs.map(id => ({ run_id: id })), ...submitted.map(id => ({ ref: this.#sentIdOf(id) }))]
    // From the last on: otherwise the next one starts when the one before it ends.
    await Promise.all(all.reverse().map(data => this.#say('chat_cancel', data)))
  }

  /**
   * Withdraws a message that waits for its turn, by its id: its run does not start. Resolves when the server knows. A run that
   * has started meanwhile ends; one that is over is left as it is. Rejects like `send`.
   */
  readonly withdraw = async (id: string): Promise<void> => {
    const runId = this.#conversation.runOf(id)
    await this.#say('chat_cancel', runId ? { run_id: runId } : { ref: this.#sentIdOf(id) })
  }

  /**
   * Loads older messages, and at first the newest; once at a time. Resolves with whether that was all, at once where the
   * server has no history. Rejects like `send`.
   */
  readonly loadOlder = (): Promise<boolean> => {
    if (this.#conversation.isComplete) return Promise.resolve(true)
    // A message without an id has its position instead, which no app has stored.
    return this.#load(this.messages.find(({ id, status }) => status !== 'pending' && !/^c\.\w+\.\d+$/.test(id))?.id)
  }

  /** For one more who uses it, and will close it. */
  hold ({ history = false }: { history?: boolean } = {}): this {
    this.#holders++
    if (!history || this.#wantsHistory) return this
    this.#wantsHistory = true
    if (this.#wasOpen) this.#catchUp()
    return this
  }

  /** Closes it, once all who use it have. What was not answered is rejected. */
  close (): void {
    if (--this.#holders === 0) this.end()
  }

  /** Closes it, whoever uses it. */
  end (): void {
    this.#client.close()
  }

  /** Starts it again when it is closed, and goes on with what is shown. */
  reopen (): void {
    this.#holders ||= 1
    this.#client.reopen()
  }

  /** As that of a client. */
  wake (): void {
    this.#client.wake()
  }

  /** Nobody uses it. */
  get isFree (): boolean {
    return this.#holders === 0
  }

  #connect (): void {
    // Not a copy: a `getToken` may come later.
    const client = this.#newClient(Object.assign(Object.create(this.#options), { chat: this.#options }))
    this.#client = client
    client.on('chat_history', data => { if (this.#loading) this.#loading.page ??= data as unknown as Page })
    client.on('*', envelope => { if (this.#conversation.apply(envelope)) this.#changed() })
    client.onStatus(status => {
      if (client === this.#client) this.#onStatus(status)
    })
    client.onResume(resume => this.#resumed(resume))
    this.#changed()
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

  /** The server has said who this client is. What was sent before has other ids where it is not the chat's owner. */
  #identify (): void {
    const { user_id: userId } = this.#client.ack!
    if (userId === this.#options.userId) return
    this.#prefix = `${userId}/`
    const { messages } = this
    this.#conversation = new Conversation(this.#answer)
    for (const message of messages) {
      const id = this.#prefix + message.id
      this.#conversation.send({ ...message, id, userId })
      if (message.error) this.#conversation.refuse(id, message.error)
    }
  }

  /** Of a message of this client, the id as it is sent. */
  #sentIdOf (id: string): string {
    return id.startsWith(this.#prefix) ? id.slice(this.#prefix.length) : id
  }

  /**
   * After a loss it reads all that is retained once more, on another connection: what was streaming is repeated from its
   * beginning there, and a question that is open asked again.
   */
  #resumed ({ recovered }: Resume): void {
    if (recovered) return
    const time = now()
    if (time - this.#renewedAt < renewal) return this.#lose()
    this.#renewedAt = time
    this.#isAnew = true
    const client = this.#client
    this.#connect()
    client.close()
  }

  #lose (): void {
    this.#conversation.doubt()
    this.#changed()
    this.#catchUp()
  }

  async #catchUp (): Promise<void> {
    if (!this.#wantsHistory) return
    try {
      // What is on its way may be older than the loss.
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
    // The ack is repeated when its connection is lost, the page before it is not.
    for (let attempt = 0; attempt < attempts; attempt++) {
      try {
        await this.#say('chat_history', { before })
      } catch (error) {
        if ((error as RealtimeError).code !== 'unknown_type') throw error
        this.#conversation.isComplete = true
      }
      const page = this.#loading?.page
      if (page) this.#conversation.merge(page, before)
      if (page || this.#conversation.isComplete) break
    }
    return this.#conversation.isComplete
  }

  /** Like a client's `send`, and on the next connection when this one is replaced. */
  async #say (type: string, data: unknown, timeout?: number): Promise<void> {
    for (;;) {
      const client = this.#client
      try {
        return await client.send(type, data, { timeout })
      } catch (error) {
        if (client === this.#client) throw error
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

  #report (error: unknown): void {
    (this.#options.onError ?? console.error)(error)
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

  #now (): ChatState {
    if (this.#isStale) this.#state = this.#read(this.#state)
    this.#isStale = false
    return this.#state
  }

  #read (before: ChatState): ChatState {
    const { items, question, error, isComplete } = this.#conversation
    const messages = items === before.items ? before.messages : items.filter(item => item.kind === 'message')
    return { items, messages, question, status: this.#status(), connection: this.#client.status, closed: this.closed, error, isComplete }
  }

  #status (): ChatStatus {
    if (this.#client.status === 'closed') return 'closed'
    if (!this.#wasOpen) return 'connecting'
    const { question, isStreaming, runs, submitted } = this.#conversation
    if (question) return 'waiting'
    if (isStreaming) return 'streaming'
    return runs.length + submitted.length > 0 ? 'submitted' : 'ready'
  }
}
