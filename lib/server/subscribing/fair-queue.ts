import { Budget } from '../../brokers/budget.js'

interface Job {
  readonly holder: string
  readonly start: () => void
}

/** Runs a limited number of jobs at once. No holder has more running jobs than are still free, and waiting holders take turns. */
export class FairQueue {
  readonly #running: Budget
  readonly #waiting = new Map<string, Job[]>()

  /** `size`: maximum number of jobs at once. */
  constructor (size: number) {
    this.#running = new Budget(size)
  }

  /** Runs a job as soon as its holder may have another one. Settles like the job. */
  async run<T> (holder: string, job: () => Promise<T>): Promise<T> {
    if (!this.#running.take(holder)) {
      await new Promise<void>(resolve => this.#add({ holder, start: resolve }))
    }
    try {
      return await job()
    } finally {
      this.#running.release(holder)
      this.#startNext()
    }
  }

  #add (job: Job): void {
    const ofHolder = this.#waiting.get(job.holder)
    if (ofHolder === undefined) this.#waiting.set(job.holder, [job])
    else ofHolder.push(job)
  }

  #startNext (): void {
    for (const [holder, jobs] of this.#waiting) {
      if (this.#running.used >= this.#running.total) return
      if (!this.#running.take(holder)) continue
      const { start } = jobs.shift()!
      // The others come first.
      this.#waiting.delete(holder)
      if (jobs.length > 0) this.#waiting.set(holder, jobs)
      start()
    }
  }
}
