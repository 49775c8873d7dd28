import type { ControlMessages, Envelope } from '../protocol/envelope.js'
import { cursors } from './cursors.js'

const enum Most {
  /** Publications kept. */
  kept = 200
}

/** The latest that was heard on a connection: from it another reader can go on where it was. */
export interface Recent {
  /** How far was heard. */
  readonly position: string
  /** Takes each frame of a connection, and of the next one. */
  hear (envelope: Envelope, frame: string): void
  /** What came after the positions of a reader; `undefined` when that is not all known. */
  after (since: string): string[] | undefined
}

export function recent (): Recent {
  const heard = cursors()
  /** All that came after it is kept. */
  let from = cursors()
  let kept: Array<{ id: string, frame: string }> = []

  const restart = (positions: string): void => {
    heard.start(positions)
    from = cursors()
    from.start(heard.since)
    kept = []
  }
  return {
    get position () {
      return heard.since
    },
    hear ({ type, id, data }, frame) {
      const { recovered, position } = (data ?? {}) as ControlMessages['connection_ack']
      if (type === 'resync' || (type === 'connection_ack' && recovered !== true)) restart(position)
      else if (id !== undefined && heard.advance(id) && kept.push({ id, frame }) > Most.kept) from.start(kept.shift()!.id)
    },
    after (since) {
      const reader = cursors()
      reader.start(since)
      // What it would still have to read of what is no longer kept.
      if (from.since.split(',').some(reader.advance)) return undefined
      return kept.filter(({ id }) => reader.advance(id)).map(({ frame }) => frame)
    }
  }
}
