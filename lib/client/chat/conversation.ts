import type { Outcome } from '../../protocol/chat.js'
import { grown, growthOf, type Growth } from '../../protocol/growth.js'
import type { Envelope, Messages } from '../../protocol/envelope.js'
import type { ChatError, ChatItem, ChatMessage, Question, ToolCall, Whole } from './items.js'

/** Maximum number of items. The oldest are dropped; they can be loaded again. */
const maxItems = 10_000

type Saved = Messages['chat_message'] & { timestamp?: string, parts?: Data[], metadata?: unknown }
type Data = Record<string, any>

/** The answer to `chat_history`: messages, oldest first. */
export interface Page {
  messages: ReadonlyArray<Saved>
  /** Whether there are no older messages. */
  is_complete: boolean
}

/** Known content of a chat. Uses no socket and no clock. Applying the same publications again has no effect. */
export class Conversation {
  /** Error of the latest run, until the next one starts. */
  error: ChatError | undefined
  /** Whether nothing is older than the first item. */
  isComplete = false
  readonly #items = new Map<string, ChatItem>()
  /** Keys of the items in the log, in its order. */
  readonly #order: string[] = []
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
  #hasHole = false
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
    this.#list ??= [...this.#order, ...this.#unsettled].map(key => this.#items.get(key)!).filter(isShown)
    return this.#list
  }

  /** The oldest open question. */
  get question (): Question | undefined {
    for (const key of this.#open) {
      const item = this.#items.get(key)!
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

  /** Applies a publication. Returns `false` when it is not one of a chat. */
  apply ({ type, data, id, timestamp }: Envelope): boolean {
    const of = data as never
    switch (type as keyof Messages) {
      case 'run_queued': this.#runKnown(of, false); break
      case 'run_started': this.#runKnown(of, true); break
      case 'run_finished': this.#runFinished(of); break
      case 'chat_delta': this.#delta(growthOf(type, of), of, timestamp); break
      case 'chat_part':
      case 'chat_part_delta': this.#part(growthOf(type, of), of, timestamp); break
      case 'chat_message': this.#message(of, id, timestamp); break
      case 'tool_call': this.#toolCall(of, timestamp); break
      case 'tool_progress': this.#toolProgress(of); break
      case 'tool_output': this.#toolOutput(of, timestamp); break
      case 'input_request': this.#inputRequest(of, timestamp); break
      case 'input_closed': this.#inputClosed(of); break
      default: return false
    }
    return true
  }

  /** Adds a message that is being sent. Replaces a failed message with the same id. */
  send (message: Pick<ChatMessage, 'id' | 'text' | 'data' | 'userId' | 'createdAt'>): void {
    const key = keyOf('message', message.id)
    if (this.#items.has(key)) {
      if (this.#items.get(key)!.status !== 'error') return
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
    for (const key of [...this.#open]) this.#interrupt(key)
    this.#closeWholes('interrupted')
    const runs = [...this.#runs.values()]
    this.#runs.clear()
    for (const { messageId } of runs) this.#mark(messageId)
    for (const id of this.#submitted) if (!this.#unsettled.has(keyOf('message', id))) this.#submitted.delete(id)
    this.#hasHole = this.#order.length > 0
  }

  /** Inserts a page of older messages: those before the message `before`, or else the newest. */
  merge ({ messages, is_complete: isComplete }: Page, before?: string): void {
    const anchor = this.#order.indexOf(before! && keyOf('message', before))
    let at = anchor === -1 ? this.#order.length : anchor
    let isNew = false
    for (const { key, item, timestamp } of messages.flatMap(message => this.#saved(message)).reverse()) {
      const isFinal = this.#isFinal(key)
      this.#unsettled.delete(key)
      const index = this.#order.indexOf(key)
      isNew = index === -1
      if (!isNew) at = Math.min(at, index)
      else {
        while (at > 0 && isLater(this.#items.get(this.#order[at - 1])!.createdAt, timestamp)) at--
        this.#order.splice(at, 0, key)
      }
      if (isFinal || (item.status === 'streaming' && !isNew)) continue
      this.#set(key, isNew ? item : { ...item, createdAt: this.#items.get(key)!.createdAt })
      // Only the log knows whether the message is still being written.
      if (item.status === 'streaming') this.#interrupt(key)
    }
    this.isComplete ||= isComplete
    if (before || !this.#hasHole) return
    this.#hasHole = false
    if (!isNew || isComplete) return
    // Items before the page may not be adjacent to it. They can be loaded again.
    for (const key of this.#order.splice(0, at)) this.#forget(key)
    this.isComplete = false
  }

  /** Items of a saved message: one, or one for each of its parts. */
  #saved ({ parts, metadata, ...message }: Saved): Array<{ key: string, item: ChatItem, timestamp: string }> {
    const { message_id: messageId, run_id: runId, timestamp = '', status = 'complete', agent } = message
    if (messageId === undefined) return []
    if (!parts) return [{ key: keyOf('message', messageId), item: messageOf(message, messageId, timestamp), timestamp }]
    if (!this.wholes.has(messageId)) this.wholes.set(messageId, { status, metadata })
    return parts.map(part => {
      const { kind, part_id: id, text } = part
      const about = { ...part, message_id: messageId, run_id: runId, agent } as never
      const item = kind === 'text'
        ? messageOf({ ...message, content: text, part_of: id === messageId ? undefined : messageId }, id, timestamp)
        : { status: 'complete', ...partOf(about, text), createdAt: timestamp, ...part.status && { status: part.status } }
      return { key: kind === 'text' ? keyOf('message', id) : partKeyOf(kind, messageId, id), item: item as ChatItem, timestamp }
    })
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
    const end = status === 'complete' ? 'interrupted' : status
    this.#closeWholes(end, id)
    for (const key of [...this.#open]) if (this.#items.get(key)!.runId === id) this.#interrupt(key, end)
  }

  /** Status of a user's message in the log, as long as the end of its run is unknown. */
  #statusOf (id: string): 'queued' | 'complete' {
    return this.#runs.get(this.runOf(id)!)?.isStarted === false ? 'queued' : 'complete'
  }

  /** Updates a user's message: its run waits, has started, or ended before it started. */
  #mark (id = '', status: ChatMessage['status'] = this.#statusOf(id), error?: ChatError): void {
    const key = keyOf('message', id)
    const item = this.#items.get(key)
    if (item && item.status !== status && /^(queued|complete)$/.test(item.status)) this.#set(key, { ...item, status, error } as ChatMessage)
  }

  #delta (growth: Growth | undefined, { message_id: id, part_of: messageId, run_id: runId, agent }: Messages['chat_delta'], createdAt: string): void {
    this.#isAlive(runId)
    const text = growth && grown((this.#items.get(keyOf('message', id)) as ChatMessage | undefined)?.text, growth)
    if (text === undefined) return
    this.#change('message', id, { status: 'streaming', text }, { role: 'assistant', agent, runId, createdAt, ...messageId && { messageId } })
  }

  #part (growth: Growth | undefined, data: Messages['chat_part'], createdAt: string): void {
    const { message_id: messageId, part_id: partId, run_id: runId, kind, status } = data
    if (status === 'streaming' || growth?.isOpen) this.#isAlive(runId)
    if (kind === 'message') {
      return this.#setWhole(messageId, { runId, status: status ?? 'complete', metadata: data.value })
    }
    const key = partKeyOf(kind!, messageId, partId)
    const known = this.#items.get(key) as ToolCall & { text?: string } | undefined
    if (known?.status === 'running' || (growth && this.#isFinal(key))) return
    const text = growth && grown(kind === 'tool' ? known?.input : known?.text, growth)
    if (growth && text === undefined) return
    this.#put(key, { createdAt, ...known, ...partOf(data, text), status: growth?.isOpen ? 'streaming' : status ?? 'complete' } as ChatItem)
  }

  #message (message: Messages['chat_message'], position: string | undefined, timestamp: string): void {
    const id = message.message_id ?? position ?? timestamp
    const key = keyOf('message', id)
    const isOurs = this.#settle(key) || this.#accepted.delete(key)
    const known = this.#items.get(key) as ChatMessage | undefined
    const next = messageOf(message, id, !known || isOurs ? timestamp : known.createdAt)
    if (next.status === 'complete') Object.assign(next, { status: this.#statusOf(id) })
    if (isOpen(next)) this.#isAlive(next.runId)
    // Clients choose the ids of their messages: a message must not replace one of another user.
    if (!isOurs && next.userId && this.#isFinal(key) && known!.userId !== next.userId) return
    if (isOurs || !this.#isFinal(key) || known!.text !== next.text || known!.status !== next.status) this.#put(key, next)
  }

  #setWhole (messageId: string, whole: Whole): void {
    this.wholes.set(messageId, whole)
    this.#list = undefined
  }

  /** Closes the messages of a run, or of all runs, whose end was missed. */
  #closeWholes (status: Outcome, runId?: string): void {
    for (const [id, whole] of this.wholes) {
      if (whole.status === 'streaming' && (runId === undefined || whole.runId === runId)) this.#setWhole(id, { ...whole, status })
    }
  }

  #toolCall ({ call_id: id, run_id: runId, message_id: messageId, name, title, agent, args }: Messages['tool_call'], createdAt: string): void {
    this.#isAlive(runId)
    const key = keyOf('tool', id)
    if (!this.#isFinal(key)) this.#put(key, { kind: 'tool', id, runId, name, agent, args, status: 'running', createdAt, ...messageId && { messageId, title } })
  }

  #toolProgress ({ call_id: id, progress }: Messages['tool_progress']): void {
    this.#change('tool', id, { progress, status: 'running' })
  }

  #toolOutput ({ call_id: id, run_id: runId, message_id: messageId, name = '', status, output, error }: Messages['tool_output'], createdAt: string): void {
    this.#change('tool', id, { status, output, error }, { runId, name, createdAt, ...messageId && { messageId } })
  }

  #inputRequest (request: Messages['input_request'], createdAt: string): void {
    const { request_id: id, run_id: runId, prompt, schema, component, call_id: callId, expires_at: expiresAt } = request
    this.#isAlive(runId)
    const answer = (value: unknown) => this.#answer(id, value)
    this.#change('question', id, { runId, prompt, schema, component, expiresAt, status: 'open', answer, ...callId && { callId } }, { createdAt })
  }

  #inputClosed ({ request_id: id, reason, value, user_id: userId }: Messages['input_closed']): void {
    this.#change('question', id, { status: reason, value, userId })
  }

  /** Marks the run of a publication as active, even if its start was missed. */
  #isAlive (runId: string | undefined): void {
    if (runId) this.#runs.set(runId, { ...this.#runs.get(runId), isStarted: true })
  }

  /** Changes an item, unless it is final. `initial`: fields of an item that is not known yet; without it, none is added. */
  #change (kind: ChatItem['kind'], id: string, change: object, initial?: object): void {
    const key = keyOf(kind, id)
    const item = this.#items.get(key) ?? initial
    if (item && !this.#isFinal(key)) this.#put(key, { kind, id, ...item, ...change } as ChatItem)
  }

  #interrupt (key: string, status: Outcome = 'interrupted'): void {
    this.#set(key, { ...this.#items.get(key)!, status } as ChatItem)
    this.#doubted.add(key)
  }

  /** Whether an item cannot change any more. */
  #isFinal (key: string): boolean {
    return this.#items.has(key) && !this.#open.has(key) && !this.#unsettled.has(key) && !this.#doubted.has(key)
  }

  /** Gives a pending message its place in the log. Returns `false` when it was not pending. */
  #settle (key: string, change: Partial<ChatMessage> = {}): boolean {
    if (!this.#unsettled.delete(key)) return false
    this.#order.push(key)
    this.#set(key, { ...this.#items.get(key) as ChatMessage, ...change })
    return true
  }

  #put (key: string, item: ChatItem): void {
    if (!this.#items.has(key)) this.#order.push(key)
    this.#set(key, item)
    if (this.#order.length <= maxItems) return
    this.#forget(this.#order.shift()!)
    this.isComplete = false
  }

  #set (key: string, item: ChatItem): void {
    this.#items.set(key, item)
    this.#doubted.delete(key)
    if (isOpen(item)) this.#open.add(key)
    else this.#open.delete(key)
    this.#list = undefined
  }

  #forget (key: string): void {
    this.#list = undefined
    const item = this.#items.get(key)!
    if (item.kind === 'message') this.wholes.delete(item.messageId ?? item.id)
    for (const keys of [this.#items, this.#open, this.#doubted, this.#accepted]) keys.delete(key)
  }
}

function keyOf (kind: ChatItem['kind'], id: string): string {
  return `${kind} ${id}`
}

/** Key of a part of a message. Calls and texts are unique in the chat. */
function partKeyOf (kind: ChatItem['kind'], messageId: string, partId: string): string {
  return keyOf(kind, kind === 'tool' ? partId : `${messageId} ${partId}`)
}

/** Fields of the item of a part. `text`: the whole of its text. */
function partOf (data: Data, text?: string) {
  const { kind, part_id: id, message_id: messageId, run_id: runId, agent, name, title, value, args, output, error } = data
  const about = { kind, id: kind === 'tool' ? id : `${messageId} ${id}`, messageId, runId, agent }
  if (kind === 'tool') return { ...about, name, title, ...text !== undefined && { input: text }, ...'args' in data && { args }, output, error }
  return kind === 'reasoning' ? { ...about, text } : { ...about, name, value }
}

function isOpen ({ status }: ChatItem): boolean {
  return /^(streaming|running|open)$/.test(status)
}

/** Whether an item is not a text of an answer that has failed, or was stopped, before it had content. */
function isShown (item: ChatItem): boolean {
  const { role, text } = item as ChatMessage
  return text !== '' || role === 'user' || isOpen(item) || item.status === 'complete'
}

/** Whether the time `a` is after `b`; `false` when one of them is not a time. */
function isLater (a: string, b: string): boolean {
  return Date.parse(a) > Date.parse(b)
}

function messageOf (message: Page['messages'][number], id: string, createdAt: string): ChatMessage {
  const { message_id: _, timestamp: __, part_of: messageId, run_id: runId, role = 'assistant', agent, content, status = 'complete', user_id: userId, ...data } = message
  const more = messageId && { messageId }
  return { kind: 'message', id, role, agent, text: content, status, userId, runId, createdAt, data: Object.keys(data).length ? data : undefined, ...more }
}
