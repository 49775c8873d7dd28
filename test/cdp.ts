import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { WebSocket } from 'ws'

interface Scope {
  teardown (action: () => unknown): void
}

const executablePath = '/usr/bin/chromium'

/**
 * A headless Chromium that is spoken to by its own protocol. Playwright keeps every page visible, and a visible page cannot be
 * frozen. It ends with the test.
 */
export class Chromium {
  readonly #socket: WebSocket
  readonly #answers = new Map<number, (answer: any) => void>()
  #count = 0

  private constructor (socket: WebSocket) {
    this.#socket = socket
    socket.on('message', data => {
      const { id, result, error } = JSON.parse(data.toString())
      this.#answers.get(id)?.(result ?? { error })
      this.#answers.delete(id)
    })
  }

  static async start (t: Scope): Promise<Chromium> {
    const folder = mkdtempSync(join(tmpdir(), 'realtime-chromium-'))
    const args = ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--remote-debugging-port=0', `--user-data-dir=${folder}`]
    const child = spawn(executablePath, [...args, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'] })
    let chromium: Chromium | undefined
    t.teardown(async () => {
      const exited = once(child, 'exit')
      // Its other processes end with it only when it may say so to them; they write to the folder until then.
      chromium?.send('Browser.close').catch(() => {})
      const timer = setTimeout(() => child.kill('SIGKILL'), chromium === undefined ? 0 : 5_000)
      await exited
      clearTimeout(timer)
      await rm(folder, { recursive: true, force: true, maxRetries: 20 })
    })
    for await (const line of createInterface({ input: child.stderr })) {
      const address = /ws:\/\/\S+/.exec(line)?.[0]
      if (address === undefined) continue
      const socket = new WebSocket(address)
      await once(socket, 'open')
      child.stderr.resume()
      chromium = new Chromium(socket)
      return chromium
    }
    throw new Error('Chromium ended before it could be spoken to')
  }

  /** Opens a page. It is seen when it is the first, and hidden until `show` otherwise. */
  async open (url: string): Promise<CdpPage> {
    const { targetId } = await this.send('Target.createTarget', { url })
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true })
    return new CdpPage(this, targetId, sessionId)
  }

  send (method: string, params: object = {}, sessionId?: string): Promise<any> {
    return new Promise((resolve, reject) => {
      const id = ++this.#count
      this.#answers.set(id, answer => answer.error === undefined ? resolve(answer) : reject(new Error(answer.error.message)))
      this.#socket.send(JSON.stringify({ id, method, params, sessionId }))
    })
  }
}

/** A page of it. */
export class CdpPage {
  readonly #chromium: Chromium
  readonly #targetId: string
  readonly #sessionId: string

  constructor (chromium: Chromium, targetId: string, sessionId: string) {
    this.#chromium = chromium
    this.#targetId = targetId
    this.#sessionId = sessionId
  }

  async evaluate<T> (expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.#chromium.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true }, this.#sessionId)
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    return result.value
  }

  /** Waits until an expression holds in the page, at most 20 s. */
  async until (expression: string): Promise<void> {
    const end = performance.now() + 20_000
    while (!await this.evaluate<boolean>(`Boolean(${expression})`)) {
      if (performance.now() > end) throw new Error(`did not come true in the page: ${expression}`)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }

  /** Puts it before the others, which are hidden then. */
  async show (): Promise<void> {
    await this.#chromium.send('Target.activateTarget', { targetId: this.#targetId })
  }

  /** Of a hidden page. */
  async setState (state: 'frozen' | 'active'): Promise<void> {
    await this.#chromium.send('Page.setWebLifecycleState', { state }, this.#sessionId)
  }
}
