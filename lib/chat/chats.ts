import type { FastifyBaseLogger } from 'fastify'
import { Budget } from '../brokers/budget.js'
import { ChatLog } from './log/chat-log.js'
import type { Broker, Retention } from '../brokers/broker.js'
import { errors } from '../errors.js'
import { membersOf, type PresenceOfKind } from '../presence/presence.js'
import type { Inbound, Message } from '../protocol/envelope.js'
import { isSentId, messageIdOf } from '../protocol/message-id.js'
import type { Access } from '../server/access/access.js'
import type { AwaitedWork } from '../server/reports/awaited.js'
import { ignoreRejection } from '../server/reports/caught.js'
import type { Chat, ChatOptions, Run, SavedMessage } from './hooks.js'
import type { Flusher } from '../server/delivery/flush.js'
import { subject, type Cluster } from '../server/cluster.js'
import type { Identity } from '../server/hooks.js'
import { Refusal } from '../server/inbound/fault.js'
import { jsonForm } from '../server/messages/json-form.js'
import type { ChannelKind } from '../server/kinds.js'
import { keyOf } from '../server/inbound/key.js'
import { refKey, type MessageRow, type Received, type Sender } from '../server/inbound/message-row.js'
import type { MessagePublisher, Receipt } from '../server/messages/publisher.js'
import { Remembered } from '../server/inbound/remembered.js'
import type { Timers } from '../time/timers.js'
import { guarded, warnOf, type OnUnheard } from '../server/messages/watched.js'
import { chatAddressOf, chatChannel, type ChatAddress } from './address.js'
import { chatAccess, chatKind } from './kind.js'
import { ActiveChat, type ActiveChatParts } from './active-chat.js'
import { receivedMessageId } from './message-id.js'
import { weightOf, type RunStart } from './runs/run.js'
import { runNameOf, type RunName } from './runs/run-name.js'
import { Turns, type Orphan } from './runs/turns.js'
import { askedAbout, dependsOnWho, isForUsers, isSeen, unpublished } from './visible.js'

export interface ChatsParts {
  options: ChatOptions
  limits: ActiveChatParts['limits'] & {
    /** Maximum weight of the active and waiting runs of all chats; see `RunStart.weight`. */
    liveRuns: number
    /** Maximum bytes of a client's frame. */
    frame: number
  }
  publisher: MessagePublisher
  access: Access
  timers: Timers
  log: FastifyBaseLogger
  flusher: Pick<Flusher, 'before'>
  /** Other servers of the app; absent when there are none. */
  cluster?: Cluster | undefined
  /** Retention of chats. */
  retention?: Retention | undefined
  /** Presence of chats, if they have it. */
  presence?: PresenceOfKind | undefined
  /** Broker with the log of a run whose server died. */
  broker: Broker
}

/** Cancels runs on other servers. `early`: key under which the cancel is remembered when its message has not arrived yet. */
const chatCancelSubject = subject<{ channel: string, userId: string, name?: RunName, early?: string }>('chat_cancel')

/** Answers a question of a run, which may be on any server. */
const inputResponseSubject = subject<{ channel: string, id: string, value: unknown, userId: string }, Answered>('input_response')

/** Cancels that arrive before their message: time in ms for which they are remembered, and maximum number in all chats. */
const early = { time: 60_000, size: 10_000 }

/** Fields of `chat_message` that only the server sets. */
const serverFields = ['message_id', 'run_id', 'role', 'agent', 'status', 'user_id', 'content']

/** All chats of a server: messages of users, and the runs that answer them. */
export class Chats {
  /** Channel kind of chats, with retention, visibility and message handlers. */
  readonly kind: ChannelKind
  readonly #parts: ChatsParts
  readonly #active = new Map<string, ActiveChat>()
  /** Cancels whose message has not arrived yet, by `earlyKey`. */
  readonly #cancelled = new Remembered<true>(early)
  readonly #runs: Budget
  readonly #turns: Turns | undefined
  readonly #onUnheard: OnUnheard
  #isClosing = false

