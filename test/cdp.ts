import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { WebSocket } from 'ws'
import { spawnChild } from './children.js'
import { executablePath } from './chromium.js'
import { alarm, now, patience, within } from './waiting.js'

interface Scope {
  teardown (action: () => unknown): void
}

/**
 * A headless Chromium that is controlled over the DevTools protocol, closed with the test. Playwright keeps every page visible,
 * and a visible page cannot be frozen.
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
    const child = spawnChild(executablePath, [...args, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'] })
    let end = () => { child.kill('SIGKILL') }
    t.teardown(async () => {
      const exited = once(child, 'exit')
      end()
      const cancel = alarm(5_000, () => child.kill('SIGKILL'))
      await within(exited, 'the end of Chromium')
      cancel()
      await rm(folder, { recursive: true, force: true, maxRetries: 20 })
    })
    const socket = new WebSocket(await within(addressIn(child.stderr!), 'the address of Chromium'))
    await within(once(socket, 'open'), 'a connection to Chromium')
    child.stderr!.resume()
    const chromium = new Chromium(socket)
    // A clean close also ends its other processes, which write to the folder until then.
    end = () => { chromium.send('Browser.close').catch(() => {}) }
    return chromium
  }

  /** Port of the DevTools protocol. */
  get port (): number {
    return Number(new URL(this.#socket.url).port)
  }

  /** Opens a page. The first page is visible, the others are hidden until `show`. */
  async open (url: string): Promise<CdpPage> {
    const { targetId } = await this.send('Target.createTarget', { url })
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true })
    return new CdpPage(this, targetId, sessionId)
  }

  send (method: string, params: object = {}, sessionId?: string): Promise<any> {
    const answered = new Promise((resolve, reject) => {
      const id = ++this.#count
      this.#answers.set(id, answer => answer.error === undefined ? resolve(answer) : reject(new Error(answer.error.message)))
      this.#socket.send(JSON.stringify({ id, method, params, sessionId }))
    })
    return within(answered, `the answer of Chromium to ${method} ${JSON.stringify(params).slice(0, 200)}`)
  }
}

async function addressIn (output: Readable): Promise<string> {
  for await (const line of createInterface({ input: output })) {
    const address = /ws:\/\/\S+/.exec(line)?.[0]
    if (address !== undefined) return address
  }
  throw new Error('Chromium ended before it printed its address')
}

/** A page of Chromium. */
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

  /** Waits until an expression holds in the page. */
  async until (expression: string, ms = patience): Promise<void> {
    const end = now() + ms
    while (!await this.evaluate<boolean>(`Boolean(${expression})`)) {
      if (now() > end) throw new Error(`did not come true in the page within ${ms} ms: ${expression}`)
      // The interval between two checks.
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }

  /** Shows this page and hides the others. */
  async show (): Promise<void> {
    await this.#chromium.send('Target.activateTarget', { targetId: this.#targetId })
  }

  /** Freezes or wakes a hidden page. */
  async setState (state: 'frozen' | 'active'): Promise<void> {
    await this.#chromium.send('Page.setWebLifecycleState', { state }, this.#sessionId)
  }
}
