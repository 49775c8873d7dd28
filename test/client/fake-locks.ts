interface Request {
  steal?: boolean
  signal?: AbortSignal
}

interface Held {
  reject (error: Error): void
}

/** The part of `navigator.locks` that the client uses: exclusive locks, first come, first served. */
export class FakeLocks {
  isRefusing = false
  readonly #held = new Map<string, Held>()
  readonly #waiting = new Map<string, Array<() => void>>()

  /** Number of held locks and waiting requests. */
  get size (): number {
    return this.#held.size + [...this.#waiting.values()].flat().length
  }

  async request (name: string, { steal = false, signal }: Request, callback: () => Promise<void> | undefined): Promise<void> {
    await undefined
    if (this.isRefusing) throw new Error('SecurityError')
    if (steal) this.#take(name)
    while (this.#held.has(name)) await this.#turn(name, signal)
    if (signal?.aborted === true) throw new Error('AbortError')
    await new Promise<void>((resolve, reject) => {
      const held = { reject }
      this.#held.set(name, held)
      const release = () => {
        if (this.#held.get(name) !== held) return
        this.#held.delete(name)
        this.#waiting.get(name)?.shift()?.()
        resolve()
      }
      Promise.resolve(callback()).then(release)
    })
  }

  /** Takes all held locks from their holders, and gives them to the next requests. */
  steal (): void {
    for (const name of [...this.#held.keys()]) {
      this.#take(name)
      this.#waiting.get(name)?.shift()?.()
    }
  }

  /** The tabs that hold locks with such a name die without a word. */
  kill (pattern: RegExp): void {
    for (const name of [...this.#held.keys()].filter(name => pattern.test(name))) {
      this.#held.delete(name)
      this.#waiting.get(name)?.shift()?.()
    }
  }

  #take (name: string): void {
    this.#held.get(name)?.reject(new Error('AbortError'))
    this.#held.delete(name)
  }

  async #turn (name: string, signal: AbortSignal | undefined): Promise<void> {
    const queue = this.#waiting.get(name) ?? []
    this.#waiting.set(name, queue)
    await new Promise<void>((resolve, reject) => {
      queue.push(resolve)
      signal?.addEventListener('abort', () => {
        const at = queue.indexOf(resolve)
        if (at === -1) return
        queue.splice(at, 1)
        reject(new Error('AbortError'))
      })
    })
  }
}
