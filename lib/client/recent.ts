import type { ControlMessages, Envelope } from '../protocol/envelope.js'
import { Cursors } from './cursors.js'

/** Publications kept. */
const size = 200

/** The latest that was heard on a connection: from it another reader can go on where it was. */
export class Recent {
  readonly #now = new Cursors()
  /** All that came after it is kept. */
  #from = new Cursors()
  #kept: Array<{ id: string, frame: string }> = []

  /** How far was heard. */
  get position (): string {
    return this.#now.since
  }

  /** Takes each frame of a connection, and of the next one. */
  hear ({ type, id, data }: Envelope, frame: string): void {
    if (type === 'connection_ack') {
      const { recovered, position } = data as ControlMessages['connection_ack']
      if (recovered !== true) this.#restart(position)
    } else if (type === 'resync') this.#restart((data as ControlMessages['resync']).position)
    else if (id !== undefined && this.#now.advance(id)) this.#keep(id, frame)
  }

  /** What came after the positions of a reader; `undefined` when that is not all known. */
  after (since: string): string[] | undefined {
    const reader = new Cursors()
    reader.reset(since)
    // What it would still have to read of what is no longer kept.
    if (this.#from.since.split(',').some(position => reader.advance(position))) return undefined
    return this.#kept.filter(({ id }) => reader.advance(id)).map(({ frame }) => frame)
  }

  #keep (id: string, frame: string): void {
    this.#kept.push({ id, frame })
    if (this.#kept.length > size) this.#from.reset(this.#kept.shift()!.id)
  }

  #restart (positions: string): void {
    this.#now.reset(positions)
    this.#from = new Cursors()
    this.#from.reset(this.position)
    this.#kept = []
  }
}
