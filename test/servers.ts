import { createServer, type RequestListener } from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import tls from 'node:tls'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { cert, key } from './fixtures/certificate.js'

interface Scope {
  teardown (action: () => unknown): void
}

/** Kinds of HTTP/1.1 servers of an app: their options, and whether a client needs TLS. */
export const serverKinds: Record<string, { options: object, isSecure: boolean }> = {
  http: { options: {}, isSecure: false },
  https: { options: { https: { key, cert } }, isSecure: true },
  'http2 with allowHTTP1': { options: { http2: true, https: { allowHTTP1: true, key, cert } }, isSecure: true },
  serverFactory: { options: { serverFactory: (handler: RequestListener) => createServer(handler) }, isSecure: false }
}

/** An app on a kind of HTTP server, closed with the test. `build` registers its plugins and routes. */
export async function listenAs (
  t: Scope, kind: string, build: (app: FastifyInstance) => unknown, more: FastifyServerOptions = {}
): Promise<{ app: FastifyInstance, talk: (text: string) => Talk, url: string }> {
  const { options, isSecure } = serverKinds[kind]
  const app = Fastify({ ...options, ...more }) as FastifyInstance
  t.teardown(() => app.close())
  await build(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return { app, talk: text => new Talk(t, port, text, isSecure), url: `${isSecure ? 'wss' : 'ws'}://127.0.0.1:${port}` }
}

/** Writes bytes to a server on a real socket, in one packet, and keeps the response. */
export class Talk {
  readonly socket: Socket
  received = ''
  isClosed = false

  constructor (t: Scope, port: number, text: string, isSecure = false) {
    const to = { port, host: '127.0.0.1' }
    this.socket = isSecure ? tls.connect({ ...to, rejectUnauthorized: false }) : net.connect({ ...to, noDelay: true })
    this.socket.on('data', data => { this.received += data.toString('latin1') })
    this.socket.on('error', () => {})
    this.socket.on('close', () => { this.isClosed = true })
    this.socket.write(text)
    t.teardown(() => this.socket.destroy())
  }

  /** The status codes of the responses so far. */
  get statuses (): number[] {
    return [...this.received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
  }
}

/** A request as text. A body gets its length. */
export function request (method: string, path: string, headers: Record<string, string> = {}, body = ''): string {
  const all = { host: 'localhost', ...body === '' ? {} : { 'content-type': 'application/json', 'content-length': String(body.length) }, ...headers }
  return `${method} ${path} HTTP/1.1\r\n${Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`
}

/** A WebSocket handshake as text. */
export function handshake (path: string, headers: Record<string, string> = {}): string {
  return request('GET', path, {
    connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', ...headers
  })
}
