import type { Chat, ChatOptions, Envelope, RealtimeOptions, Run } from '../lib/index.js'
import { as, authenticateByHeader, Client, connect, start } from './harness.js'

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
  /** Connects a user to the chat; `since` is what the client has had. */
  join (user?: string, since?: string): ReturnType<typeof connect>
}

/** An app with one chat, to which anyone may connect. */
export async function startChat (t: Scope, chat: ChatOptions = {}, options: RealtimeOptions = {}): Promise<Started> {
  const limits = { rate: 1_000, burst: 1_000, connectionsPerUser: 100, ...options.limits }
  const { app, url, port } = await start(t, { authenticate: authenticateByHeader, authorize: () => true, ...options, chat, limits })
  const join = (user = 'u1', since?: string) => connect(t, `${url}${path}${since === undefined ? '' : `?since=${since}`}`, as(user))
  return { app, url, port, chat: app.ws.chat(address), join }
}

/** Any part of `data`. */
export type Data = Record<string, any>

export function dataOf (envelope: Envelope | undefined): Data {
  return (envelope?.data ?? {}) as Data
}

/** What a client has received of a type. */
export function all ({ received }: Client, type: string): Data[] {
  return received.filter(envelope => envelope.type === type).map(dataOf)
}

/** The types that came through the log, in order. */
export function typesOf ({ received }: Client): string[] {
  return received.filter(({ id }) => id !== undefined).map(({ type }) => type)
}

/** Waits until so many runs have finished; returns how. */
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

/** What a page shows, by the protocol's rules, and what went against them. */
export class Transcript {
  readonly texts = new Map<string, string>()
  readonly statuses = new Map<string, string>()
  readonly faults: string[] = []
  since: string | undefined
  #offset = 0
  #read = 0
  #from: unknown

  /** Applies what a connection has received that was not applied yet. */
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
    if (at !== shown.length) this.faults.push(`${id}: a delta at ${at}, and ${shown.length} are shown`)
    if (this.statuses.has(id) && this.statuses.get(id) !== 'streaming') this.faults.push(`${id}: a delta after its final form`)
    if (at <= shown.length) this.texts.set(id, shown.slice(0, at) + text)
  }

  #replace ({ message_id: id, content, status }: Data): void {
    const shown = this.texts.get(id)
    if (shown !== undefined && !content.startsWith(shown)) this.faults.push(`${id}: what was shown is taken back`)
    if (shown !== undefined && status === 'streaming') this.faults.push(`${id}: a snapshot for who has ${shown.length}`)
    this.texts.set(id, content)
    this.statuses.set(id, status)
  }
}

/** The next turn of the event loop. */
export const turn = () => new Promise<void>(resolve => { setImmediate(resolve) })

const pieces = ['a', ' word', 'ß', '日本', '\ud83d', '\ude00', '😀', '👩‍👩‍👧', '\n', '"', '\\', '\u0000', '\u2028', '</script>']

/** Tokens as a model makes them at worst: surrogate pairs split between two, lone halves, what JSON escapes. */
export function tokens (count: number): string[] {
  return Array.from({ length: count }, () => pieces[Math.floor(Math.random() * pieces.length)])
}

/** Writes a token per turn of the event loop, as fast as it turns, and mostly. */
export async function type (run: Run, words: string[]): Promise<string> {
  const reply = run.reply()
  for (const word of words) {
    if (!reply.write(word)) break
    if (Math.random() < 0.9) await turn()
  }
  await reply.end()
  return reply.id
}
