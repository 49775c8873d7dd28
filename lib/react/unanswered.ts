/** Maximum time that a connection without a component is kept for answers, in ms. */
const patience = 5_000

/** What was sent and is not answered. A connection that no component shows any more is closed after that. */
export class Unanswered {
  readonly #all = new Set<Promise<unknown>>()

  /** Returns `sent`. */
  add<T> (sent: Promise<T>): Promise<T> {
    this.#all.add(sent)
    const remove = () => { this.#all.delete(sent) }
    sent.then(remove, remove)
    return sent
  }

  /** Resolves when all that was added is answered, after 5 s at most. */
  async none (): Promise<void> {
    if (this.#all.size === 0) return
    let timer: ReturnType<typeof setTimeout> | undefined
    await Promise.race([
      Promise.allSettled(this.#all),
      new Promise(resolve => { timer = setTimeout(resolve, patience) })
    ])
    clearTimeout(timer)
  }
}
