import type { ChatRequestOptions, ChatTransport, UIMessage, UIMessageChunk } from 'ai'
import type { ChatIds } from '../client/chat/connection.js'
import type { ClientOptions, RealtimeClient } from '../client/client.js'
import { random } from '../client/outbox.js'
import { FollowedChat, type FollowedChatOptions } from './followed-chat.js'
import { onClient, onPath } from './link.js'

/** Argument of `prepareSendMessagesRequest`: that of the AI SDK's own transport, without its HTTP fields. */
export interface PrepareOptions<UI_MESSAGE extends UIMessage = UIMessage> {
  /** Id of the chat. */
  id: string
  messages: UI_MESSAGE[]
  trigger: 'submit-message' | 'regenerate-message'
  messageId: string | undefined
  body: Record<string, any> | undefined
  requestMetadata: unknown
}

interface CommonOptions<UI_MESSAGE extends UIMessage> {
  workflow: string
  appId: string
  /** Time after which an unused chat is disconnected, in ms. Default: 10,000. */
  idle?: number | undefined
  /**
   * Returns the fields to send beside `message_id` and `content`, as `body`. A `content` in it replaces the text of the message.
   * Default: the fields listed at `sendMessages`.
   */
  prepareSendMessagesRequest?: ((options: PrepareOptions<UI_MESSAGE>) => Prepared | PromiseLike<Prepared>) | undefined
}

/** @inline */
interface Prepared { body: object }

/** Options of a transport whose chats each have a connection of their own. */
export interface OwnConnectionOptions<UI_MESSAGE extends UIMessage = UIMessage> extends CommonOptions<UI_MESSAGE>, Omit<ClientOptions, 'url' | 'chat' | 'share'> {
  userId: string
  client?: undefined
}

/** Options of a transport whose chats are on the connection of a client. */
export interface SharedConnectionOptions<UI_MESSAGE extends UIMessage = UIMessage> extends CommonOptions<UI_MESSAGE> {
  /** Client of `createClient`, created with `baseUrl` and `userId`. Address, credential and errors are those of the client. */
  client: RealtimeClient
  /** Owner of the chats. Default: the user of the client. */
  userId?: string | undefined
}

/** Ids of the chats, and either the options of a connection or a client. */
export type RealtimeChatTransportOptions<UI_MESSAGE extends UIMessage = UIMessage> =
  OwnConnectionOptions<UI_MESSAGE> | SharedConnectionOptions<UI_MESSAGE>

/** Options that a transport with a client takes. */
const withClient: readonly string[] =
  ['client', 'workflow', 'appId', 'userId', 'idle', 'prepareSendMessagesRequest'] satisfies Array<keyof SharedConnectionOptions>

type SendOptions<UI_MESSAGE extends UIMessage> = Parameters<ChatTransport<UI_MESSAGE>['sendMessages']>[0]
/** @inline */
type ReconnectOptions = { chatId: string, abortSignal?: AbortSignal } & ChatRequestOptions

/**
 * Transports the chats of a user over WebSockets, for `useChat` of the AI SDK. Each answer is one run. It continues when the connection
 * or the page is closed, and `stop` cancels it on the server.
 */
export class RealtimeChatTransport<UI_MESSAGE extends UIMessage = UIMessage> implements ChatTransport<UI_MESSAGE> {
  /** A resumed stream begins at the beginning of its run. */
  readonly resumeStreamIsReplay = true
  readonly #options: RealtimeChatTransportOptions<UI_MESSAGE>
  readonly #chats = new Map<string, FollowedChat>()

  /** Throws a TypeError when an option cannot be together with `client`, or when the client cannot have chats. */
  constructor (options: RealtimeChatTransportOptions<UI_MESSAGE>) {
    this.#options = options
    if (options.client !== undefined) check(options)
  }

  /**
   * Sends the last message of the user, and streams its run. `data` has its `message_id`, its text as `content`, the `trigger`, the
   * given `body` and `metadata`, and, if the last message is more than that text, the whole of it as `ui_message`. A message that is sent
   * again, for example by `regenerate`, gets a new `message_id`, `repeats` is the id that it had, and `target_id` is the id of the answer
   * that it replaces. A message that begins a new answer cancels the runs of this user that wait for approvals. The last chunk of the
   * stream reports a failure.
   */
  async sendMessages (options: SendOptions<UI_MESSAGE>): Promise<ReadableStream<UIMessageChunk>> {
    const { chatId, abortSignal: signal } = options
    const continued = continuedBy(options)
    const approvals = approvalsOf(continued)
    const rest = approvals.size === 0 ? undefined : await this.#chat(chatId).approve(approvals, signal)
    if (rest !== undefined) return rest
    const data = await this.#prepared(options)
    return this.#chat(chatId).send({ data, messageId: continued?.id, signal })
  }

  /**
   * Streams the newest run that is active or waits for its turn, from its beginning to its end; `null` when there is none. Rejects with a
   * RealtimeError when the connection is closed.
   */
  async reconnectToStream ({ chatId, abortSignal }: ReconnectOptions): Promise<ReadableStream<UIMessageChunk> | null> {
    return await this.#chat(chatId).resume(abortSignal) ?? null
  }

