import type { Envelope } from '../../lib/client/index.js'

/** The part of a client that can be waited for, with its listeners. */
export class Source {
  status = 'connecting'
  closed: { code: number, reason: string, name: string } | undefined
  readonly listeners = new Set<(envelope: Envelope) => void>()
  readonly watchers = new Set<() => void>()

  on (type: '*', listener: (envelope: Envelope) => void) {
    if (type === '*') this.listeners.add(listener)
    return () => { this.listeners.delete(listener) }
  }

  onStatus (watcher: () => void) {
    this.watchers.add(watcher)
    return () => { this.watchers.delete(watcher) }
  }

  push (...numbers: number[]) {
    for (const data of numbers) for (const listener of this.listeners) listener({ type: 'n', data, timestamp: '' })
  }

  become (status: string) {
    this.status = status
    if (status === 'closed') this.closed = { code: 1000, reason: '', name: 'NORMAL' }
    for (const watcher of this.watchers) watcher()
  }

  get listening () {
    return this.listeners.size + this.watchers.size
  }
}
