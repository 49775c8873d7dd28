import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { WebSocket, type ClientOptions } from 'ws'
import realtime from '../lib/index.js'
import type { Envelope, RealtimeOptions } from '../lib/index.js'

/** Something with a teardown: a tap test. */
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

/** A bare WebSocket client that keeps what it got, so that nothing is missed between two waits. */
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

  /** The next frame that was not read yet, or the next one of a type; what comes before that one is skipped. */
  async next (type?: string): Promise<Envelope> {
    for (;;) {
      while (this.#read < this.received.length) {
        const envelope = this.received[this.#read++]
        if (type === undefined || envelope.type === type) return envelope
      }
      if (this.closed !== undefined) throw new Error(`closed with ${this.closed.code} while waiting for ${type ?? 'a frame'}`)
      await this.#change()
    }
  }

  /** Waits until something holds; it is looked at again after each frame and after the close. */
  async until (holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.closed !== undefined) throw new Error(`closed with ${this.closed.code} before it came true`)
      await this.#change()
    }
  }

  async close (): Promise<{ code: number, reason: string }> {
    while (this.closed === undefined) await this.#change()
    return this.closed
  }

  send (message: unknown): void {
    this.socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message))
  }

  #change (): Promise<void> {
    return new Promise(resolve => this.#waiting.push(resolve))
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
  const [, response] = await once(socket, 'unexpected-response')
  response.resume()
  socket.terminate()
  return response.statusCode
}

/** Resolves when a condition holds; looked at once per turn of the event loop, for at most `ms`. */
export async function eventually (holds: () => boolean, ms = 10_000): Promise<void> {
  const end = performance.now() + ms
  while (!holds()) {
    if (performance.now() > end) throw new Error(`did not come true within ${ms} ms: ${holds}`)
    await new Promise(resolve => setImmediate(resolve))
  }
}
