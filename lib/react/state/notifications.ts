import type { Envelope } from '../../client/index.js'

/** Message types that are notifications. */
export type NotificationType = 'notification' | 'system_announcement'

/** Notification in a list. */
export interface Notification {
  readonly type: NotificationType
  /** Id from its sender, or else its position, or else an id that only this list knows. */
  readonly id: string
  /** Title; for a `system_announcement`, its message. */
  readonly title: string
  readonly message?: string
  /** ISO 8601 UTC. */
  readonly timestamp: string
  readonly isRead: boolean
  /** The `data` of the message, with all its fields. */
  readonly data: unknown
}

/** Notification as it was received, or as the app has stored it. Default of `isRead`: see `Notifications.load`. */
export type StoredNotification = Envelope & { isRead?: boolean }

/** Maximum number of notifications in a list. */
const max = 100

/** Notifications, newest first. Each change creates another list. */
export class Notifications {
  list: readonly Notification[] = []
  #hasLoaded = false
  #locals = 0
  /** Loads in progress, each with the notifications that have arrived since it began: these may be newer. */
  readonly #loads = new Set<{ arrived: readonly Notification[] }>()

  receive (envelope: Envelope): void {
    if (!isNotification(envelope)) return
    const one = notificationOf(envelope, false, `local-${this.#locals++}`)
    this.list = withFirst(this.list, one)
    for (const load of this.#loads) load.arrived = withFirst(load.arrived, one)
  }

  /** Marks the notification with this id, or all of these types, as read. */
  markRead (types: readonly NotificationType[], id?: string): void {
    const isMeant = (each: Notification) => types.includes(each.type) && (id === undefined || each.id === id)
    const mark = (each: Notification) => isMeant(each) && !each.isRead ? { ...each, isRead: true } : each
    this.list = this.list.map(mark)
    for (const load of this.#loads) load.arrived = load.arrived.map(mark)
  }

  /** Replaces the list. Without `isRead`, notifications of the first load are read, and new ones of later loads are unread. */
  async load (load: () => Promise<readonly StoredNotification[]>): Promise<void> {
    const meanwhile = { arrived: [] as readonly Notification[] }
    this.#loads.add(meanwhile)
    let stored: readonly StoredNotification[]
    try {
      stored = await load()
    } finally {
      this.#loads.delete(meanwhile)
    }
    const known = new Map(this.list.map(each => [each.id, each.isRead]))
    const loaded = stored.filter(isNotification).map((each, index) => {
      const one = notificationOf(each, !this.#hasLoaded, `${each.timestamp}-${index}`)
      // A mark that was set here may not have reached the app before it loaded.
      return { ...one, isRead: known.get(one.id) === true || (each.isRead ?? known.get(one.id) ?? one.isRead) }
    })
    loaded.sort((a, b) => a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0)
    this.list = [...loaded, ...meanwhile.arrived.toReversed()].reduce(withFirst, [] as readonly Notification[])
    this.#hasLoaded = true
  }
}

function withFirst (list: readonly Notification[], one: Notification): readonly Notification[] {
  return [one, ...list.filter(({ id }) => id !== one.id)].slice(0, max)
}

function isNotification ({ type }: Envelope): boolean {
  return type === 'notification' || type === 'system_announcement'
}

function notificationOf ({ type, id, timestamp, data, message }: Envelope, isRead: boolean, local: string): Notification {
  const of = { type: type as NotificationType, timestamp, isRead, data }
  if (type === 'system_announcement') return { ...of, id: id ?? local, title: message ?? '' }
  const { title, message: text, id: own } = data as NonNullable<Envelope<'notification'>['data']>
  return { ...of, id: String(own ?? id ?? local), title, message: text }
}
