/** Messages of one channel, which are handled in order and one at a time. */
export interface Lane<W> {
  readonly waiting: W[]
  current: W | undefined
}

/** The lanes of a connection in which messages wait or are being handled, by channel. */
export class Lanes<W> {
  readonly #byChannel = new Map<string, Lane<W>>()

  /** Whether a message is being handled. */
  get isBusy (): boolean {
    for (const { current } of this.#byChannel.values()) if (current !== undefined) return true
    return false
  }

  /** Messages that are being handled. */
  get current (): W[] {
    return [...this.#byChannel.values()].flatMap(({ current }) => current === undefined ? [] : [current])
  }

  /** Whether a message of a channel waits or is being handled. */
  has (channel: string, isSuch: (work: W) => boolean): boolean {
    const lane = this.#byChannel.get(channel)
    return lane !== undefined && ((lane.current !== undefined && isSuch(lane.current)) || lane.waiting.some(isSuch))
  }

  add (channel: string, work: W): void {
    const lane = this.#byChannel.get(channel)
    if (lane === undefined) this.#byChannel.set(channel, { waiting: [work], current: undefined })
    else lane.waiting.push(work)
  }

  /** Starts the next message of a channel and returns it, unless one is being handled or none waits. */
  begin (channel: string): W | undefined {
    const lane = this.#byChannel.get(channel)
    if (lane === undefined || lane.current !== undefined) return undefined
    lane.current = lane.waiting.shift()
    if (lane.current === undefined) this.#byChannel.delete(channel)
    return lane.current
  }

  /** Ends the message that is being handled; call `begin` then. Returns `false` if the lane was dropped meanwhile. */
  finish (channel: string, work: W): boolean {
    const lane = this.#byChannel.get(channel)
    if (lane?.current !== work) return false
    lane.current = undefined
    return true
  }

  /** Drops a lane, also while a message is being handled. Returns the messages that waited. */
  drop (channel: string): W[] {
    const waiting = this.#byChannel.get(channel)?.waiting ?? []
    this.#byChannel.delete(channel)
    return waiting
  }

  /** Drops the messages that wait, and returns them. */
  clear (): W[] {
    const dropped: W[] = []
    for (const { waiting } of this.#byChannel.values()) dropped.push(...waiting.splice(0))
    return dropped
  }
}
