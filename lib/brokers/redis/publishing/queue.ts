import type { PendingPublication } from './batch.js'

/** Number of publications, or of bytes, at which a batch is full and is sent. */
const full = { count: 256, bytes: 256 * 1024 }

/** Waiting publications, in order, and the number and bytes of all unsettled ones. */
export class PublishQueue {
  #waiting: PendingPublication[] = []
  #waitingBytes = 0
  #bytes = 0
  #count = 0

  /** Bytes of all unsettled publications. */
  get bytes (): number {
    return this.#bytes
  }

  /** Number of all unsettled publications. */
  get count (): number {
    return this.#count
  }

  /** Number of waiting publications. */
  get waiting (): number {
    return this.#waiting.length
  }

  /** Whether the waiting publications fill a batch. */
  get isFull (): boolean {
    return this.#waiting.length >= full.count || this.#waitingBytes >= full.bytes
  }

  add (publication: PendingPublication): void {
    this.#waiting.push(publication)
    this.#waitingBytes += publication.bytes
    this.#bytes += publication.bytes
    this.#count++
  }

  /** Number of publications that wait for a server. */
  countFor (server: string | undefined): number {
    return this.#waiting.filter(waiting => waiting.server() === server).length
  }

  /** Servers for which publications wait. */
  get servers (): Set<string | undefined> {
    return new Set(this.#waiting.map(publication => publication.server()))
  }

  /** Takes a batch for a server, the oldest first. */
  take (server: string | undefined): PendingPublication[] {
    const taken: PendingPublication[] = []
    const left: PendingPublication[] = []
    let bytes = 0
    for (const publication of this.#waiting) {
      const isTaken = taken.length < full.count && bytes < full.bytes && publication.server() === server
      if (isTaken) bytes += publication.bytes
      if (isTaken) taken.push(publication)
      else left.push(publication)
    }
    this.#waiting = left
    this.#waitingBytes -= bytes
    return taken
  }

  /** Takes the publications that have waited since `time` or longer. */
  takeBefore (time: number): PendingPublication[] {
    const later = this.#waiting.findIndex(({ at }) => at > time)
    const taken = this.#waiting.splice(0, later === -1 ? this.#waiting.length : later)
    for (const { bytes } of taken) this.#waitingBytes -= bytes
    return taken
  }

  /** Puts publications back, in their original order. */
  takeBack (publications: PendingPublication[]): void {
    for (const { bytes } of publications) this.#waitingBytes += bytes
    this.#waiting = [...publications, ...this.#waiting].sort((a, b) => a.number - b.number)
  }

  /** Call when a publication is settled. */
  settled ({ bytes }: PendingPublication): void {
    this.#bytes -= bytes
    this.#count--
  }
}
