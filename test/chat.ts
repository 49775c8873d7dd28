import type { FastifyServerOptions } from 'fastify'
import type { Chat, ChatOptions, Envelope, RealtimeOptions, Run } from '../lib/index.js'
import { as, authenticateByHeader, Client, connect, start } from './harness.js'
import { loopTurns } from './waiting.js'

interface Scope {
  teardown (action: () => unknown): void
}

export const address = { workflow: 'support', appId: 'app', chatId: 'c1', userId: 'u1' }
export const path = '/ws/support/app/c1/u1'

export interface Started {
  app: Awaited<ReturnType<typeof start>>['app']
  url: string
  port: number
  chat: Chat
  /** Connects a user to the chat; `since` is the last position of the client. */
  join (user?: string, since?: string): ReturnType<typeof connect>
}

/** An app with one chat, to which anyone may connect. */
export async function startChat (
  t: Scope, chat: ChatOptions = {}, options: RealtimeOptions = {}, server: FastifyServerOptions = {}
): Promise<Started> {
  const limits = { rate: 1_000, burst: 1_000, connectionsPerUser: 100, ...options.limits }
  const { app, url, port } = await start(t, { authenticate: authenticateByHeader, authorize: () => true, ...options, chat, limits }, server)
  const join = (user = 'u1', since?: string) => connect(t, `${url}${path}${since === undefined ? '' : `?since=${since}`}`, as(user))
  return { app, url, port, chat: app.ws.chat(address), join }
}

/** Any part of `data`. */
export type Data = Record<string, any>

export function dataOf (envelope: Envelope | undefined): Data {
  return (envelope?.data ?? {}) as Data
}

/** Data of the messages of a type that a client has received. */
export function all ({ received }: Client, type: string): Data[] {
  return received.filter(envelope => envelope.type === type).map(dataOf)
}

/** Types of the publications that a client has received, in order. */
export function typesOf ({ received }: Client): string[] {
  return received.filter(({ id }) => id !== undefined).map(({ type }) => type)
}

/** Waits until `count` runs have finished, and returns the data of all run_finished messages. */
export async function finished (client: Client, count = 1): Promise<Data[]> {
  await client.until(() => all(client, 'run_finished').length >= count)
  return all(client, 'run_finished')
}

let sent = 0

/** Sends a message of a type; resolves with the answer: `ack`, or `error` and its code. */
export async function ask (client: Client, type: string, data?: object, ref: string | number = `r${++sent}`): Promise<string> {
  const before = client.received.length
  client.send({ type, ref, data })
  const answer = () => client.received.slice(before).find(envelope => envelope.ref === ref && (envelope.type === 'ack' || envelope.type === 'error'))
  await client.until(() => answer() !== undefined)
  return answer()!.type === 'ack' ? 'ack' : dataOf(answer()).code
}

/** The state of a page by the rules of the protocol, and violations of these rules. */
export class Transcript {
  readonly texts = new Map<string, string>()
  readonly statuses = new Map<string, string>()
  readonly faults: string[] = []
  since: string | undefined
  #offset = 0
  #read = 0
  #from: unknown

  /** Applies the received messages of a connection that are not applied yet. */
  take ({ received }: Client): this {
    if (this.#from !== received) this.#read = 0
    this.#from = received
    for (; this.#read < received.length; this.#read++) this.#apply(received[this.#read])
    return this
  }

  #apply (envelope: Envelope): void {
    const { id, type } = envelope
    if (id === undefined) return
    const offset = Number(id.split('.')[2])
    if (offset <= this.#offset) this.faults.push(`${id} after ${this.since}`)
    this.#offset = offset
    this.since = id
    if (type === 'chat_delta') this.#add(dataOf(envelope))
    if (type === 'chat_message') this.#replace(dataOf(envelope))
  }

  #add ({ message_id: id, at, text }: Data): void {
    const shown = this.texts.get(id) ?? ''
    if (at !== shown.length) this.faults.push(`${id}: a delta at ${at}, but ${shown.length} characters are shown`)
    if (this.statuses.has(id) && this.statuses.get(id) !== 'streaming') this.faults.push(`${id}: a delta after its final form`)
    if (at <= shown.length) this.texts.set(id, shown.slice(0, at) + text)
  }

  #replace ({ message_id: id, content, status }: Data): void {
    const shown = this.texts.get(id)
    if (shown !== undefined && !content.startsWith(shown)) this.faults.push(`${id}: shown text is removed`)
    if (shown !== undefined && status === 'streaming') this.faults.push(`${id}: a snapshot for a client with ${shown.length} characters`)
    this.texts.set(id, content)
    this.statuses.set(id, status)
  }
}

/** The next turn of the event loop. */

const pieces = ['a', ' word', 'ß', '日本', '\ud83d', '\ude00', '😀', '👩‍👩‍👧', '\n', '"', '\\', '\u0000', '\u2028', '</script>']

/** Worst-case tokens of a model: split surrogate pairs, lone halves, characters that JSON escapes. */
export function tokens (count: number): string[] {
  return Array.from({ length: count }, () => pieces[Math.floor(Math.random() * pieces.length)])
}

/** Writes the tokens, with a turn of the event loop after most of them. */
export async function type (run: Run, words: string[]): Promise<string> {
  const reply = run.reply()
  for (const word of words) {
    if (!reply.write(word)) break
    if (Math.random() < 0.9) await loopTurns()
  }
  await reply.end()
  return reply.id
}
