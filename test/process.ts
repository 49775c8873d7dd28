import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import net, { type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { RedisBrokerOptions } from '../lib/redis.js'
import type { RealtimeOptions, Stats } from '../lib/index.js'
import { forkChild } from './children.js'
import { root } from './root.js'
import { within } from './waiting.js'

/** Options of the plugin, and of its Redis broker, if any. */
type Options = RealtimeOptions & { redis?: RedisBrokerOptions }

interface Scope {
  teardown (action: () => unknown): void
}

/** The path of a file in test/fixtures, or of its source: `fixture('app.js')`. */
export function fixture (name: string): string {
  return fileURLToPath(import.meta.resolve(`./fixtures/${name}`))
}

/** The fixture app in a process of its own, ended with the test. */
export class AppProcess {
  readonly child: ChildProcess
  port = 0

  readonly host: string

  private constructor (child: ChildProcess, host: string) {
    this.child = child
    this.host = host
  }

  /** Starts the app on a free port, or on a given one. */
  static start (t: Scope, options: Options = {}, host = '127.0.0.1', port = 0): Promise<AppProcess> {
    return AppProcess.#start(t, fixture('app.js'), process.execArgv, options, host, port)
  }

  /** Starts the app without the loaders of the tests, which take more memory and time than the app. */
  static async startPlain (t: Scope, options: Options = {}, port = 0): Promise<AppProcess> {
    const file = join(root, `node_modules/.cache/fastify-realtime/app-${process.pid}.mjs`)
    await build({ entryPoints: [fixture('app.js')], outfile: file, bundle: true, packages: 'external', platform: 'node', format: 'esm' })
    t.teardown(() => rmSync(file, { force: true }))
    return AppProcess.#start(t, file, [], options, '127.0.0.1', port)
  }

  static async #start (t: Scope, file: string, execArgv: string[], options: Options, host: string, port: number): Promise<AppProcess> {
    const child = forkChild(file, [JSON.stringify(options), host, String(port)], { execArgv: [...execArgv, '--expose-gc'] })
    t.teardown(() => child.kill('SIGKILL'))
    const app = new AppProcess(child, host)
    const [address] = await within(once(child, 'message'), 'the app to listen')
    app.port = Number(new URL(address).port)
    return app
  }

  get url (): string {
    return `ws://${this.host}:${this.port}`
  }

  async stats (): Promise<Stats> {
    return (await fetch(`http://${this.host}:${this.port}/stats`)).json() as Promise<Stats>
  }

  /** Stats after garbage collection. `memory` is the memory of JavaScript in bytes, with Buffers and pending writes. */
  async usage (): Promise<Stats & { memory: number }> {
    return (await fetch(`http://${this.host}:${this.port}/usage`)).json() as Promise<Stats & { memory: number }>
  }

  async post (path: string, body: object): Promise<unknown> {
    const response = await fetch(`http://${this.host}:${this.port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
    return response.json()
  }
}

/** A raw socket that completes the WebSocket handshake, and then does nothing by itself. */
export async function rawConnect (t: Scope, port: number, path: string): Promise<Socket> {
  const socket = await tcpConnect(t, port)
  socket.write(upgradeRequest(port, path))
  const [head] = await within(once(socket, 'data'), `an answer to an upgrade of ${path}`)
  if (!head.toString('latin1').startsWith('HTTP/1.1 101')) throw new Error(`not upgraded: ${head}`)
  return socket
}

export async function tcpConnect (t: Scope, port: number): Promise<Socket> {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  await within(once(socket, 'connect'), `a connection to port ${port}`)
  return socket
}

export function upgradeRequest (port: number, path: string): string {
  return [
    `GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, 'Connection: Upgrade', 'Upgrade: websocket',
    'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', '', ''
  ].join('\r\n')
}
