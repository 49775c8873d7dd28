import { once } from 'node:events'
import { createConnection, type AddressInfo, type Socket } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { WebSocket, type ClientOptions } from 'ws'
import realtime from '../lib/index.js'
import type { Envelope, RealtimeOptions } from '../lib/index.js'
import { alarm, patience, within } from './waiting.js'

/** A tap test, or another object with a teardown. */
interface Scope {
  teardown (action: () => unknown): void
}

interface Started {
  app: FastifyInstance
  url: string
  port: number
}

/** An app with the plugin, listening on loopback and closed with the test. */
export async function start (t: Scope, options: RealtimeOptions = {}, server: FastifyServerOptions = {}): Promise<Started> {
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(realtime, options)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return { app, url: `ws://127.0.0.1:${port}`, port }
}

/** A bare WebSocket client that keeps all frames, so that none is missed between two waits. */
export class Client {
  readonly socket: WebSocket
  /** Everything received, in order. */
  readonly received: Envelope[] = []
  #read = 0
  #waiting: Array<() => void> = []
  closed: { code: number, reason: string } | undefined

  constructor (url: string, options: ClientOptions = {}) {
    this.socket = new WebSocket(url, options)
    this.socket.on('message', data => {
      this.received.push(JSON.parse(data.toString()))
      this.#notify()
    })
    this.socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
      this.#notify()
    })
    this.socket.on('error', () => {})
  }

  /** The next unread frame, or the next unread frame of a type. Skips the frames before it. */
  next<T extends string = string> (type?: T, ms = patience): Promise<Envelope<T>> {
    return this.#wait(type === undefined ? 'a frame' : `a frame of type '${type}'`, ms, () => this.#take(type) as Envelope<T> | undefined)
  }

  /** Waits until a condition holds, and returns its value. Checks it after each frame and after the close. */
  until<T> (holds: () => T, ms = patience): Promise<NonNullable<T>> {
    return this.#wait(String(holds), ms, () => holds() || undefined) as Promise<NonNullable<T>>
  }

  close (ms = patience): Promise<{ code: number, reason: string }> {
    return this.#wait('the close', ms, () => this.closed)
  }

  send (message: unknown): void {
    this.socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message))
  }

  #take (type?: string): Envelope | undefined {
    while (this.#read < this.received.length) {
      const envelope = this.received[this.#read++]
      if (type === undefined || envelope.type === type) return envelope
    }
    return undefined
  }

  /** The result of `look`: now, after a frame or after the close. Rejects when the connection or the time ends before. */
  async #wait<T> (what: string, ms: number, look: () => T | undefined): Promise<T> {
    let isLate = false
    const cancel = alarm(ms, () => {
      isLate = true
      this.#notify()
    })
    try {
      for (;;) {
        const found = look()
        if (found !== undefined) return found
        if (this.closed !== undefined) throw new Error(`closed with ${this.closed.code} while waiting for ${what}`)
        if (isLate) throw new Error(`waited ${ms} ms for ${what}; received ${this.received.length}, last ${JSON.stringify(this.received.slice(-3)).slice(0, 500)}`)
        await new Promise<void>(resolve => this.#waiting.push(resolve))
      }
    } finally {
      cancel()
    }
  }

  #notify (): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** Connects and waits for the ack. The socket is terminated with the test. */
export async function connect (t: Scope, url: string, options: ClientOptions = {}): Promise<Client & { ack: Envelope<'connection_ack'> }> {
  const client = new Client(url, options)
  t.teardown(() => client.socket.terminate())
  const ack = await client.next('connection_ack')
  return Object.assign(client, { ack })
}

/** The HTTP status with which an upgrade is refused. */
export async function refusedWith (url: string, options: ClientOptions = {}): Promise<number> {
  const socket = new WebSocket(url, options)
  socket.on('error', () => {})
  const [, response] = await within(once(socket, 'unexpected-response'), `a refusal of ${url}`)
  response.resume()
  socket.terminate()
  return response.statusCode
}

/** Outcome of an upgrade: 'ack', the code of the Close, or the HTTP status of the refusal. 1006 means a cut without a Close. */
export function outcome (url: string, options: ClientOptions = {}): Promise<number | 'ack'> {
  const { socket } = new Client(url, options)
  const outcome = new Promise<number | 'ack'>(resolve => {
    socket.once('unexpected-response', (_request, response) => {
      response.resume()
      resolve(response.statusCode!)
      socket.terminate()
    })
    socket.once('message', () => {
      resolve('ack')
      socket.terminate()
    })
    socket.once('close', resolve)
  })
  return within(outcome, `the outcome of an upgrade of ${url}`)
}

