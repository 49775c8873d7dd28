import type { Redis } from 'ioredis'

/** Like `Recent`, for several servers: keeps the items in Redis for one hour. */
export class SharedRecent<T> {
  readonly #redis: Redis
  readonly #name: string
  readonly #size: number

  constructor (redis: Redis, name: string, size: number) {
    this.#redis = redis
    this.#name = name
    this.#size = size
  }

  async of (key: string): Promise<T[]> {
    const items = await this.#redis.lrange(this.#keyOf(key), 0, -1)
    return items.map(item => JSON.parse(item) as T)
  }

  async add (key: string, item: T): Promise<void> {
    const at = this.#keyOf(key)
    await this.#redis.multi().rpush(at, JSON.stringify(item)).ltrim(at, -this.#size, -1).expire(at, 3_600).exec()
  }

  async remove (key: string, item: T): Promise<void> {
    await this.#redis.lrem(this.#keyOf(key), 1, JSON.stringify(item))
  }

  #keyOf (key: string): string {
    return `demo:${this.#name}:${key}`
  }
}
