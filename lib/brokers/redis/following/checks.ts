import type { StreamHead } from '../commands/read.js'
import type { Feed } from './feed.js'

/** Maximum number of channels per request, and of concurrent requests. */
const slice = 200
const lanes = 4

interface Check {
  readonly feed: Feed
  readonly done: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Compares logs with Redis, many in one round trip. */
export class Checks {
  readonly #headsOf: (keys: string[]) => Promise<Array<StreamHead | undefined>>
  readonly #size: number
  /** By the key of the channel. */
  #waiting = new Map<string, Check>()
  #turn: NodeJS.Immediate | undefined
  #running = 0

  /** `size`: maximum number of channels per request. */
  constructor (headsOf: (keys: string[]) => Promise<Array<StreamHead | undefined>>, size = slice) {
    this.#headsOf = headsOf
    this.#size = size
  }

  /** Resolves when the log has everything that was in Redis at the time of the call. Rejects if Redis does not answer. */
  confirm (key: string, feed: Feed): Promise<void> {
    const waiting = this.#waiting.get(key)
    if (waiting !== undefined) return waiting.done
    const { promise: done, resolve, reject } = withResolvers()
    this.#waiting.set(key, { feed, done, resolve, reject })
    this.#turn ??= setImmediate(() => this.#start())
    return done
  }

  #start (): void {
    this.#turn = undefined
    while (this.#waiting.size > 0 && this.#running < lanes) {
      const checks = [...this.#waiting].slice(0, this.#size)
      for (const [key] of checks) this.#waiting.delete(key)
      this.#running++
      this.#run(checks).finally(() => {
        this.#running--
        this.#start()
      })
    }
  }

  async #run (checks: Array<[string, Check]>): Promise<void> {
    const before = checks.map(([, { feed }]) => feed.log?.head ?? 0)
    try {
      const heads = await this.#headsOf(checks.map(([key]) => key))
      await Promise.all(checks.map(([, check], at) => settle(check, heads[at], before[at])))
    } catch (error) {
      for (const [, { reject }] of checks) reject(error)
    }
  }
}

/** Never rejects: a channel that cannot be read does not affect the others. */
async function settle ({ feed, resolve, reject }: Check, head: StreamHead | undefined, before: number): Promise<void> {
  try {
    await feed.reach(head, before)
    resolve()
  } catch (error) {
    reject(error)
  }
}

function withResolvers (): { promise: Promise<void>, resolve: () => void, reject: (error: unknown) => void } {
  let resolve!: () => void
  let reject!: (error: unknown) => void
  const promise = new Promise<void>((_resolve, _reject) => {
    resolve = _resolve
    reject = _reject
  })
  return { promise, resolve, reject }
}