  /**
   * Answers a question, a part of type `data-input_request`. Rejects with a RealtimeError: `bad_value` when the answer does not match
   * its schema, `input_closed` when the question is closed.
   */
  respond (chatId: string, requestId: string, value: unknown): Promise<void> {
    return this.#chat(chatId).respond(requestId, value)
  }

  /** Disconnects all chats. Open streams end with an error; runs continue. */
  close (): void {
    for (const chat of [...this.#chats.values()]) chat.close()
  }

  async #prepared (options: SendOptions<UI_MESSAGE>) {
    const data = dataOf(options)
    const { chatId: id, messages, trigger, messageId, body, metadata: requestMetadata } = options
    const prepared = await this.#options.prepareSendMessagesRequest?.({ id, messages, trigger, messageId, body: body as PrepareOptions['body'], requestMetadata })
    if (prepared === undefined) return data
    const { content, message_id: sentId, repeats } = data
    return { content, ...prepared.body, message_id: sentId, ...repeats !== undefined && { repeats } }
  }

  #chat (chatId: string): FollowedChat {
    const present = this.#chats.get(chatId)
    if (present !== undefined) return present
    const { workflow, appId, idle = 10_000 } = this.#options
    const chat: FollowedChat = new FollowedChat({
      ...this.#linkTo({ workflow, appId, chatId }),
      idle,
      onClose: () => { if (this.#chats.get(chatId) === chat) this.#chats.delete(chatId) }
    })
    this.#chats.set(chatId, chat)
    return chat
  }

  #linkTo (chat: ChatIds): Pick<FollowedChatOptions, 'open' | 'ownerId' | 'onError'> {
    const options = this.#options
    if (options.client === undefined) {
      const { userId, onError = console.error } = options
      return { open: onPath({ ...options, chat }), ownerId: userId, onError }
    }
    const { client, userId: ownerId = client.options.userId! } = options
    return { open: onClient(client, ownerId, chat), ownerId, onError: client.options.onError ?? console.error }
  }
}

function check ({ client, ...others }: SharedConnectionOptions<any>): void {
  const other = Object.entries(others).find(([name, value]) => value !== undefined && !withClient.includes(name))
  if (other !== undefined) throw new TypeError(`'${other[0]}' has no effect with 'client': pass it to createClient, or leave 'client' out`)
  const { url, userId } = client.options
  if (url !== undefined || userId === undefined) {
    throw new TypeError("A client with 'url' cannot have chats: pass 'baseUrl' and 'userId' to createClient")
  }
}

/** Returns the message of the page to which the answer is appended; `undefined` when the answer is a new message. */
function continuedBy ({ trigger, messageId, messages }: SendOptions<any>): UIMessage | undefined {
  if (trigger === 'regenerate-message') return undefined
  const continued = messages.find(({ id }) => id === messageId) ?? messages.at(-1)
  return continued?.role === 'assistant' ? continued : undefined
}

/** Returns the approvals that the user has given or denied in a message, and whose tools have not run. */
function approvalsOf (message: UIMessage | undefined): Map<string, { approved: boolean, reason?: string }> {
  const approvals = new Map<string, { approved: boolean, reason?: string }>()
  for (const part of message?.role === 'assistant' ? message.parts : []) {
    if (!('state' in part) || part.state !== 'approval-responded') continue
    const { id, approved, reason } = part.approval
    approvals.set(id, { approved, ...reason !== undefined && { reason } })
  }
  return approvals
}

/** Maximum characters of a page's id that gets a suffix. The server accepts ids of 128 characters. */
const maxBaseId = 100

function dataOf<UI_MESSAGE extends UIMessage> (options: SendOptions<UI_MESSAGE>) {
  const { trigger, messageId, messages, body, metadata } = options
  const continued = continuedBy(options)
  const last = continued ?? messages.at(-1)
  const ofUser = messages.slice(0, messages.findLastIndex(({ id }) => id === last?.id) + 1).findLast(({ role }) => role === 'user')
  const content = ofUser?.parts.map(part => part.type === 'text' ? part.text : '').join('') ?? ''
  const isOnlyText = last === ofUser && last?.metadata === undefined && (last?.parts.every(({ type }) => type === 'text') ?? true)
  // A loaded message may have an id of the server, with a slash.
  const id = (ofUser?.id ?? random()).replaceAll('/', '~')
  // The page's user said this before. An edited message, which has a `messageId`, has another text.
  const isRepeated = ofUser !== undefined && (trigger !== 'submit-message' || last !== ofUser)
  // The server does not start a second run for a known id.
  const isAgain = isRepeated || messageId !== undefined || last !== ofUser
  return {
    ...body,
    message_id: isAgain ? `${id.slice(0, maxBaseId)}~${random()}` : id,
    content,
    trigger,
    ...isRepeated && { repeats: ofUser.id },
    ...messageId !== undefined && continued === undefined && { target_id: messageId },
    ...metadata !== undefined && { metadata },
    ...!isOnlyText && { ui_message: last }
  }
}