/** Options of a client that sends a user id in a header, for `authenticateByHeader`. */
export function as (userId: string): ClientOptions {
  return { headers: { 'x-user': userId } }
}

/** Trusts the user id in the header, for tests of later steps. */
export function authenticateByHeader (request: { headers: Record<string, unknown> }): { userId: string } | null {
  const userId = request.headers['x-user']
  return typeof userId === 'string' ? { userId } : null
}

interface RawOptions {
  headers?: Record<string, string>
  early?: Buffer
}

interface RawFrame {
  opcode: number
  payload: Buffer
}

/** A frame of a client, by default masked as the protocol requires. */
export function rawFrame (payload: string | Buffer, { opcode = 1, fin = true, masked = true } = {}): Buffer {
  const body = Buffer.from(payload as string)
  const length = body.length < 126 ? 0 : body.length < 65_536 ? 2 : 8
  const head = Buffer.alloc(2 + length)
  head[0] = (fin ? 0x80 : 0) | opcode
  head[1] = (masked ? 0x80 : 0) | (length === 0 ? body.length : length === 2 ? 126 : 127)
  if (length === 2) head.writeUInt16BE(body.length, 2)
  if (length === 8) head.writeBigUInt64BE(BigInt(body.length), 2)
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([head, Buffer.alloc(masked ? 4 : 0), body])
}

/** Sends an upgrade request, and `early` in the same write. The socket is destroyed with the test. */
export function upgrade (t: Scope, port: number, path: string, { headers = {}, early = Buffer.alloc(0) }: RawOptions = {}): Socket {
  const stream = createConnection({ port, host: '127.0.0.1', noDelay: true })
  stream.on('error', () => {})
  t.teardown(() => stream.destroy())
  const all = {
    host: `127.0.0.1:${port}`,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    ...headers
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  stream.write(Buffer.concat([Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`), early]))
  return stream
}

/** A WebSocket without a library. It answers no ping and no Close, and parses frames on demand. */
export class RawClient {
  readonly stream: Socket
  readonly head: string
  #bytes: Buffer
  #chunks: Buffer[] = []
  #frames: RawFrame[] = []
  isClosed = false

  private constructor (stream: Socket, head: string, rest: Buffer) {
    this.stream = stream
    this.head = head
    this.#bytes = rest
    stream.on('data', chunk => this.#chunks.push(chunk))
    stream.on('close', () => { this.isClosed = true })
    this.isClosed = stream.closed
    stream.resume()
  }

  /** Sends an upgrade request and waits for the head of the response. Without a response the status is NaN. */
  static async open (t: Scope, port: number, path: string, options: RawOptions = {}): Promise<RawClient> {
    const stream = upgrade(t, port, path, options)
    let received = Buffer.alloc(0)
    const answered = new Promise<void>(resolve => {
      stream.on('close', resolve)
      stream.on('data', function onData (chunk) {
        received = Buffer.concat([received, chunk])
        if (received.indexOf('\r\n\r\n') === -1) return
        stream.off('data', onData)
        stream.pause()
        resolve()
      })
    })
    await within(answered, `an answer to an upgrade of ${path}`)
    const end = received.indexOf('\r\n\r\n')
    return new RawClient(stream, received.subarray(0, end).toString(), received.subarray(end + 4))
  }

  get status (): number {
    return Number(this.head.split(' ')[1])
  }

  /** Frames received so far. */
  get frames (): RawFrame[] {
    let bytes = Buffer.concat([this.#bytes, ...this.#chunks.splice(0)])
    for (;;) {
      const length = bytes.length < 2 ? 0 : bytes[1] < 126 ? 0 : bytes[1] === 126 ? 2 : 8
      if (bytes.length < 2 + length) break
      const size = length === 0 ? bytes[1] : length === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
      if (bytes.length < 2 + length + size) break
      this.#frames.push({ opcode: bytes[0] & 0x0f, payload: bytes.subarray(2 + length, 2 + length + size) })
      bytes = bytes.subarray(2 + length + size)
    }
    this.#bytes = bytes
    return this.#frames
  }

  get envelopes (): Envelope[] {
    return this.frames.filter(({ opcode }) => opcode === 1).map(({ payload }) => JSON.parse(payload.toString()))
  }

  /** Code of the received Close, if any. */
  get closeCode (): number | undefined {
    return this.frames.find(({ opcode }) => opcode === 8)?.payload.readUInt16BE(0)
  }
}
