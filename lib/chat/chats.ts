import type { FastifyBaseLogger } from 'fastify'
import { ChatLog } from '../brokers/chat-log.js'
import type { Log } from '../brokers/log.js'
import { errors } from '../errors.js'
import type { Inbound, Message } from '../protocol/envelope.js'
import { isSentId } from '../protocol/message-id.js'
import type { AwaitedByChats } from '../server/awaited.js'
import { ignoreRejection } from '../server/caught.js'
import { chatChannel, type ChatAddress } from '../server/channels.js'
import type { Chat, ChatOptions, Run, SavedMessage } from '../server/chat-hooks.js'
import type { Cluster, RunName } from '../server/cluster.js'
import type { Identity, OnMessage, RealtimeConnection } from '../server/hooks.js'
import { Refusal } from '../server/inbound.js'
import { jsonForm } from '../server/json-form.js'
import { keyOf } from '../server/key.js'
import type { Publisher } from '../server/publisher.js'
import { Remembered, type RememberedLimits } from '../server/remembered.js'
import type { Timers } from '../server/timers.js'
import { unhandled } from '../server/unhandled.js'
import { guarded, warnOf, type OnUnheard } from '../server/watched.js'
import { Conversation, type ConversationParts } from './conversation.js'
import { receivedMessageId } from './message-id.js'
import type { RunStart } from './run.js'
import { nameOf } from './run-name.js'
import { Turns, type Orphan } from './turns.js'
import { askedAbout, dependsOnWho, isForUsers, isSeen, unpublished } from './visible.js'

export interface ChatsParts {
  options: ChatOptions
  limits: ConversationParts['limits']
  publisher: Publisher
  timers: Timers
  log: FastifyBaseLogger
  /** Calls `action` when this turn of the event loop is over. */
  soon: (action: () => void) => void
  /** The other servers of the app, where there are any. */
  cluster?: Cluster
  /** The log of a channel, to end a run whose server is gone. */
  logOf: (channel: string) => Log | Promise<Log>
}

/** A connection as the server has it. */
interface ChatConnection extends RealtimeConnection {
  /** Sends a connection-level frame. */
  control (type: string, parts: { ref?: Inbound['ref'], data?: object }): void
  /** What it reads. */
  readonly logs: readonly Log[]
}

/** A repeated message is recognised by its id: for this time, in ms, and up to this number of messages of all chats. */
const accepted = { time: 300_000, size: 20_000 }

/** A cancel that comes before its message is remembered for this time, in ms, and up to this number of cancels of all chats. */
const early = { time: 60_000, size: 10_000 }

/** Fields of `chat_message` that only the server sets. */
const serverFields = ['message_id', 'run_id', 'role', 'agent', 'status', 'user_id', 'content']

/** All chats of a server: what users say in them, and the runs that answer. */
export class Chats {
  readonly #parts: ChatsParts
  readonly #conversations = new Map<string, Conversation>()
  /** Users' messages that are being stored, and those that were, by `messageKey`. */
  readonly #accepting = new Map<string, Promise<void>>()
  readonly #accepted = new Marks(accepted)
  /** Those that were not; a broker that did not answer may have them in the log all the same. */
  readonly #refused = new Marks(accepted)
  /** Those that this server claimed: it may try again. */
  readonly #claimed = new Marks(accepted)
  /** Cancels whose message has not come yet, by `earlyKey`. */
  readonly #cancelled = new Marks(early)
  readonly #turns: Turns | undefined
  readonly #onUnheard: OnUnheard
  #isClosing = false

