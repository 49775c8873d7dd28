import type { Resume, RealtimeClient, Status } from '../client/client.js'
import { RealtimeError } from '../client/error.js'
import type { Envelope, Messages } from '../protocol/envelope.js'

/** A message that the code under test sent, which waits for the test to answer it. */
export interface FakeSent {
  readonly type: string
  readonly data: unknown
  readonly isAnswered: boolean
  /** The server's handler is done: the promise of `send` resolves. */
  ack (): void
  /** The server refuses it: the promise of `send` rejects with a RealtimeError of this code. */
  fail (code: string, message?: string): void
}

/** What a test does to a fake client. */
export interface FakeControls {
  /** What was sent, in order. */
  readonly sent: readonly FakeSent[]
  /** A message arrives. The listeners have heard it when this returns. */
  emit<T extends (keyof Messages & string) | (string & {})> (type: T, data?: Envelope<T>['data'], parts?: Partial<Omit<Envelope, 'type' | 'data'>>): void
  /** The connection changes. `closed` is for good, with the code 1000 or this one. */
  setStatus (status: Status, code?: number): void
  /** The connection came back, or fell behind. */
  resume (recovered: boolean): void
}

/** What there is of a client to its users: the class has private parts, so that nothing else is of its type. */
type Public<T> = Pick<T, keyof T>

/**
 * A client of `fastify-realtime/client` without a server, for unit tests: what arrives, what is answered, and whether
 * it is connected, is for the test to say. It is `open` at first, and everything happens at once.
 */
export function fakeClient (status: Status = 'open'): RealtimeClient & FakeControls {
  const client: Public<RealtimeClient> & FakeControls = new FakeClient(status)
  return client as RealtimeClient & FakeControls
}

type Listener = (data: any, envelope: any) => void

class FakeClient implements Public<RealtimeClient>, FakeControls {
  status: Status
  closed: { code: number, reason: string } | undefined
  ack: RealtimeClient['ack']
  readonly sent: Sent[] = []
  readonly #listeners = new Map<string, Set<Listener>>()
  readonly #onStatus = new Set<(status: Status) => void>()
  readonly #onResume = new Set<(resume: Resume) => void>()

  constructor (status: Status) {
    this.status = status
  }

  on (type: string, listener: (...heard: any[]) => void): () => void {
    const ofType = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, ofType)
    return added(ofType, listener)
  }

  onStatus (listener: (status: Status) => void): () => void {
    return added(this.#onStatus, listener)
  }

  onResume (listener: (resume: Resume) => void): () => void {
    return added(this.#onResume, listener)
  }

  send (type: string, data?: unknown): Promise<void> {
    if (this.status === 'closed') return Promise.reject(new RealtimeError('closed', 'this client is closed'))
    const sent = new Sent(type, data)
    this.sent.push(sent)
    return sent.answered
  }

  async connected (): Promise<void> {
    while (this.status !== 'open') {
      if (this.status === 'closed') throw new RealtimeError('closed', `closed with ${this.closed?.code}`)
      await new Promise<void>(resolve => {
        const end = this.onStatus(() => {
          end()
          resolve()
        })
      })
    }
  }

  close (): void {
    this.setStatus('closed')
  }

  async * [Symbol.asyncIterator] (): AsyncGenerator<Envelope, void, undefined> {
    const waiting: Envelope[] = []
    let wake = () => {}
    const ends = [
      this.on('*', envelope => {
        waiting.push(envelope)
        wake()
      }),
      this.onStatus(() => wake())
    ]
    try {
      for (;;) {
        const next = waiting.shift()
        if (next !== undefined) yield next
        else if (this.status === 'closed') return
        else await new Promise<void>(resolve => { wake = resolve })
      }
    } finally {
      for (const end of ends) end()
    }
  }

  emit (type: string, data?: unknown, parts: Partial<Omit<Envelope, 'type' | 'data'>> = {}): void {
    const envelope = { timestamp: new Date().toISOString(), ...parts, type, data }
    for (const listener of [...this.#listeners.get(type) ?? []]) listener(data, envelope)
    for (const listener of [...this.#listeners.get('*') ?? []]) listener(envelope, undefined)
  }

  setStatus (status: Status, code = 1000): void {
    if (this.status === status) return
    if (this.status === 'closed') throw new Error('a client that is closed stays closed; make another')
    this.status = status
    if (status === 'closed') this.#end(code)
    for (const listener of [...this.#onStatus]) listener(status)
  }

  resume (recovered: boolean): void {
    for (const listener of [...this.#onResume]) listener({ recovered })
  }

  #end (code: number): void {
    this.closed = { code, reason: '' }
    for (const sent of this.sent) if (!sent.isAnswered) sent.fail('closed', 'the connection was closed for good')
  }
}

class Sent implements FakeSent {
  readonly type: string
  readonly data: unknown
  readonly answered: Promise<void>
  isAnswered = false
  #settle!: (error?: RealtimeError) => void

  constructor (type: string, data: unknown) {
    this.type = type
    this.data = data
    this.answered = new Promise((resolve, reject) => {
      this.#settle = error => error === undefined ? resolve() : reject(error)
    })
  }

  ack (): void {
    this.#answer()
  }

  fail (code: string, message = code): void {
    this.#answer(new RealtimeError(code, message))
  }

  #answer (error?: RealtimeError): void {
    if (this.isAnswered) throw new Error(`'${this.type}' has been answered`)
    this.isAnswered = true
    this.#settle(error)
  }
}

function added<T> (set: Set<T>, item: T): () => void {
  set.add(item)
  return () => { set.delete(item) }
}
