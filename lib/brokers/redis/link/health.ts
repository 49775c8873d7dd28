import { errors } from '../../../errors.js'
import type { BrokerLog } from '../../broker.js'
import { causeOf, isCause, type Cause } from './cause.js'
import { Outage } from './outage.js'

/** Time, in ms, after which a failed command that was not sent again no longer counts as failing. */
const forgottenAfter = 30_000

/** Connections. Each reports itself when it works again. */
export type Line = 'commands' | 'subscriber'

const lines: ReadonlySet<string> = new Set<Line>(['commands', 'subscriber'])

/** Part that fails when Redis does not answer. */
const answers = 'answers'

/** Part that fails when a Cluster continues without one of its nodes. */
export const clusterNode = 'a node of the Cluster'

const late = 'Publications are stored, and reach clients up to 15 s late'

/** Parts with separate outages, and the consequences for the app. */
const consequences: Record<string, string> = {
  PUBLISH: late,
  SPUBLISH: late,
  SUBSCRIBE: late,
  SSUBSCRIBE: late,
  [clusterNode]: 'Nothing can be sent to the channels of this node until it is back, or replaced'
}

interface Failure {
  readonly cause: Cause
  /** Name of the refused operation: failures with the same name and code share a log line. */
  readonly name: string
  /** Name of the outage. Parts that fail for one reason share an outage. */
  readonly outage: string
  /** When it last occurred, on the monotonic clock, in ms. */
  at: number
}

/** State of Redis by part: a connection, or a command. Logs each cause, and the end of each outage. */
export class Health {
  log: BrokerLog | undefined
  readonly #prefix: string
  readonly #now: () => number
  readonly #failing = new Map<string, Failure>()
  readonly #outages = new Map<string, Outage>()
  readonly #listeners = new Set<() => void>()
  #isClosed = false

  /** `now`: monotonic clock, in ms. */
  constructor (prefix: string, log?: BrokerLog, now: () => number = () => performance.now()) {
    this.#prefix = prefix
    this.log = log
    this.#now = now
  }

