import { channelName, type Channel } from '../client/channels/channel.js'
import { nobody, presence, shownPresence, type PresenceState } from '../client/channels/presence.js'
import { applied } from '../client/channels/roster.js'
import type { ChannelReader } from '../client/channels/subscriptions.js'
import type { Chat } from '../client/chat/chat.js'
import { openChats, type ChatReference, type OpenChat } from '../client/chat/chats.js'
import type { ChatClient } from '../client/chat/client.js'
import type { ClientOptions, RealtimeClient, Resume, Status } from '../client/client.js'
import { after } from '../client/clock.js'
import { envelopesOf } from '../client/envelopes.js'
import { closedError, RealtimeError, type Closed } from '../client/error.js'
import { frameOf } from '../client/sharing/shared-presence.js'
import { listeners, type Listeners } from '../client/listeners.js'
import { whenOpen, type ConnectedOptions } from '../client/waiting.js'
import type { AnswerOf, ControlMessages, Envelope, Messages } from '../protocol/envelope.js'
import type { KindName } from '../protocol/kind-name.js'
import type { Member } from '../protocol/member.js'

/** Message that the code under test has sent, for the test to answer. */
export interface FakeSent {
  readonly type: string
  readonly data: unknown
  readonly isAnswered: boolean
  /**
   * Answers like a server whose handler is done: the promise of `send` resolves, and that of `request` with `data`. Throws when the message
   * was already answered.
   */
  ack (data?: unknown): void
  /** Refuses the message: the promise of `send` rejects with a RealtimeError of this code. Throws when it was already answered. */
  fail (code: string, message?: string): void
}

/** Controls of a fake client, for the test. */
export interface FakeControls {
  /** Sent messages, in order. */
  readonly sent: readonly FakeSent[]
  /** Delivers a message. All listeners were called when this returns. */
  emit<T extends (keyof Messages & string) | (string & {})> (type: T, data?: Envelope<T>['data'], parts?: Partial<Omit<Envelope, 'type' | 'data'>>): void
  /** Sets the status of the connection. `code`: close code for `closed`, which lasts until `reopen`. Default: 1000. */
  setStatus (status: Status, code?: number): void
  /**
   * Sets who is present, for the controls of a channel, or of the connection of a chat. `count`: number of users, if there are more than
   * the server lists. Default: number of the members. `isStale`: whether the server cannot reach its broker. Default: false.
   */
  setPresence (members: readonly Member[], parts?: { count?: number, isStale?: boolean }): void
  /** Reports a reconnect or a resync. `recovered: false`: publications were missed. */
  resume (recovered: boolean): void
  /** Returns the fake client under a chat, to deliver messages and to read sent ones. Throws an Error when the chat was not opened. */
  connectionOf (chat: ChatReference): ChatClient & FakeControls
  /** Returns the controls of a channel. Throws an Error when the channel was not opened. */
  channelOf (kind: string, id: string): FakeControls
}

export interface FakeOptions {
  /** User id of the client. Default: `user`. */
  userId?: string | undefined
}

/** Public part of a class. A class with private parts is a type that no other object has. */
type Public<T> = Pick<T, keyof T>

/**
 * Creates a client of `fastify-realtime/chat` without a server, for unit tests and for `RealtimeProvider`. The test delivers messages,
 * answers those that were sent, and sets the status, which is `open` by default. Listeners are called synchronously.
 */
export function fakeClient (status: Status = 'open', { userId = 'user' }: FakeOptions = {}): ChatClient & FakeControls {
  const client: Public<ChatClient> & FakeControls = new FakeClient(status, userId)
  return client as ChatClient & FakeControls
}

