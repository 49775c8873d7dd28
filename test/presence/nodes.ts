import type { Test } from 'tap'
import type { Broker, Nodes } from '../../lib/brokers/broker.js'
import { nobody } from '../../lib/client/channels/presence.js'
import { applied } from '../../lib/client/channels/roster.js'
import type { Presence as PresenceData } from '../../lib/protocol/presence.js'
import { errors } from '../../lib/errors.js'
import type { Log, Reader } from '../../lib/logs/log.js'
import { PresenceLog } from '../../lib/presence/log/presence-log.js'
import { ServerPresence, type PresenceParts } from '../../lib/presence/presence.js'
import type { Attendee } from '../../lib/server/kinds.js'
import { movedClock } from '../clock.js'
import { loopTurns } from '../waiting.js'

/** Nodes with a log each, and a broker between them that the test stops. */
export function startNodes (t: Test, { count = 1, isMemory = false, channelsPerUser = 400, max = 10 } = {}) {
  const { timers, clock, pass, planned } = movedClock(t)
  const logs = new Map<string, PresenceLog>()
  /** Number of entries by the name of the log. */
  const heads = new Map<string, number>()
  const published: string[] = []
  /** `stored`: when the broker answers a publication; at once by default. */
  const state = { isAway: false, alive: Array.from({ length: count }, (_, n) => `n${n}`), stored: Promise.resolve() }
  const now = () => clock.now()
  const nodes = state.alive.map(id => {
    const listeners = new Set<() => void>()
    const others = {
      id,
      get alive () { return state.isAway ? undefined : state.alive },
      onAlive (listener: () => void) {
        listeners.add(listener)
        return () => { listeners.delete(listener) }
      }
    } as unknown as Nodes
    const logOf = (name: string) => {
      const key = `${id} ${name}`
      const known = logs.get(key)
      if (known !== undefined) return known
      const log = new PresenceLog('e', { size: 0, ttl: 1, lag: 0 })
      log.head = heads.get(name) ?? 0
      logs.set(key, log)
      return log
    }
    const broker = {
      nodes: isMemory ? undefined : others,
      subscribe (name: string) {
        if (state.isAway) return Promise.reject(new errors.BROKER('away'))
        return isMemory ? logOf(name) : Promise.resolve(logOf(name))
      },
      publish (name: string, body: string) {
        if (state.isAway) return Promise.reject(new errors.BROKER('away'))
        published.push(body)
        heads.set(name, (heads.get(name) ?? 0) + 1)
        for (const [key, log] of logs) if (key.endsWith(` ${name}`)) log.append(body, now())
        return isMemory ? log(name).position : state.stored.then(() => log(name).position)
      }
    } as unknown as Broker
    const log = (name: string) => logOf(name)
    const presence = new ServerPresence({ broker, timers, encode: json => json, channelsPerUser, now } satisfies PresenceParts)
    return { id, presence, board: presence.of({ max }, 'channels.board.presence'), look: () => { for (const listener of listeners) listener() }, listeners }
  })
  return {
    nodes,
    logs,
    published,
    state,
    planned,
    now,
    /** Lets time pass, and promises settle between its steps. */
    async pass (ms: number) {
      for (let left = ms; left > 0; left -= 10) {
        await loopTurns(3)
        pass(Math.min(10, left))
      }
      await loopTurns(3)
    },
    /** Repeats what each node learns of the others. */
    look () {
      for (const { look } of nodes) look()
    }
  }
}

/** A connection that reads at each wake. */
export class FakeAttendee implements Attendee {
  readonly id: string
  readonly userId: string
  readonly frames: PresenceData[] = []
  isReading = false

  constructor (id: string, userId = id) {
    this.id = id
    this.userId = userId
  }

  read (log: Log) {
    const reader: Reader = {
      offset: 0,
      epoch: '',
      wake: () => {
        const frame = log.read(reader, 1_000)
        if (frame !== '') this.frames.push((JSON.parse(frame.toString()) as { data: PresenceData }).data)
      },
      catchUp () {}
    }
    log.add(reader)
    this.isReading = true
    const restart = () => {
      reader.epoch = ''
      reader.wake()
    }
    restart()
    return {
      restart,
      end: () => {
        this.isReading = false
        log.remove(reader)
      }
    }
  }

  get state () {
    return this.frames.reduce(applied, nobody)
  }

  get users (): string {
    return this.state.members.map(({ userId }) => userId).sort().join()
  }
}