  /** Throws RT_ERR_OPTIONS when the largest allowed message of a client could never start a run. */
  constructor (parts: ChatsParts) {
    const { cluster, timers, log, limits } = parts
    const heaviest = weightOf(limits.frame)
    if (limits.liveRuns < heaviest) {
      throw new errors.OPTIONS(`'limits.liveRuns' must be at least ${heaviest}: the largest message that 'limits.frame' allows counts as that many runs`)
    }
    this.#parts = parts
    this.#runs = new Budget(limits.liveRuns)
    this.#onUnheard = warnOf(log, 'A message was not sent to a chat')
    this.kind = {
      ...chatKind,
      retention: parts.retention,
      access: chatAccess(parts.access),
      isSeen: this.#isSeen(),
      presence: parts.presence,
      rows: this.#rows(),
      // Used unless the app handles the type with the option `onMessage`.
      fallbacks: new Map([['chat_message', { handle: inChats(without('chat.onMessage')) }]])
    }
    this.#turns = cluster && new Turns({ cluster, timers, log, onOrphan: (orphan, lost) => this.#finish(orphan, lost) })
    cluster?.on(chatCancelSubject, ({ channel, userId, name, early }) => { this.#cancelHere(channel, userId, name, early) })
    cluster?.on(inputResponseSubject, ({ channel, id, value, userId }) => this.#answerHere(channel, id, value, userId))
  }

  /** Throws RT_ERR_INVALID_ID. */
  open (address: ChatAddress): Chat {
    const channel = chatChannel(address)
    return {
      send: message => guarded(() => this.#send(channel, message), this.#onUnheard),
      start: (handler, { ref } = {}) => {
        const target = chatAddressOf(channel)
        return this.#start(target, { userId: target.userId, ref, handler })
      },
      members: () => guarded(() => membersOf(this.#parts.presence, channel, 'chat.presence'), this.#onUnheard)
    }
  }

  #send (channel: string, message: Message): Receipt | Promise<Receipt> {
    const { options, publisher, log, limits } = this.#parts
    const sent = askedAbout(options, message, limits.message)
    return isForUsers(options, sent, log) ? publisher.publish(this.kind, channel, sent) : unpublished()
  }

  /** Handlers for messages of clients, by type. */
  #rows (): Map<string, MessageRow> {
    const { onMessage, loadHistory } = this.#parts.options
    const rows = new Map<string, MessageRow>()
    const add = <T extends string>(type: T, handle: Handler<T>, row: Partial<MessageRow> = {}) => {
      rows.set(type, { handle: inChats(handle), ...row })
    }
    add('chat_cancel', (message, sender, target) => this.#cancel(message, sender, target), cancelRow)
    add('input_response', (message, sender, target) => this.#answer(message, sender, target), answerRow)
    add('chat_history', loadHistory === undefined
      ? without('chat.loadHistory')
      : (message, sender, target) => this.#history(message, sender, target))
    if (onMessage !== undefined) {
      const handle: Handler<'chat_message'> = (...parameters) => this.#receive(...parameters)
      add('chat_message', handle, { onceKey: messageKey, mayRetry: true })
    }
    return rows
  }

  /** Number of active chats. */
  get size (): number {
    return this.#active.size
  }

  /** Returns the test whether a user may see a publication; `undefined` when all users see the same publications. */
  #isSeen (): ((message: Message, identity: Identity) => boolean) | undefined {
    const { options: { visible }, log } = this.#parts
    return visible === undefined || !dependsOnWho(visible) ? undefined : (message, identity) => isSeen(visible, message, identity, log)
  }

  /** Interrupts all runs while their ends can still be published. Resolves once the ends are stored and all messages are saved. */
  async close (): Promise<void> {
    this.#isClosing = true
    const active = [...this.#active.values()]
    for (const chat of active) chat.end()
    await Promise.all(active.map(chat => chat.settled()))
    this.#turns?.close()
  }

  /** Unfinished work that `close` waits for. */
  awaited (): AwaitedWork[] {
    const all = [...this.#active.values()].map(({ awaited }) => awaited)
    return [
      { field: 'saves', items: all.flatMap(({ saves }) => saves), text: 'chat.save of message', isOfApp: true },
      { field: 'runs', items: all.flatMap(({ runs }) => runs), text: 'the end of run', isOfApp: true }
    ]
  }

  /** Publishes the end of a run whose server died. */
  async #finish ({ channel, target, about }: Orphan, lost: AbortSignal): Promise<void> {
    const log = await this.#parts.broker.subscribe(channel, this.kind.retention)
    const open = log instanceof ChatLog ? log.unfinished(about.run_id) : undefined
    if (open === undefined || lost.aborted) return
    const answers = (log as ChatLog).unfinishedAnswers(about.run_id)
    const chat = this.#activeChat(channel, target)
    const finished: Message = { type: 'run_finished', data: { ...about, status: 'interrupted' } }
    for (const message of [...open, finished]) await chat.deliver(message, () => !lost.aborted)
    if (!lost.aborted) for (const answer of answers) chat.save(answer as SavedMessage)
  }

  #activeChat (channel: string, target: ChatAddress): ActiveChat {
    const known = this.#active.get(channel)
    if (known !== undefined) return known
    const { options, limits, timers, log, flusher, publisher } = this.#parts
    const chat: ActiveChat = new ActiveChat(target, {
      options,
      limits,
      timers,
      log,
      soon: action => flusher.before(action),
      runs: this.#runs,
      publish: message => publisher.publish(this.kind, channel, message),
      enter: this.#turns && (run => this.#turns!.enter({ channel, target, about: run.about }, run)),
      // The channel may have another active chat by now.
      onIdle: () => { if (this.#active.get(channel) === chat) this.#active.delete(channel) }
    })
    this.#active.set(channel, chat)
    return chat
  }

  /** Throws RT_ERR_CHAT_BUSY and RT_ERR_CLOSING. */
  #start (target: ChatAddress, start: RunStart): Run {
    if (this.#isClosing) throw new errors.CLOSING()
    const chat = this.#activeChat(chatChannel(target), target)
    const lack = chat.lack(start)
    if (lack !== undefined) {
      chat.rest()
      throw new errors.CHAT_BUSY(`${lack.reason}. ${lack.cure}`)
    }
    return chat.start(start)
  }

  /** Saves and publishes a user's message, and starts its run. */
  async #receive (...[message, sender, target, { isRetry, bytes }]: Parameters<Handler<'chat_message'>>): Promise<void> {
    const { userId } = sender
    const { ref, data } = message
    const id = receivedMessageId(message, userId, target)
    // On a retry, the log may have the message although its run never started: a broker that did not answer may have stored it.
    if (!isRetry && isLogged(id, data.repeats !== undefined, sender)) return
    if (this.#isClosing) throw new errors.CLOSING()
    const { onMessage } = this.#parts.options
    const channel = chatChannel(target)
    const { content } = data
    const handler = (run: Run) => onMessage!(run, { id, content, userId, data })
    const start = { userId, ref, messageId: id, weight: weightOf(bytes), handler }
    const chat = this.#activeChat(channel, target)
    const lack = chat.lack(start)
    if (lack !== undefined) {
      chat.rest()
      throw new Refusal('chat_busy', lack.reason)
    }
    const isCancelled = this.#takeEarly(channel, userId, [data.message_id, ref])
    // Its text was said before: it starts a run, and is not shown or saved again.
    if (saysAgain(data, sender, target)) return await chat.receive(undefined, start, isCancelled ? 'cancelled' : undefined)
    const published = { ...withoutServerFields(data), message_id: id, role: 'user', content, status: 'complete' as const, user_id: userId }
    await chat.receive(published, start, isCancelled ? 'cancelled' : undefined)
  }

  /** Whether a message was cancelled, by one of its names, before it arrived. Forgets the cancel: the message can be sent again. */
  #takeEarly (channel: string, userId: string, names: unknown[]): boolean {
    let isCancelled = false
    for (const name of names) {
      if (typeof name !== 'string') continue
      isCancelled = this.#cancelled.take(userId, earlyKey(channel, userId, name), performance.now()) === true || isCancelled
    }
    return isCancelled
  }

  #cancel ({ data: { run_id: runId, ref } = {} }: Inbound<'chat_cancel'>, { userId }: Sender, target: ChatAddress): void {
    const channel = chatChannel(target)
    const name = runId === undefined ? ref === undefined ? undefined : runNameOf(ref, userId, target) : { runId }
    // Only an own message, named by a string, may still arrive. A run id and another user's message exist already; numbers are reused.
    const mayCome = runId === undefined && typeof ref === 'string' && isSentId(ref)
    const early = mayCome ? earlyKey(channel, userId, ref) : undefined
    const isThere = this.#cancelHere(channel, userId, name, early)
    this.#parts.cluster?.tell(chatCancelSubject, { channel, userId, name, early: isThere ? undefined : early })
  }

  /** Cancels runs on this server. Returns whether there were any. If not, remembers `early`. */
  #cancelHere (channel: string, userId: string, name: RunName | undefined, early: string | undefined): boolean {
    const isThere = this.#active.get(channel)?.cancel(name) === true
    if (early !== undefined && !isThere) this.#cancelled.set(userId, early, true, performance.now())
    return isThere
  }

  async #answer ({ data: { request_id: id, value } }: Inbound<'input_response'>, { userId }: Sender, target: ChatAddress): Promise<void> {
    const channel = chatChannel(target)
    const answered = this.#answerHere(channel, id, value, userId) ??
      await this.#parts.cluster?.ask(inputResponseSubject, { channel, id, value, userId })
    if (answered === undefined) throw new Refusal('input_closed', 'this question is not open')
    if (answered.fault !== undefined) throw new Refusal('bad_value', answered.fault)
  }

  /** Answers a question on this server. Returns `undefined` when it is not open here. */
  #answerHere (channel: string, id: string, value: unknown, userId: string): Answered | undefined {
    const question = this.#active.get(channel)?.question(id)
    return question && { fault: question.answer(value, userId) }
  }

  async #history ({ ref, data: { before } = {} }: Inbound<'chat_history'>, { connection, channel }: Sender, target: ChatAddress): Promise<void> {
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
    connection.charge(bytes)
    connection.control('chat_history', { ref, channel, data: { messages, is_complete: form.length === 0 } })
  }
}

/** Result of an answer to a question. `fault`: why the answer was not accepted. */
interface Answered {
  fault?: string
}

type Handler<T extends string> = (message: Inbound<T>, sender: Sender, target: ChatAddress, received: Received) => unknown

function inChats<T extends string> (handle: Handler<T>): MessageRow['handle'] {
  return (message, sender, received) => handle(message as Inbound<T>, sender, chatAddressOf(sender.channel), received)
}

/** Returns the handler of a message that needs a missing option. */
function without (option: string): (message: Inbound) => never {
  return ({ type }) => { throw new Refusal('unknown_type', `no handler for '${type}'. The server needs the option '${option}'`) }
}

/** Whether a cancel names a run. Otherwise it is for all runs of the messages before it. */
function isNamed ({ data }: Inbound): boolean {
  const { run_id: runId, ref } = (data ?? {}) as { run_id?: unknown, ref?: unknown }
  return runId !== undefined || typeof ref === 'string'
}

/** An answer does not wait for earlier messages of the connection. */
const answerRow: Partial<MessageRow> = { isUrgent: () => true, onceKey: refKey }

/** A cancel that names a run does not wait for earlier messages, and needs no key: cancelling a run twice has no effect. */
const cancelRow: Partial<MessageRow> = {
  isUrgent: isNamed,
  onceKey: (message, sender) => isNamed(message) ? undefined : refKey(message, sender)
}

/**
 * Key of a message with an id, or with a string as `ref`: sent again, it is still the same message. Throws a Refusal when the id is
 * not usable, and RT_ERR_INVALID_ID when the user's id is not.
 */
function messageKey (message: Inbound, { userId, channel }: Sender): string | undefined {
  const { ref, data } = message as Inbound<'chat_message'>
  if (data.message_id === undefined && typeof ref !== 'string') return undefined
  return keyOf('message', channel, receivedMessageId(message as Inbound<'chat_message'>, userId, chatAddressOf(channel)))
}

/** Key of a message that a user may still send. `name`: its `ref`, or its id as the client sends it. */
function earlyKey (channel: string, userId: string, name: string): string {
  return keyOf(channel, userId, name)
}

/** Whether the text of a message is that of the user's message in the log which it says that it repeats. */
function saysAgain ({ repeats, content }: Inbound<'chat_message'>['data'], { log, userId }: Sender, { userId: ownerId }: ChatAddress): boolean {
  if (repeats === undefined || !(log instanceof ChatLog)) return false
  return [repeats, messageIdOf(repeats, userId, ownerId)].some(id => log.hasSaid(id, content))
}

/** Whether the log has this message of this user, or its run. Throws a Refusal when another author's message has this id. */
function isLogged (id: string, isRepetition: boolean, { log, userId }: Sender): boolean {
  if (!(log instanceof ChatLog)) return false
  const author = log.authorOf(id)
  if (author === undefined) return isRepetition && log.hasRunOf(id)
  if (author.userId === userId) return true
  throw new Refusal('bad_message', '/data/message_id is that of another message: use a UUID')
}

function withoutServerFields (data: Inbound<'chat_message'>['data']): Record<string, unknown> {
  return Object.fromEntries(Object.entries(data).filter(([name]) => !serverFields.includes(name)))
}
