import type { ChatRequestOptions, ChatTransport, UIMessage, UIMessageChunk } from 'ai'
import type { ClientOptions } from '../client/client.js'
import { random } from '../client/outbox.js'
import { ChatConnection } from './connection.js'

/** Where the chats are, and the client's options. */
export interface RealtimeChatTransportOptions extends Omit<ClientOptions, 'url' | 'chat' | 'share'> {
  workflow: string
  appId: string
  userId: string
  /** A chat that nobody reads is disconnected after so many milliseconds. Default: 10,000. */
  idle?: number | undefined
}

type SendOptions<UI_MESSAGE extends UIMessage> = Parameters<ChatTransport<UI_MESSAGE>['sendMessages']>[0]
type ReconnectOptions = { chatId: string, abortSignal?: AbortSignal } & ChatRequestOptions

/**
 * The chats of a user over WebSockets, for the AI SDK's `useChat`. An answer is one run. It outlives the connection and the page,
 * and `stop` ends it on the server.
 */
export class RealtimeChatTransport<UI_MESSAGE extends UIMessage = UIMessage> implements ChatTransport<UI_MESSAGE> {
  /** What is resumed comes from its beginning. */
  readonly resumeStreamIsReplay = true
  readonly #options: RealtimeChatTransportOptions
  readonly #chats = new Map<string, ChatConnection>()

  constructor (options: RealtimeChatTransportOptions) {
    this.#options = options
  }

  /**
   * Sends the last message of the user, and streams its run. `data` has its `message_id`, its text as `content`, the `trigger`,
   * what was given as `body` and `metadata`, and where there is more to the last message than that text, all of it as `ui_message`.
   * What comes again, as `regenerate` does, has a new `message_id`, and `target_id` is the message that it is about.
   */
  async sendMessages (options: SendOptions<UI_MESSAGE>): Promise<ReadableStream<UIMessageChunk>> {
    const { chatId, messages, abortSignal: signal } = options
    const last = messages.at(-1)
    return this.#chat(chatId).send({
      data: dataOf(options),
      // The page has this message, and adds to it what comes.
      messageId: last?.role === 'assistant' ? last.id : undefined,
      signal
    })
  }

  /**
   * Streams the newest run, from its beginning to its end, also when it still waits for its turn; `null` when there is none. Rejects
   * when the connection is refused.
   */
  async reconnectToStream ({ chatId, abortSignal }: ReconnectOptions): Promise<ReadableStream<UIMessageChunk> | null> {
    return await this.#chat(chatId).resume(abortSignal) ?? null
  }

  /**
   * Answers a question, a part of type `data-input_request`. Rejects with a RealtimeError: `bad_value` when the answer is not what
   * was asked for, `input_closed` when the question is closed.
   */
  respond (chatId: string, requestId: string, value: unknown): Promise<void> {
    return this.#chat(chatId).respond(requestId, value)
  }

  /** Disconnects. Open streams end with an error; runs go on. */
  close (): void {
    for (const chat of [...this.#chats.values()]) chat.close()
  }

  #chat (chatId: string): ChatConnection {
    const { workflow, appId, idle = 10_000, ...client } = this.#options
    const present = this.#chats.get(chatId)
    if (present !== undefined) return present
    const chat: ChatConnection = new ChatConnection({
      client: { ...client, chat: { workflow, appId, chatId } },
      idle,
      onClose: () => { if (this.#chats.get(chatId) === chat) this.#chats.delete(chatId) }
    })
    this.#chats.set(chatId, chat)
    return chat
  }
}

/** Maximum length of a page's id to which something is added: the server takes 128 characters. */
const maxBaseId = 100

function dataOf<UI_MESSAGE extends UIMessage> ({ trigger, messageId, messages, body, metadata }: SendOptions<UI_MESSAGE>) {
  const last = messages.at(-1)
  const ofUser = messages.findLast(({ role }) => role === 'user')
  const content = ofUser?.parts.map(part => part.type === 'text' ? part.text : '').join('') ?? ''
  const isOnlyText = last === ofUser && last?.metadata === undefined && (last?.parts.every(({ type }) => type === 'text') ?? true)
  // A message that was loaded may have an id of the server's, with a slash in it.
  const id = (ofUser?.id ?? random()).replaceAll('/', '~')
  // The server starts no second run for an id that it knows.
  const isAgain = trigger !== 'submit-message' || messageId !== undefined || last !== ofUser
  return {
    ...body,
    message_id: isAgain ? `${id.slice(0, maxBaseId)}~${random()}` : id,
    content,
    trigger,
    ...messageId !== undefined && { target_id: messageId },
    ...metadata !== undefined && { metadata },
    ...!isOnlyText && { ui_message: last }
  }
}
