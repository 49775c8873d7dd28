import type { FastifyBaseLogger } from 'fastify'
import { Cluster } from './cluster.js'
import { Flusher } from './connection/flush.js'
import type { ServerOptions } from './options.js'
import { Catalogue } from './messages/catalogue.js'
import { MessagePublisher } from './messages/publisher.js'
import { warnOf } from './messages/watched.js'
import { Refusals } from './reports/refusals.js'
import { Timers } from '../time/timers.js'

/** Components that the server and the channel kinds share. */
export interface ServerParts {
  readonly options: ServerOptions
  readonly log: FastifyBaseLogger
  readonly timers: Timers
  readonly refusals: Refusals
  readonly catalogue: Catalogue
  readonly flusher: Flusher
  readonly publisher: MessagePublisher
  /** Messages to the other servers of the app; `undefined` if the broker does not span servers. */
  readonly cluster: Cluster | undefined
}

/** Throws RT_ERR_OPTIONS if a message schema cannot be used. */
export function createParts (options: ServerOptions, log: FastifyBaseLogger): ServerParts {
  const { messages, strict, limits, broker } = options
  const timers = new Timers()
  const catalogue = new Catalogue({ messages, strict, maxBytes: limits.message })
  return {
    options,
    log,
    timers,
    refusals: new Refusals(log, timers),
    catalogue,
    flusher: new Flusher(),
    publisher: new MessagePublisher({ broker, catalogue, timers, onUnheard: warnOf(log, 'A message was not sent') }),
    cluster: broker.nodes && new Cluster(broker.nodes, timers, log)
  }
}
