import type { Outcome } from '../../protocol/chat.js'
import { grown, growthOf, type Growth } from '../../protocol/growth.js'
import type { Envelope, Messages } from '../../protocol/envelope.js'
import type { ChatError, ChatItem, ChatMessage, Question, ToolCall, Whole } from './items.js'

/** Maximum number of items. The oldest are dropped; they can be loaded again. */
const maxItems = 10_000

type Data = Record<string, any>

/** Part of an envelope that a conversation uses. */
type Publication = Pick<Envelope, 'type' | 'data' | 'id' | 'timestamp'>

/** Known content of a chat. Uses no socket and no clock. Applying the same publications again has no effect. */
export class Conversation {
  /** Error of the latest run, until the next one starts. */
  error: ChatError | undefined
  /** Whether nothing is older than the first item. */
  isComplete = false
  /** Items by key. */
  readonly #byKey = new Map<string, ChatItem>()
  /** Keys of the items in the log, in its order. */
  #order: string[] = []
  /** Keys of messages that this client has sent and that are not in the log yet. They come after all others. */
  readonly #unsettled = new Set<string>()
  /** Keys of messages that the server has accepted. Their author and time come with the log. */
  readonly #accepted = new Set<string>()
  /** Keys of open items: they may still change. */
  readonly #open = new Set<string>()
  /** Keys of items that were closed without their last publication: later publications still apply. */
  readonly #doubted = new Set<string>()
  /** Unfinished runs, by id: whether they have started, and the messages that they answer. */
  readonly #runs = new Map<string, { isStarted: boolean, messageId?: string | undefined }>()
  /** State of messages of several parts, by id. */
  readonly wholes = new Map<string, Whole>()
  /** Ids of messages of this client whose run is unknown yet. */
  readonly #submitted = new Set<string>()
  /** Whether items may be missing between the items from before a lost connection and newer items. */
  hasHole = false
  #list: readonly ChatItem[] | undefined
  readonly #answer: (questionId: string, value: unknown) => Promise<void>

  /** `answer` sends the answer to a question. */
  constructor (answer: (questionId: string, value: unknown) => Promise<void>) {
    this.#answer = answer
  }

  /**
   * Items in the order of the log, then the pending ones, without texts that ended before they had content. The same array as long as
   * nothing changes.
   */
  get items (): readonly ChatItem[] {
    this.#list ??= [...this.#order, ...this.#unsettled].map(key => this.#byKey.get(key)!).filter(isShown)
    return this.#list
  }

  /** The oldest open question. */
  get question (): Question | undefined {
    for (const key of this.#open) {
      const item = this.#byKey.get(key)!
      if (item.kind === 'question') return item
    }
    return undefined
  }

