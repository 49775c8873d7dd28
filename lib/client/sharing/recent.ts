import type { ControlMessages, Envelope } from '../../protocol/envelope.js'
import type { Cursors } from '../cursors.js'

/** Maximum number of publications that are kept. */
const mostKept = 200

/** Latest publications of a connection. Another reader can resume from them. */
export interface Recent {
  /** Positions of the latest publications. */
  readonly position: string
  /** Stores a frame of the current connection, or of a later one. */
  hear (envelope: Envelope, frame: string): void
  /** Returns the frames after the positions of a reader; `undefined` when some of them are not kept. */
  after (since: string): string[] | undefined
}

export function recent (cursors: () => Cursors): Recent {
  const heard = cursors()
  /** Positions after which every publication is kept. */
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
      else if (id !== undefined && heard.advance(id) && kept.push({ id, frame }) > mostKept) from.start(kept.shift()!.id)
    },
    after (since) {
      const reader = cursors()
      reader.start(since)
      // The reader lacks publications that are no longer kept.
      if (from.since.split(',').some(reader.advance)) return undefined
      return kept.filter(({ id }) => reader.advance(id)).map(({ frame }) => frame)
    }
  }
}
