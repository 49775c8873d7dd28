import type { Envelope } from '../client/index.js'

/** What a bell can show. */
export type NotificationType = 'notification' | 'system_announcement'

/** A notification as a list shows it. */
export interface Notification {
  readonly type: NotificationType
  /** The one that its sender gave it, or else its position; without either one of this list's own, which no server knows. */
  readonly id: string
  /** Of an announcement: its message. */
  readonly title: string
  readonly message?: string
  /** ISO 8601 UTC. */
  readonly timestamp: string
  readonly isRead: boolean
  /** All that was sent. */
  readonly data: unknown
}

/** As it was received, or as an app has stored it. */
export type StoredNotification = Envelope & { isRead?: boolean }

/** Newest first, at most so many. */
const max = 100

/** What came for the bell. A new list with each change, the same one without. */
export class Notifications {
  list: readonly Notification[] = []
  #hasLoaded = false
  #locals = 0
  /** For each load that is under way those that came meanwhile: these may be newer. */
  readonly #loads = new Set<{ arrived: readonly Notification[] }>()

  receive (envelope: Envelope): void {
    if (!isNotification(envelope)) return
    const one = notificationOf(envelope, false, `local-${this.#locals++}`)
    this.list = withFirst(this.list, one)
    for (const load of this.#loads) load.arrived = withFirst(load.arrived, one)
  }

  /** Marks one as read, or all. */
  markRead (types: readonly NotificationType[], id?: string): void {
    const isMeant = (each: Notification) => types.includes(each.type) && (id === undefined || each.id === id)
    const mark = (each: Notification) => isMeant(each) && !each.isRead ? { ...each, isRead: true } : each
    this.list = this.list.map(mark)
    for (const load of this.#loads) load.arrived = load.arrived.map(mark)
  }

  /** Replaces the list. Where the app does not say it: what it loads at first is read, what is new in it later is not. */
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
      // What is marked here may not have reached the app when it looked.
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