  /** Cause for which commands cannot be sent or are not answered; `undefined` if there is none. */
  get cause (): Cause | undefined {
    return (this.#failing.get('commands') ?? this.#failing.get(answers))?.cause
  }

  isFailing (part: string): boolean {
    return this.#failing.has(part)
  }

  /** RT_ERR_BROKER_REFUSED with all faults that waiting does not cure; `undefined` if there are none. */
  get setupFault (): Error | undefined {
    // Other nodes of a Cluster may work.
    const faults = [...this.#failing].filter(([part, { cause }]) => cause.isSetup && part !== clusterNode)
    if (faults.length === 0) return undefined
    const sentences = new Map(faults.map(([, { cause, name }]) => [`${name} ${cause.code}`, `${subjectOf(name)}: ${cause.message}`]))
    const cures = new Set(faults.map(([, { cause }]) => cause.cure))
    return new errors.BROKER_REFUSED([...[...sentences.values()].sort(), ...[...cures].sort()].join('. '), { cause: faults[0][1].cause.error })
  }

  /** Calls `listener` after each new failure. Returns a function that removes it. */
  onFailed (listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  /** Records a failure of a part. `at`: monotonic clock, in ms. Ignores errors that only report a missing connection. */
  failed (part: string, error: unknown, at = this.#now()): void {
    if (this.#isClosed || !isCause(error)) return
    const outage = outageOf(part)
    const cause = this.#explained(causeOf(error, this.#prefix), outage)
    const before = this.#failing.get(part)
    if (before?.cause.code === cause.code) {
      before.at = at
      return
    }
    const failure = { cause, name: nameOf(part, cause), outage, at }
    this.#failing.set(part, failure)
    this.#report(part, failure)
    for (const listener of this.#listeners) listener()
  }

  /** Records that a part took too long. If no cause is known, Redis did not answer. */
  silent (part = ''): void {
    if (this.cause === undefined && !this.#failing.has(part)) this.failed(answers, new Error('Redis does not answer'))
  }

  /** Records that a part works. Failures of other commands for the same reason end too. */
  well (part: string): void {
    if (this.#failing.size === 0) return
    const now = this.#now()
    const over = lines.has(part) ? undefined : this.#failing.get(part)
    for (const [other, { at, name, cause, outage }] of this.#failing) {
      const isForgotten = !lines.has(other) && now - at > forgottenAfter
      const isAnswered = other === answers && part !== 'subscriber'
      const isSame = other === part || (name === over?.name && cause.code === over.cause.code)
      if (!isSame && !isForgotten && !isAnswered) continue
      this.#failing.delete(other)
      this.#endUnlessFailing(outage, isForgotten ? at : now)
    }
  }

  /** RT_ERR_BROKER with its cause: `error`, or else the known failure of the connection or of the part. */
  refusal (part = '', error?: unknown): Error {
    if (error instanceof errors.BROKER) return error
    const said = error !== undefined && isCause(error) ? causeOf(error, this.#prefix) : undefined
    const isLate = said === undefined || said.code === 'NO_ANSWER'
    const known = this.cause ?? this.#failing.get(part)?.cause
    const cause = isLate ? known ?? said : said
    return cause === undefined ? new errors.BROKER('Redis does not answer') : new errors.BROKER(cause.text, { cause: cause.error })
  }

  /** RT_ERR_BROKER for publications beyond the limit of waiting ones, with the cause of the wait, if it is known. */
  crowded (): Error {
    const { cause } = this
    const reason = 'too much is waiting for Redis already'
    return cause === undefined ? new errors.BROKER(reason) : new errors.BROKER(`${reason}: ${cause.text}`, { cause: cause.error })
  }

  /** RT_ERR_UNCONFIRMED with the cause, if it is known. */
  doubt (): Error {
    const { cause } = this
    return cause === undefined ? new errors.UNCONFIRMED() : new errors.UNCONFIRMED({ cause: cause.error })
  }

  /** Ignores failures from now on: they are caused by the app's close. */
  close (): void {
    this.#isClosed = true
    this.#failing.clear()
  }

  /** Replaces the cause of a connection that ended without a reason by the known cause of the outage, if any. */
  #explained (cause: Cause, outage: string): Cause {
    if (!cause.isVague) return cause
    for (const other of this.#failing.values()) if (other.outage === outage && !other.cause.isVague) return other.cause
    return cause
  }

  #outage (name: string, at: number): Outage {
    const outage = this.#outages.get(name) ?? new Outage()
    this.#outages.set(name, outage)
    outage.begin(at)
    return outage
  }

  #endUnlessFailing (name: string, now: number): void {
    for (const { outage } of this.#failing.values()) if (outage === name) return
    const ms = this.#outages.get(name)!.end(now)
    if (ms !== undefined) this.#write('info', { part: name, ms }, `Redis: ${name} works again, after ${(ms / 1_000).toFixed(1)} s`)
  }

  #report (part: string, { cause: { code, text, error, isSetup }, name, outage, at }: Failure): void {
    if (!this.#outage(outage, at).isNews(`${name} ${code}`, at)) return
    const consequence = consequences[part] ?? (outage === connection && !isSetup ? 'Clients stay connected, and nothing can be sent until it is back' : undefined)
    const sentences = consequence === undefined ? text : `${text}. ${consequence}`
    this.#write('error', { part, cause: code, err: error }, `${subjectOf(name)}: ${sentences}`)
  }

  /** Writes a log line. Never throws: the serializers of a logger are code of the app. */
  #write (level: keyof BrokerLog, fields: object, message: string): void {
    try {
      this.log?.[level](fields, `realtime: ${message}`)
    } catch {
      // There is nowhere else to report it.
    }
  }
}

const connection = 'the connection'

function outageOf (part: string): string {
  if (lines.has(part) || part === answers) return connection
  return part in consequences ? part : 'storing'
}

/** Name for the log. Redis may permit one command and refuse another. Other causes are equal for all commands and connections. */
function nameOf (part: string, { code, message }: Cause): string {
  if (outageOf(part) === connection) return connection
  if (part in consequences) return part
  return code === 'NOPERM_COMMAND' ? /run the '(.+?)' command/.exec(message)?.[1].toUpperCase() ?? part : 'commands'
}

function subjectOf (name: string): string {
  if (name === connection) return 'Redis cannot be used'
  return name === clusterNode ? 'A node of the Redis Cluster cannot be used' : `Redis refuses ${name}`
}
