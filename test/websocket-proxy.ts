import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { within } from './waiting.js'

interface Scope {
  teardown (action: () => unknown): void
}

/** One connection through the proxy: the client's side, the server's side, and the path that the client asked for. */
interface Pair {
  client: Socket
  server: Socket
  path: string
}

/** A Close frame as a server writes it. 1005 is one without a code. */
export function closeFrame (code: number, reason = ''): Buffer {
  if (code === 1005) return Buffer.from([0x88, 0])
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason))
  payload.writeUInt16BE(code)
  payload.write(reason, 2)
  return Buffer.concat([Buffer.from([0x88, payload.length]), payload])
}

/** Writes a Close frame of any code to a stream and ends it; 1006 is an end without one. */
export function closeRaw (stream: Socket, code: number, reason = ''): void {
  if (code === 1006) stream.destroy()
  else stream.end(closeFrame(code, reason))
}

/** A TCP proxy in front of a server. It ends connections on demand, with its own Close frames. */
export class WebSocketProxy {
  readonly #pairs = new Set<Pair>()
  #server: Server
  #port: number
  readonly #target: number
  port = 0

  private constructor (server: Server, target: number) {
    this.#server = server
    this.#target = target
    this.#port = 0
  }

  static async start (t: Scope, target: number): Promise<WebSocketProxy> {
    const proxy: WebSocketProxy = new WebSocketProxy(createServer(client => proxy.#connect(client)), target)
    t.teardown(() => proxy.stop())
    await proxy.listen()
    return proxy
  }

  get url (): string {
    return `ws://127.0.0.1:${this.port}`
  }

  /** Accepts connections, on the same port each time. */
  async listen (): Promise<void> {
    await within(new Promise<void>(resolve => this.#server.listen(this.#port, '127.0.0.1', resolve)), 'the proxy to listen')
    this.port = this.#port = (this.#server.address() as AddressInfo).port
  }

  /** Stops accepting connections, and cuts the open ones. */
  async stop (): Promise<void> {
    const closed = new Promise(resolve => this.#server.close(resolve))
    this.close(1006)
    await within(closed, 'the end of the proxy')
  }

  /** Ends the connections whose path contains `part`. */
  close (code: number, part = '', reason = ''): void {
    for (const { client, server, path } of [...this.#pairs]) {
      if (!path.includes(part)) continue
      client.unpipe()
      server.unpipe()
      closeRaw(client, code, reason)
      server.destroy()
    }
  }

  #connect (client: Socket): void {
    const server = createConnection(this.#target, '127.0.0.1')
    const pair = { client, server, path: '' }
    this.#pairs.add(pair)
    client.once('data', data => { pair.path = data.toString().split(' ', 2)[1] })
    for (const side of [client, server]) {
      side.setNoDelay()
      side.on('error', () => {})
      side.on('close', () => {
        this.#pairs.delete(pair)
        client.destroy()
        server.destroy()
      })
    }
    client.pipe(server)
    server.pipe(client)
  }
}