class FakeClient implements Public<ChatClient>, FakeControls {
  status: Status
  closed: Closed | undefined
  outage: Error | undefined
  readonly ack: NonNullable<RealtimeClient['ack']>
  readonly sent: Sent[] = []
  readonly #openChat: OpenChat
  /** Connections of the chats, by address. */
  readonly #connections = new Map<string, FakeClient>()
  /** By name. */
  readonly #channels = new Map<string, FakeClient>()
  readonly #listeners = listeners(rethrow)
  /** Listeners of the readers of this channel, and of this client. */
  readonly #readers = new Set<Listeners>([this.#listeners])
  /** Sends the own data. */
  readonly #ownData = presence(data => this.request('presence', data), console.error, () => {})
  #members = nobody
  /** Members of a chat. */
  readonly presence = shownPresence(() => this.#members, this.#ownData.update, this.#listeners)

  constructor (status: Status, userId: string) {
    this.status = status
    this.ack = { user_id: userId, connection_id: 'fake', position: '', replayed: 0, heartbeat_ms: 25_000 }
    this.#openChat = openChats({ userId }, undefined, options => this.#connect(options))
    if (status === 'closed') this.#end(1000)
    this.#ownData.setOpen(status === 'open')
  }

  on (type: string, listener: (...heard: any[]) => unknown): () => void {
    return this.#listeners.add(type, listener)
  }

  onStatus (listener: (status: Status, closed: Closed | undefined) => unknown): () => void {
    return this.#listeners.add(' status', listener)
  }

  onResume (listener: (resume: Resume) => unknown): () => void {
    return this.#listeners.add(' resume', listener)
  }

  async send (type: string, data?: unknown): Promise<void> {
    await this.request(type, data)
  }

  request<T extends string> (type: T, data?: unknown): Promise<AnswerOf<T>> {
    if (this.closed !== undefined) return Promise.reject(closedError(this.closed))
    const sent = new Sent(type, data)
    this.sent.push(sent)
    return sent.answered as Promise<AnswerOf<T>>
  }

  channel<K extends KindName> (kind: K, id: string): Channel<K> {
    return this.read(channelName(kind, id)) as ChannelReader & Channel<K>
  }

  channelOf (kind: string, id: string): FakeControls {
    const fake = this.#channels.get(`${kind}:${id}`)
    if (fake === undefined) throw new Error(`the channel '${kind}:${id}' of this client was not opened`)
    return fake
  }

  read (name: string): ChannelReader {
    const fake = this.#channels.get(name) ?? new FakeClient(this.status, this.ack.user_id)
    this.#channels.set(name, fake)
    return fake.#asReader(name)
  }

  /** Reads this channel. */
  #asReader (name: string): ChannelReader {
    const own = listeners(rethrow)
    this.#readers.add(own)
    const isReading = () => this.#readers.has(own)
    const status = () => isReading() ? this.status : 'closed'
    const closed = () => isReading() ? this.closed : closedError({ code: 1000, reason: '' }).closed
    const reader: ChannelReader = {
      name,
      since: '',
      listeners: own,
      on: own.add,
      onStatus: listener => own.add(' status', listener),
      onResume: listener => own.add(' resume', listener),
      send: async (type, data) => { await reader.request(type, data) },
      request: async (type, data) => {
        const closed = reader.closed
        if (closed !== undefined) throw closedError(closed)
        return this.request(type, data)
      },
      presence: shownPresence(() => isReading() ? this.#members : nobody, this.#ownData.update, own),
      get status () { return status() },
      get closed () { return closed() },
      close: () => { this.#readers.delete(own) },
      reopen: () => {
        this.#readers.add(own)
        this.reopen()
      }
    }
    return reader
  }

  get options (): ClientOptions {
    return { userId: this.ack.user_id }
  }

  connected (options: ConnectedOptions = {}): Promise<void> {
    return whenOpen(this, options, { after, closedError, RealtimeError })
  }

  close (): void {
    this.setStatus('closed')
    for (const fake of this.#parts) fake.close()
  }

  reopen (): void {
    if (this.closed === undefined) return
    this.closed = undefined
    this.#change('open')
    for (const fake of this.#parts) fake.reopen()
  }

  /** Its chats and channels, which close and open with it. */
  get #parts (): FakeClient[] {
    return [...this.#connections.values(), ...this.#channels.values()]
  }

  wake (): void {}

  chat (target: ChatReference): Chat {
    return this.#openChat(target)
  }

  connectionOf (chat: ChatReference): ChatClient & FakeControls {
    const connection = this.#connections.get(this.#keyOf(chat))
    if (connection === undefined) throw new Error(`the chat '${chat.chatId}' of this client was not opened`)
    return connection as Public<ChatClient> & FakeControls as ChatClient & FakeControls
  }

  /** Creates the connection of a chat. It gets the status of this client once the chat listens to it. */
  #connect ({ chat, userId }: ClientOptions): RealtimeClient {
    const connection = new FakeClient('connecting', this.ack.user_id)
    this.#connections.set(this.#keyOf({ ...chat!, userId }), connection)
    queueMicrotask(() => { if (connection.closed === undefined) connection.setStatus(this.status, this.closed?.code) })
    return connection as Public<RealtimeClient> as RealtimeClient
  }

  #keyOf ({ workflow, appId, chatId, userId = this.ack.user_id }: ChatReference): string {
    return JSON.stringify([workflow, appId, chatId, userId])
  }

  [Symbol.asyncIterator] (): AsyncGenerator<Envelope, void, undefined> {
    return envelopesOf(this)
  }

  emit (type: string, data?: unknown, parts: Partial<Omit<Envelope, 'type' | 'data'>> = {}): void {
    const envelope = { timestamp: new Date().toISOString(), ...parts, type, data }
    if (type === 'presence') this.#showMembers(applied(this.#members, data as ControlMessages['presence']))
    this.#tell(type, data, envelope)
    this.#tell('*', envelope)
  }

  setStatus (status: Status, code = 1000): void {
    if (this.status === status) return
    if (this.closed !== undefined) throw new Error('a client that is closed stays closed until reopen()')
    if (status === 'closed') this.#end(code)
    this.#change(status)
  }

  setPresence (members: readonly Member[], { count = members.length, isStale = false }: { count?: number, isStale?: boolean } = {}): void {
    this.emit('presence', frameOf({ members, count, isStale }))
  }

  resume (recovered: boolean): void {
    this.#tell(' resume', { recovered })
  }

  #showMembers (state: PresenceState): void {
    this.#members = state
    this.#tell(' presence')
  }

  #tell (event: string, ...args: unknown[]): void {
    for (const listeners of [...this.#readers]) listeners.tell(event, ...args)
  }

  #change (status: Status): void {
    this.status = status
    this.#ownData.setOpen(status === 'open')
    if (!this.#members.isStale) this.#showMembers({ ...this.#members, isStale: true })
    this.#tell(' status', status, this.closed)
  }

  #end (code: number): void {
    const error = closedError({ code, reason: '' })
    this.closed = error.closed
    for (const sent of this.sent) if (!sent.isAnswered) sent.fail(error.code, error.message)
  }
}

function rethrow (error: unknown): never {
  throw error
}

class Sent implements FakeSent {
  readonly type: string
  readonly data: unknown
  readonly answered: Promise<unknown>
  isAnswered = false
  #settle!: (data: unknown, error?: RealtimeError) => void

  constructor (type: string, data: unknown) {
    this.type = type
    this.data = data
    this.answered = new Promise((resolve, reject) => {
      this.#settle = (data, error) => error === undefined ? resolve(data) : reject(error)
    })
  }

  ack (data?: unknown): void {
    this.#answer(data)
  }

  fail (code: string, message = code): void {
    this.#answer(undefined, new RealtimeError(code, message))
  }

  #answer (data: unknown, error?: RealtimeError): void {
    if (this.isAnswered) throw new Error(`'${this.type}' was already answered`)
    this.isAnswered = true
    this.#settle(data, error)
  }
}
