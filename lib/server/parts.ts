import type { TSchema } from '@sinclair/typebox'
import type { FastifyBaseLogger } from 'fastify'
import { Access } from './access/access.js'
import { Cluster } from './cluster.js'
import { Flusher } from './delivery/flush.js'
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
  readonly access: Access
  readonly catalogue: Catalogue
  readonly flusher: Flusher
  readonly publisher: MessagePublisher
  /** Messages to the other servers of the app; `undefined` if the broker does not span servers. */
  readonly cluster: Cluster | undefined
}

/** Schemas of `data` of message types, by channel kind and type. */
export type MessagesOfKinds = Record<string, Record<string, TSchema>>

/** Throws RT_ERR_OPTIONS if a message schema cannot be used. */
export function createParts (options: ServerOptions, log: FastifyBaseLogger, messagesOfKinds: MessagesOfKinds = {}): ServerParts {
  const { messages, strict, limits, timeouts, broker } = options
  const timers = new Timers()
  const refusals = new Refusals(log, timers)
  const catalogue = new Catalogue({ messages, messagesOfKinds, strict, maxBytes: limits.message })
  return {
    options,
    log,
    timers,
    refusals,
    access: new Access({ ...options, timeout: timeouts.authenticate, timers, log, refusals }),
    catalogue,
    flusher: new Flusher(),
    publisher: new MessagePublisher({ broker, catalogue, timers, onUnheard: warnOf(log, 'A message was not sent') }),
    cluster: broker.nodes && new Cluster(broker.nodes, timers, log)
  }
}
