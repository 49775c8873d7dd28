import { Value } from '@sinclair/typebox/value'
import { maxChannelsInFrame, Subscribe, Unsubscribe } from '../../protocol/channels.js'
import type { Inbound } from '../../protocol/envelope.js'
import type { Connection } from '../connection/connection.js'
import { Refusal } from '../inbound/fault.js'
import type { MessagePart, MessageRow } from '../inbound/message-row.js'
import type { Kinds } from '../kinds.js'
import type { Subscribing } from './subscribing.js'

/** Handlers of `subscribe`, `unsubscribe` and `presence`. All are repeatable, so they have no key. */
export function subscribeRows (subscribing: Subscribing, kinds: Kinds): Map<string, MessageRow> {
  return new Map<string, MessageRow>([
    ['subscribe', {
      split: message => channelsOf(message).map(({ channel, since }) => partOf(message, channel, since)),
      whenDue: (connection, handle) => subscribing.whenDue(connection as Connection, handle),
      handle: ({ data }, { connection, channel }) => subscribing.subscribe(connection as Connection, channel, data as string | undefined)
    }],
    ['unsubscribe', {
      split: message => namesOf(message).map(channel => partOf(message, channel)),
      handle: (_message, { connection, channel }) => subscribing.unsubscribe(connection as Connection, channel)
    }],
    ['presence', {
      handle: ({ data }, { connection, channel }) => {
        const { presence } = kinds.of(channel)
        if (presence === undefined) throw new Refusal('no_presence', `'${channel}' has no presence. Add the option 'presence' to its kind`)
        presence.update(connection as Connection, channel, data)
      }
    }]
  ])
}

function partOf ({ type, ref }: Inbound, channel: string, data?: string): MessagePart {
  return { channel, message: { type, ref, channel, data } }
}

function channelsOf ({ data }: Inbound): Subscribe['channels'] {
  if (Value.Check(Subscribe, data)) return data.channels
  throw new Refusal('bad_message', `/data must be { channels: [{ channel, since? }] }, with 1 to ${maxChannelsInFrame} channels`)
}

function namesOf ({ data }: Inbound): Unsubscribe['channels'] {
  if (Value.Check(Unsubscribe, data)) return data.channels
  throw new Refusal('bad_message', `/data must be { channels: [name] }, with 1 to ${maxChannelsInFrame} names`)
}