  /** Ids of the active and waiting runs, of any user. */
  get runs (): readonly string[] {
    return [...this.#runs.keys()]
  }

  get isStreaming (): boolean {
    return [...this.#runs.values()].some(({ isStarted }) => isStarted)
  }

  /** Returns the id of the run of a user's message, until the run is over. */
  runOf (id: string): string | undefined {
    return [...this.#runs].find(([, { messageId }]) => messageId === id)?.[0]
  }

  /** Ids of messages of this client whose run is unknown yet. */
  get submitted (): readonly string[] {
    return [...this.#submitted]
  }

  /** What the publications of a chat do, by type. */
  readonly #effects: Record<string, (data: any, time: string, position: string | undefined) => void> = {
    __proto__: null as never,
    run_queued: data => this.#runKnown(data, false),
    run_started: data => this.#runKnown(data, true),
    run_finished: data => this.#runFinished(data),
    chat_message: (data, time, position) => this.#message(data, time, position),
    chat_delta: (data, time) => this.#delta(growthOf('chat_delta', data), data, time),
    chat_part: (data, time) => this.#part(growthOf('chat_part', data), data, time),
    chat_part_delta: (data, time) => this.#part(growthOf('chat_part_delta', data), data, time),
    tool_call: ({ call_id: id, ...data }, createdAt) => {
      this.#isAlive(data.run_id)
      const key = keyOf('tool', id)
      if (!this.#isFinal(key)) this.#put(key, { ...fieldsOf(data), kind: 'tool', id, status: 'running', createdAt } as ToolCall)
    },
    tool_progress: ({ call_id: id, call, progress }) => {
      if (call) this.apply(call)
      this.#change('tool', id, { progress, status: 'running' })
    },
    tool_output: ({ call_id: id, call, ...data }, createdAt) => {
      if (call) this.apply(call)
      this.#change('tool', id, fieldsOf(data), { name: '', createdAt })
    },
    input_request: ({ request_id: id, ...data }, createdAt) => {
      this.#isAlive(data.run_id)
      const answer = (value: unknown) => this.#answer(id, value)
      this.#change('question', id, { ...fieldsOf(data), status: 'open', answer }, { createdAt })
    },
    input_closed: ({ request_id: id, reason: status, ...data }) => this.#change('question', id, { ...fieldsOf(data), status })
  }

  /** The items in the log by key, in its order. */
  get log (): ReadonlyMap<string, ChatItem> {
    return new Map(this.#order.map(key => [key, this.#byKey.get(key)!]))
  }

  /** Another conversation, with some publications and the same function for answers. */
  sibling (publications: readonly Publication[]): Conversation {
    const sibling = new Conversation(this.#answer)
    for (const publication of publications) sibling.apply(publication)
    return sibling
  }

  /**
   * Sets saved items, unless they are final, and the order of the log. `order`: keys of all items. `first`: index of the first that is
   * kept.
   */
  restore (items: ReadonlyMap<string, ChatItem>, order: string[], first: number): void {
    for (const [key, item] of items) {
      if (this.#isFinal(key)) continue
      this.#unsettled.delete(key)
      this.#set(key, item)
      // Only the log knows whether the message is still being written.
      if (item.status === 'streaming') this.#interrupt(key)
    }
    this.#order = order
    for (const key of order.splice(0, first)) this.#forget(key)
  }

  /** Applies a publication. Returns `false` when it is not one of a chat. */
  apply ({ type, data, id, timestamp }: Publication): boolean {
    const effect = this.#effects[type]
    effect?.(data, timestamp, id)
    return !!effect
  }

  /** Adds a message that is being sent. Replaces a failed message with the same id. */
  send (message: Pick<ChatMessage, 'id' | 'text' | 'data' | 'userId' | 'createdAt'>): void {
    const key = keyOf('message', message.id)
    if (this.#byKey.has(key)) {
      if (this.#byKey.get(key)!.status !== 'error') return
      this.#order.splice(this.#order.indexOf(key), 1)
    }
    this.error = undefined
    this.#submitted.add(message.id)
    this.#unsettled.add(key)
    this.#set(key, { kind: 'message', role: 'user', status: 'pending', ...message })
  }

  /** The server has accepted a message. */
  accept (id: string): void {
    const key = keyOf('message', id)
    if (this.#settle(key, { status: this.#statusOf(id) })) this.#accepted.add(key)
  }

  /** Sending a message has failed. Returns `false` when it is in the log nevertheless. */
  refuse (id: string, error: ChatError): boolean {
    const key = keyOf('message', id)
    this.#submitted.delete(id)
    if (!this.#settle(key, { status: 'error', error })) return false
    // Only the answer may have been lost.
    this.#doubted.add(key)
    return true
  }

  /** The server has reported that a question is no longer open. */
  expire (id: string): void {
    const key = keyOf('question', id)
    if (this.#open.has(key)) this.#interrupt(key)
  }

  /** Publications were missed: interrupts the open items. Later publications open them again. */
  doubt (): void {
    this.#endOpen('interrupted')
    const runs = [...this.#runs.values()]
    this.#runs.clear()
    for (const { messageId } of runs) this.#mark(messageId)
    for (const id of this.#submitted) if (!this.#unsettled.has(keyOf('message', id))) this.#submitted.delete(id)
    this.hasHole = this.#order.length > 0
  }

  #runKnown ({ run_id: id, message_id: messageId }: Messages['run_started'], isStarted: boolean): void {
    if (isStarted) this.error = undefined
    this.#runs.set(id, { isStarted: isStarted || !!this.#runs.get(id)?.isStarted, messageId })
    this.#submitted.delete(messageId!)
    this.#mark(messageId)
  }

  #runFinished ({ run_id: id, message_id: messageId, status, error }: Messages['run_finished']): void {
    const hasStarted = this.#runs.get(id)?.isStarted ?? !this.#submitted.has(messageId!)
    this.#runs.delete(id)
    this.#submitted.delete(messageId!)
    this.#mark(messageId, hasStarted ? 'complete' : status, error)
    if (status === 'error') this.error = error
    // The parts of a run are closed before it, unless these publications were missed.
    this.#endOpen(status === 'complete' ? 'interrupted' : status, id)
  }

  /** Status of a user's message in the log, as long as the end of its run is unknown. */
  #statusOf (id: string): 'queued' | 'complete' {
    return this.#runs.get(this.runOf(id)!)?.isStarted === false ? 'queued' : 'complete'
  }

  /** Updates a user's message: its run waits, has started, or ended before it started. */
  #mark (id = '', status: ChatMessage['status'] = this.#statusOf(id), error?: ChatError): void {
    const key = keyOf('message', id)
    const item = this.#byKey.get(key)
    if (item && item.status !== status && /^(queued|complete)$/.test(item.status)) this.#set(key, { ...item, status, error } as ChatMessage)
  }

  #delta (growth: Growth | undefined, { message_id: id, part_of: messageId, run_id: runId, agent }: Messages['chat_delta'], createdAt: string): void {
    this.#isAlive(runId)
    const text = growth && grown((this.#byKey.get(keyOf('message', id)) as ChatMessage | undefined)?.text, growth)
    if (text === undefined) return
    this.#change('message', id, { status: 'streaming', text }, { role: 'assistant', agent, runId, createdAt, ...messageId && { messageId } })
  }

  #part (growth: Growth | undefined, data: Messages['chat_part'], createdAt: string): void {
    const { message_id: messageId, part_id: partId, run_id: runId, kind, status = 'complete', value } = data
    if (status === 'streaming' || growth?.isOpen) this.#isAlive(runId)
    if (kind === 'message') return this.#setWhole(messageId, { runId, status, metadata: value })
    // Calls are unique in the chat, other parts in their message.
    const [id, textField] = kind === 'tool' ? [partId, 'input'] : [`${messageId} ${partId}`, 'text']
    const key = keyOf(kind!, id)
    const known = this.#byKey.get(key) as Data | undefined
    if (known?.status === 'running' || (growth && this.#isFinal(key))) return
    const text = growth && grown(known?.[textField], growth)
    if (growth && text === undefined) return
    const { partId: _, at: __, text: ___, ...fields } = fieldsOf(data)
    this.#put(key, { createdAt, ...known, ...fields, id, status: growth?.isOpen ? 'streaming' : status, ...growth && { [textField]: text } } as ChatItem)
  }

  #message (message: Messages['chat_message'], timestamp: string, position: string | undefined): void {
    const id = message.message_id ?? position ?? timestamp
    const key = keyOf('message', id)
    const isOurs = this.#settle(key) || this.#accepted.delete(key)
    const known = this.#byKey.get(key) as ChatMessage | undefined
    const next = messageOf(message, id, !known || isOurs ? timestamp : known.createdAt)
    if (next.status === 'complete') Object.assign(next, { status: this.#statusOf(id) })
    if (isOpen(next)) this.#isAlive(next.runId)
    // Clients choose the ids of their messages: a message must not replace one of another user.
    const isOfOther = next.userId && known?.userId !== next.userId
    const isSame = known?.text === next.text && known.status === next.status
    if (isOurs || !this.#isFinal(key) || !(isOfOther || isSame)) this.#put(key, next)
  }

  #setWhole (messageId: string, whole: Whole): void {
    this.wholes.set(messageId, whole)
    this.#list = undefined
  }

  /** Closes open items and messages whose last publication was missed. `runId`: only those of this run. */
  #endOpen (status: Outcome, runId?: string): void {
    const isMeant = (one: { runId?: string | undefined }) => runId === undefined || one.runId === runId
    for (const [id, whole] of this.wholes) if (whole.status === 'streaming' && isMeant(whole)) this.#setWhole(id, { ...whole, status })
    for (const key of [...this.#open]) if (isMeant(this.#byKey.get(key)!)) this.#interrupt(key, status)
  }

  /** Marks the run of a publication as active, even if its start was missed. */
  #isAlive (runId: string | undefined): void {
    if (runId) this.#runs.set(runId, { ...this.#runs.get(runId), isStarted: true })
  }

  /** Changes an item, unless it is final. `initial`: fields of an item that is not known yet; without it, none is added. */
  #change (kind: ChatItem['kind'], id: string, change: object, initial?: object): void {
    const key = keyOf(kind, id)
    const item = this.#byKey.get(key) ?? initial
    if (item && !this.#isFinal(key)) this.#put(key, { kind, id, ...item, ...change } as ChatItem)
  }

  #interrupt (key: string, status: Outcome = 'interrupted'): void {
    this.#set(key, { ...this.#byKey.get(key)!, status } as ChatItem)
    this.#doubted.add(key)
  }

  /** Whether an item cannot change any more. */
  #isFinal (key: string): boolean {
    return this.#byKey.has(key) && ![this.#open, this.#unsettled, this.#doubted].some(keys => keys.has(key))
  }

  /** Gives a pending message its place in the log. Returns `false` when it was not pending. */
  #settle (key: string, change: Partial<ChatMessage> = {}): boolean {
    if (!this.#unsettled.delete(key)) return false
    this.#order.push(key)
    this.#set(key, { ...this.#byKey.get(key) as ChatMessage, ...change })
    return true
  }

  #put (key: string, item: ChatItem): void {
    if (!this.#byKey.has(key)) this.#order.push(key)
    this.#set(key, item)
    if (this.#order.length <= maxItems) return
    this.#forget(this.#order.shift()!)
    this.isComplete = false
  }

  #set (key: string, item: ChatItem): void {
    this.#byKey.set(key, item)
    this.#doubted.delete(key)
    if (isOpen(item)) this.#open.add(key)
    else this.#open.delete(key)
    this.#list = undefined
  }

  #forget (key: string): void {
    this.#list = undefined
    const item = this.#byKey.get(key)!
    if (item.kind === 'message') this.wholes.delete(item.messageId ?? item.id)
    for (const keys of [this.#byKey, this.#open, this.#doubted, this.#accepted]) keys.delete(key)
  }
}

function keyOf (kind: ChatItem['kind'], id: string): string {
  return `${kind} ${id}`
}

/** Fields of a publication, with the names that they have in an item: `run_id` becomes `runId`. */
function fieldsOf (data: Data): Data {
  return Object.fromEntries(Object.entries(data).map(([name, value]) => [name.replace(/_./g, ([, letter]) => letter.toUpperCase()), value]))
}

function isOpen ({ status }: ChatItem): boolean {
  return /^(streaming|running|open)$/.test(status)
}

/** Whether an item is not a text of an answer that has failed, or was stopped, before it had content. */
function isShown (item: ChatItem): boolean {
  const { role, text } = item as ChatMessage
  return text !== '' || role === 'user' || isOpen(item) || item.status === 'complete'
}

function messageOf (message: Messages['chat_message'], id: string, createdAt: string): ChatMessage {
  const { message_id: _, part_of: messageId, run_id: runId, role = 'assistant', agent, content, status = 'complete', user_id: userId, ...data } = message
  const more = messageId && { messageId }
  return { kind: 'message', id, role, agent, text: content, status, userId, runId, createdAt, data: Object.keys(data).length ? data : undefined, ...more }
}