  constructor (parts: ChatsParts) {
    const { cluster, timers, log } = parts
    this.#parts = parts
    this.#onUnheard = warnOf(log, 'A message was not sent to a chat')
    this.#turns = cluster && new Turns({ cluster, timers, log, onOrphan: (orphan, lost) => this.#finish(orphan, lost) })
    cluster?.on('chat_cancel', ({ channel, userId, name, early }) => this.#cancelHere(channel, userId, name, early))
    cluster?.on('chat_message', ({ userId, key }) => this.#taken(userId, key))
    cluster?.on('input_response', ({ channel, id, value, userId }) => this.#answerHere(channel, id, value, userId))
  }

  /** Throws RT_ERR_INVALID_ID. */
  open (address: ChatAddress): Chat {
    const channel = chatChannel(address)
    const { workflow, appId, chatId, userId } = address
    const target = { workflow, appId, chatId, userId }
    const { options, publisher, log, limits } = this.#parts
    return {
      send: message => guarded(() => {
        const sent = askedAbout(options, message, limits.message)
        return isForUsers(options, sent, log) ? publisher.publish(channel, sent) : unpublished()
      }, this.#onUnheard),
      start: (handler, { ref } = {}) => this.#start(target, { userId, ref, handler })
    }
  }

  /** The handlers of what clients send. */
  handlers (): Map<string, OnMessage> {
    const { onMessage, loadHistory } = this.#parts.options
    const handlers = new Map<string, OnMessage>()
    const add = <T extends string>(type: T, handle: Handler<T>) => handlers.set(type, inChats(handle))
    add('chat_cancel', (message, connection, target) => this.#cancel(message, connection, target))
    add('input_response', (message, connection, target) => this.#answer(message, connection, target))
    if (onMessage !== undefined) add('chat_message', (message, connection, target) => this.#receive(message, connection, target))
    if (loadHistory !== undefined) add('chat_history', (message, connection, target) => this.#history(message, connection, target))
    return handlers
  }

  /** In so many chats something is going on. */
  get size (): number {
    return this.#conversations.size
  }

  /** Whether somebody may see a publication; `undefined` when that does not depend on who it is. */
  get sees (): ((message: Message, identity: Identity) => boolean) | undefined {
    const { options: { visible }, log } = this.#parts
    return visible === undefined || !dependsOnWho(visible) ? undefined : (message, identity) => isSeen(visible, message, identity, log)
  }

  /** Ends all runs, while users can still be told. Resolves when they have been, and what is to be saved is saved. */
  async close (): Promise<void> {
    this.#isClosing = true
    const conversations = [...this.#conversations.values()]
    for (const conversation of conversations) conversation.end()
    await Promise.all(conversations.map(conversation => conversation.settled()))
    this.#turns?.close()
  }

  /** What `close` waits for. */
  awaited (): AwaitedByChats {
    const all = [...this.#conversations.values()].map(({ awaited }) => awaited)
    return { runs: all.flatMap(({ runs }) => runs), saves: all.flatMap(({ saves }) => saves) }
  }

  /** Tells users that a run is over whose server is gone. */
  async #finish ({ channel, target, about }: Orphan, lost: AbortSignal): Promise<void> {
    const log = await this.#parts.logOf(channel)
    const open = log instanceof ChatLog ? log.unfinished(about.run_id) : undefined
    if (open === undefined || lost.aborted) return
    const conversation = this.#conversation(channel, target)
    const finished: Message = { type: 'run_finished', data: { ...about, status: 'interrupted' } }
    for (const message of [...open, finished]) {
      const isWanted = () => !lost.aborted
      await conversation.deliver(message, isWanted)
      if (message.type === 'chat_message' && isWanted()) conversation.save(message.data as SavedMessage)
    }
  }

  #conversation (channel: string, target: ChatAddress): Conversation {
    const known = this.#conversations.get(channel)
    if (known !== undefined) return known
    const { options, limits, timers, log, soon, publisher } = this.#parts
    const conversation: Conversation = new Conversation(target, {
      options,
      limits,
      timers,
      log,
      soon,
      publish: message => publisher.publish(channel, message),
      enter: this.#turns && (run => this.#turns!.enter({ channel, target, about: run.about }, run)),
      // There may be another by now.
      onIdle: () => { if (this.#conversations.get(channel) === conversation) this.#conversations.delete(channel) }
    })
    this.#conversations.set(channel, conversation)
    return conversation
  }

  /** Throws RT_ERR_CHAT_BUSY and RT_ERR_CLOSING. */
  #start (target: ChatAddress, start: RunStart): Run {
    if (this.#isClosing) throw new errors.CLOSING()
    const conversation = this.#conversation(chatChannel(target), target)
    if (!conversation.hasRoom()) throw new errors.CHAT_BUSY(this.#parts.limits.runs)
    return conversation.start(start)
  }

  async #receive (message: Inbound<'chat_message'>, connection: ChatConnection, target: ChatAddress): Promise<void> {
    const { userId } = connection
    const id = receivedMessageId(message, userId, target)
    const key = messageKey(chatChannel(target), id)
    if (this.#accepted.has(userId, key) || (!this.#refused.has(userId, key) && isLogged(id, connection))) return
    if (!await this.#claim(userId, key) || this.#accepted.has(userId, key)) return
    const accepting = this.#accepting.get(key) ?? this.#accept(id, message, userId, target)
    this.#accepting.set(key, accepting)
    try {
      await accepting
      this.#accepted.add(userId, key)
    } catch (error) {
      this.#refused.add(userId, key)
      throw error
    } finally {
      this.#accepting.delete(key)
    }
  }

  /** Saves and publishes a user's message, and starts its run. */
  async #accept (id: string, { ref, data }: Inbound<'chat_message'>, userId: string, target: ChatAddress): Promise<void> {
    if (this.#isClosing) throw new errors.CLOSING()
    const { options: { onMessage }, limits } = this.#parts
    const channel = chatChannel(target)
    const conversation = this.#conversation(channel, target)
    if (!conversation.hasRoom()) throw new Refusal('chat_busy', `${limits.runs} runs of this chat wait already`)
    const { content } = data
    const message = { ...withoutServerFields(data), message_id: id, role: 'user', content, status: 'complete' as const, user_id: userId }
    const names = [data.message_id, ref].filter(name => typeof name === 'string')
    const isCancelled = names.filter(name => this.#cancelled.take(userId, earlyKey(channel, userId, name))).length > 0
    const start = { userId, ref, messageId: id, handler: (run: Run) => onMessage!(run, { id, content, userId, data }) }
    await conversation.receive(message, start, isCancelled ? 'cancelled' : undefined)
  }

  /** Whether it is for this server to take a message; not when another has it. */
  async #claim (userId: string, key: string): Promise<boolean> {
    const { cluster } = this.#parts
    if (cluster === undefined || this.#claimed.has(userId, key)) return true
    if (!await this.#isFirst(cluster, userId, key) && !this.#claimed.has(userId, key)) {
      const known = await cluster.ask('chat_message', { userId, key }) as Taken | undefined
      if (known?.isStored) return false
      // Who claimed it is gone, and never said what became of it; or it was this one, and did not learn of that.
      const isNobodys = known !== undefined || this.#refused.has(userId, key)
      if (!isNobodys) throw new Refusal('handler_failed', 'this message was sent before, to a server that no longer answers')
    }
    this.#claimed.add(userId, key)
    return true
  }

  async #isFirst ({ nodes }: Cluster, userId: string, key: string): Promise<boolean> {
    try {
      return await nodes.claim(userId, key, accepted.time)
    } catch (error) {
      // It may be claimed for all we know.
      this.#refused.add(userId, key)
      throw error
    }
  }

  /** What became of a message here, for a server that it came to again. One that was refused is that server's from now on. */
  async #taken (userId: string, key: string): Promise<Taken | undefined> {
    await this.#accepting.get(key)?.catch(() => {})
    if (this.#accepted.has(userId, key)) return { isStored: true }
    if (!this.#refused.take(userId, key)) return undefined
    this.#claimed.take(userId, key)
    return { isStored: false }
  }

  #cancel ({ data: { run_id: runId, ref } = {} }: Inbound<'chat_cancel'>, { userId }: ChatConnection, target: ChatAddress): void {
    const channel = chatChannel(target)
    const name = runId === undefined ? ref === undefined ? undefined : nameOf(ref, userId, target) : { runId }
    // A run that has an id is there already, and so is another user's message. Numbers are used again.
    const mayCome = runId === undefined && typeof ref === 'string' && isSentId(ref)
    const early = mayCome ? earlyKey(channel, userId, ref) : undefined
    const isThere = this.#cancelHere(channel, userId, name, early)
    this.#parts.cluster?.tell('chat_cancel', { channel, userId, name, early: isThere ? undefined : early })
  }

  /** Returns whether there was such a run. Where there was none, remembers `early`. */
  #cancelHere (channel: string, userId: string, name: RunName | undefined, early: string | undefined): boolean {
    const isThere = this.#conversations.get(channel)?.cancel(name) === true
    if (early !== undefined && !isThere) this.#cancelled.add(userId, early)
    return isThere
  }

  async #answer ({ data: { request_id: id, value } }: Inbound<'input_response'>, { userId }: ChatConnection, target: ChatAddress): Promise<void> {
    const channel = chatChannel(target)
    const answered = this.#answerHere(channel, id, value, userId) ??
      await this.#parts.cluster?.ask('input_response', { channel, id, value, userId }) as Answered | undefined
    if (answered === undefined) throw new Refusal('input_closed', 'this question is not open')
    if (answered.fault !== undefined) throw new Refusal('bad_value', answered.fault)
  }

  /** `undefined` when the question is not open on this server. */
  #answerHere (channel: string, id: string, value: unknown, userId: string): Answered | undefined {
    const question = this.#conversations.get(channel)?.question(id)
    return question && { fault: question.answer(value, userId) }
  }

  async #history ({ ref, data: { before } = {} }: Inbound<'chat_history'>, connection: ChatConnection, target: ChatAddress): Promise<void> {
    const { options: { loadHistory, visible }, limits, log } = this.#parts
    const loaded = await loadHistory!(target, before)
    if (!Array.isArray(loaded)) throw new TypeError("'chat.loadHistory' must return an array of messages")
    const promises = loaded.filter(ignoreRejection)
    if (promises.length > 0) throw new TypeError("'chat.loadHistory' returned an array of promises: await Promise.all(…) of it")
    const form = jsonForm(loaded, 'messages', { isCopied: true, maxBytes: Infinity }) as SavedMessage[]
    const messages = visible === undefined
      ? form
      : form.filter(({ timestamp, ...data }) => isSeen(visible, { type: 'chat_message', data, timestamp }, connection.identity, log))
    const bytes = Buffer.byteLength(JSON.stringify(messages))
    if (bytes > limits.message) throw new errors.MESSAGE_TOO_LARGE(bytes, limits.message)
    connection.control('chat_history', { ref, data: { messages, is_complete: form.length === 0 } })
  }
}

/** Keys of users that were noted lately. */
class Marks {
  readonly #keys: Remembered<true>

  constructor (limits: RememberedLimits) {
    this.#keys = new Remembered(limits)
  }

  add (userId: string, key: string): void {
    this.#keys.set(userId, key, true, performance.now())
  }

  has (userId: string, key: string): boolean {
    return this.#keys.get(userId, key, performance.now()) !== undefined
  }

  /** Whether it is noted; from now on it is not. */
  take (userId: string, key: string): boolean {
    return this.has(userId, key) && this.#keys.delete(userId, key) !== undefined
  }
}

interface Taken {
  isStored: boolean
}

/** What came of an answer to a question: what is wrong with it, if anything is. */
interface Answered {
  fault?: string
}

type Handler<T extends string> = (message: Inbound<T>, connection: ChatConnection, target: ChatAddress) => unknown

function inChats<T extends string> (handle: Handler<T>): OnMessage {
  return (message, connection) => {
    const { target } = connection
    if (target.kind !== 'chat') throw new Refusal('unknown_type', unhandled(message.type, target))
    const { workflow, appId, chatId, userId } = target
    return handle(message as Inbound<T>, connection as ChatConnection, { workflow, appId, chatId, userId })
  }
}

/** A user's message, on all servers. */
function messageKey (channel: string, messageId: string): string {
  return keyOf('message', channel, messageId)
}

/** A message that a user may still send, by its `ref` or by its id as it is sent. */
function earlyKey (channel: string, userId: string, name: string): string {
  return keyOf(channel, userId, name)
}

/** Whether the log has this message of this user. Throws a Refusal when it has a message of somebody else under this id. */
function isLogged (id: string, { logs, userId }: ChatConnection): boolean {
  const log = logs.find(log => log instanceof ChatLog)
  const author = log?.authorOf(id)
  if (author === undefined) return false
  if (author.userId === userId) return true
  throw new Refusal('bad_message', '/data/message_id is that of another message: use a UUID')
}

function withoutServerFields (data: Inbound<'chat_message'>['data']): Record<string, unknown> {
  return Object.fromEntries(Object.entries(data).filter(([name]) => !serverFields.includes(name)))
}
