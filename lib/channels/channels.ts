import { errors } from '../errors.js'
import { checkId } from '../server/ids.js'
import { membersOf, type PresenceOfKind, type ServerPresence } from '../presence/presence.js'
import type { ChannelKind } from '../server/kinds.js'
import type { MessagePublisher } from '../server/messages/publisher.js'
import { guarded, type OnUnheard } from '../server/messages/watched.js'
import type { Channel, ChannelDefinitions } from './define.js'
import { kindOf } from './kind.js'
import { removalOf } from './removal.js'

export interface AppChannelsParts {
  readonly definitions: ChannelDefinitions
  readonly publisher: Pick<MessagePublisher, 'publish' | 'store'>
  /** Maximum bytes of an answer. */
  readonly maxBytes: number
  /** Called when a call was not successful and the app does not handle the rejection. */
  readonly onUnheard: OnUnheard
  /** Default: no channel has presence. */
  readonly presence?: ServerPresence | undefined
}

/** The app's own channels. */
export class AppChannels {
  readonly kinds: readonly ChannelKind[]
  readonly #byName: ReadonlyMap<string, ChannelKind>
  readonly #presence = new Map<string, PresenceOfKind>()
  readonly #parts: AppChannelsParts

  /** Throws RT_ERR_OPTIONS if a schema of an answer cannot be used. */
  constructor (parts: AppChannelsParts) {
    this.#parts = parts
    const channelOf = (kind: string, id: string) => this.open(kind, id)
    this.kinds = Object.entries(parts.definitions).map(([name, definition]) => {
      const presence = definition.presence && parts.presence?.of(definition.presence, `channels.${name}.presence`)
      if (presence !== undefined) this.#presence.set(name, presence)
      return kindOf(name, definition, { ...parts, channelOf, presence })
    })
    this.#byName = new Map(this.kinds.map(kind => [kind.name, kind]))
  }

  /** Returns a channel, to publish to. Throws RT_ERR_UNKNOWN_KIND and RT_ERR_INVALID_ID. */
  open (name: string, id: string): Channel {
    const { publisher, onUnheard } = this.#parts
    const kind = this.#byName.get(name)
    if (kind === undefined) throw new errors.UNKNOWN_KIND(String(name))
    const channel = `${name}:${checkId(id)}`
    return {
      kind: name,
      id,
      send: message => guarded(() => publisher.publish(kind, channel, message), onUnheard),
      members: () => guarded(() => membersOf(this.#presence.get(name), channel, `channels.${name}.presence`), onUnheard),
      remove: userId => guarded(async () => { await publisher.store(kind, channel, removalOf(checkId(userId))) }, onUnheard)
    }
  }
}
