/** Maximum time that a connection without a component stays open for answers, in ms. */
const patience = 5_000

/** Unanswered messages. A connection that no component shows any more is closed when there are none left. */
export class Unanswered {
  readonly #all = new Set<Promise<unknown>>()

  /** Adds the promise of a message, and returns it. */
  add<T> (sent: Promise<T>): Promise<T> {
    this.#all.add(sent)
    const remove = () => { this.#all.delete(sent) }
    sent.then(remove, remove)
    return sent
  }

  /** Resolves when every message is answered, at the latest after 5 s. */
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
