import { errors } from '../../errors.js'
import type { Kinds } from '../kinds.js'
import type { MessageRow } from './message-row.js'

/** Finds the handler of a client message: that of the channel kind, or that of the app. */
export class Handlers {
  readonly #own: ReadonlyMap<string, MessageRow>
  readonly #kinds: Kinds

  /** `own`: handlers for messages on all kinds. Throws RT_ERR_OPTIONS if a kind with a path of its own handles one of their types, too. */
  constructor (own: ReadonlyMap<string, MessageRow>, kinds: Kinds) {
    for (const type of kinds.paths.flatMap(({ kinds: [{ rows }] }) => [...rows?.keys() ?? []])) {
      if (own.has(type)) throw new errors.OPTIONS(`'onMessage.${type}': the plugin handles '${type}' itself. Choose another type`)
    }
    this.#own = own
    this.#kinds = kinds
  }

  /** Handler of a message type on a channel; `undefined` if there is none. */
  of (channel: string, type: string): MessageRow | undefined {
    const kind = this.#kinds.find(channel)
    const own = kind?.types?.has(type) === true ? undefined : this.#own.get(type)
    return kind?.rows?.get(type) ?? own ?? kind?.fallbacks?.get(type)
  }

  /** Explains why a type has no handler, and names the cure. */
  missing (type: string): string {
    const kind = this.#kinds.all.find(({ rows, fallbacks }) => rows?.has(type) === true || fallbacks?.has(type) === true)
    if (kind !== undefined) {
      const path = this.#kinds.pathTo(kind)
      const subscribe = "ubscribe to such a channel and name it in 'channel'"
      return `'${type}' is for ${kind.name}s only. ${path === undefined ? `S${subscribe}` : `Connect to ${path.url}, or s${subscribe}`}`
    }
    if (type === 'renew') return "this server cannot renew credentials: it has no option 'renew'. Reconnect with the new credential"
    return `no handler for '${type}'. Add one to the option 'onMessage' of the server`
  }
}
