import { Budget } from '../../brokers/budget.js'
import { Deque } from '../../logs/deque.js'

type Start = () => void

/** Runs a limited number of jobs at once. No holder has more running jobs than are still free, and waiting holders take turns. */
export class FairQueue {
  readonly #running: Budget
  readonly #waiting = new Map<string, Start[]>()
  /** The holders with waiting jobs, the next one first. */
  readonly #turns = new Deque<string>()

  /** `size`: maximum number of jobs at once. */
  constructor (size: number) {
    this.#running = new Budget(size)
  }

  /** Runs a job as soon as its holder may have another one. Settles like the job. */
  run<T> (holder: string, job: () => Promise<T>): Promise<T> {
    if (this.#running.take(holder)) return this.#run(holder, job)
    return new Promise(resolve => this.#add(holder, () => resolve(this.#run(holder, job))))
  }

  async #run<T> (holder: string, job: () => Promise<T>): Promise<T> {
    try {
      return await job()
    } finally {
      this.#running.release(holder)
      this.#startNext()
    }
  }

  #add (holder: string, start: Start): void {
    const jobs = this.#waiting.get(holder) ?? []
    if (jobs.length === 0) this.#turns.push(holder)
    jobs.push(start)
    this.#waiting.set(holder, jobs)
  }

  #startNext (): void {
    for (let left = this.#turns.length; left > 0 && this.#running.used < this.#running.total; left--) {
      const holder = this.#turns.shift()!
      const jobs = this.#waiting.get(holder)!
      if (this.#running.take(holder)) jobs.shift()!()
      if (jobs.length > 0) this.#turns.push(holder)
      else this.#waiting.delete(holder)
    }
  }
}
