import type { Retention } from '../brokers/broker.js'
import { isId } from '../protocol/ids.js'
import { splitChannel } from '../protocol/channels.js'
import type { Identity } from '../server/hooks.js'
import { isHiding } from '../server/access/access.js'
import type { Admitted, ChannelKind, KindPresence, SubscriptionAccess } from '../server/kinds.js'
import { refKey, type MessageRow } from '../server/inbound/message-row.js'
import { answerFrom } from '../server/messages/answer.js'
import type { Channel, ChannelContext, ChannelDefinition } from './define.js'
import { AppLog } from './log.js'

export interface KindParts {
  /** Maximum bytes of an answer. */
  readonly maxBytes: number
  /** Returns a channel, to publish to. */
  readonly channelOf: (kind: string, id: string) => Channel
  /** Presence of the kind. Default: it has none. */
  readonly presence?: KindPresence | undefined
}

/** Retention of a channel without a history: a shared store keeps publications only until all servers have read them. */
const live: Retention = { size: 0, ttl: 1, stored: { size: 1_000, ttl: 10_000 } }

/** Creates the kind for a definition. Throws RT_ERR_OPTIONS if a schema of an answer cannot be used. */
export function kindOf (name: string, definition: ChannelDefinition, parts: KindParts): ChannelKind {
  const { history } = definition
  return {
    name,
    label: 'k',
    start: 'now',
    types: new Set(Object.keys(definition.messages ?? {})),
    access: accessOf(name, definition),
    createLog: (epoch, limits, frameOf) => new AppLog(epoch, limits, frameOf),
    presence: parts.presence,
    retention: history === false ? live : history && { ...history },
    rows: rowsOf(name, definition, parts)
  }
}

function accessOf (kind: string, { authorize, authorizeAll }: ChannelDefinition): SubscriptionAccess {
  return {
    isValid: isId,
    isJoint: authorizeAll !== undefined,
    async decide (identity, channels) {
      const ids = channels.map(channel => splitChannel(channel).id!)
      const rule = `'channels.${kind}.authorize' must return true or { presence: 'hidden' }, or else false or undefined`
      if (authorizeAll !== undefined) return decideAll(kind, authorizeAll, identity, ids)
      return Promise.all(ids.map(async id => verdictOf(await authorize(identity, { kind, id }), rule)))
    }
  }
}

async function decideAll (kind: string, authorizeAll: NonNullable<ChannelDefinition['authorizeAll']>, identity: Identity, ids: readonly string[]): Promise<Admitted[]> {
  const allowed: unknown = await authorizeAll(identity, ids)
  const rule = `'channels.${kind}.authorizeAll' must return an array or a Set of the ids that the user may subscribe to, ` +
    "or a Map with true or { presence: 'hidden' } for each"
  if (allowed instanceof Map) return ids.map(id => verdictOf(allowed.get(id), rule))
  const isList = Array.isArray(allowed) || allowed instanceof Set
  if (!isList) throw new TypeError(rule)
  const set = new Set<unknown>(allowed)
  return ids.map(id => set.has(id))
}

function verdictOf (verdict: unknown, rule: string): Admitted {
  if (verdict === true) return true
  if (isHiding(verdict)) return 'hidden'
  if (verdict === false || verdict === undefined) return false
  throw new TypeError(rule)
}

function rowsOf (
  name: string, { onMessage = {}, answers = {} }: ChannelDefinition, { maxBytes, channelOf }: KindParts
): Map<string, MessageRow> {
  const rows = new Map<string, MessageRow>()
  const option = `channels.${name}.answers`
  for (const [type, handler] of Object.entries(onMessage)) {
    if (handler === undefined) continue
    const schema = Object.hasOwn(answers, type) ? answers[type] : undefined
    const handle = handler as (message: unknown, context: ChannelContext) => unknown
    rows.set(type, {
      handle: (message, { channel, connection }) => handle(message, { channel: channelOf(name, splitChannel(channel).id!), connection }),
      onceKey: refKey,
      answerOf: schema && answerFrom({ schema, option, type }, maxBytes)
    })
  }
  return rows
}
