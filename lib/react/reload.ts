import type { Backoff } from '../client/index.js'

/**
 * Loads state that messages keep up to date: at once on `reload`, one load at a time, and with retries until it succeeds. A `reload`
 * during a load starts another load after it, because the first result may be too old.
 */
export class Reloader {
  readonly #load: () => Promise<unknown>
  readonly #backoff: Backoff
  readonly #onError: (error: unknown) => void
  #isLoading = false
  #isStale = false
  #isEnded = false
  #attempt = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  /** `onError` must not throw. */
  constructor (load: () => Promise<unknown>, backoff: Backoff, onError: (error: unknown) => void) {
    this.#load = load
    this.#backoff = backoff
    this.#onError = onError
  }

  /** Starts a load, because messages were missed. */
  reload (): void {
    clearTimeout(this.#timer)
    this.#isStale = true
    // In a microtask, so that a component that StrictMode mounts and unmounts at once loads nothing.
    queueMicrotask(() => { if (this.#isStale && !this.#isLoading && !this.#isEnded) this.#start() })
  }

  end (): void {
    this.#isEnded = true
    clearTimeout(this.#timer)
  }

  async #start (): Promise<void> {
    this.#isLoading = true
    this.#isStale = false
    const isLoaded = await this.#tryOnce()
    this.#isLoading = false
    if (this.#isEnded) return
    if (isLoaded) this.#attempt = 0
    if (this.#isStale) return this.#start()
    if (!isLoaded) this.#timer = setTimeout(() => this.#start(), this.#backoff(this.#attempt++))
  }

  async #tryOnce (): Promise<boolean> {
    try {
      await this.#load()
      return true
    } catch (error) {
      this.#onError(error)
      return false
    }
  }
}
