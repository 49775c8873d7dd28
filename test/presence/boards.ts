import { Type } from '@sinclair/typebox'
import type { Test } from 'tap'
import { nobody, type PresenceState } from '../../lib/client/channels/presence.js'
import { applied } from '../../lib/client/channels/roster.js'
import { defineChannel, type Envelope, type RealtimeOptions } from '../../lib/index.js'
import type { Presence } from '../../lib/protocol/presence.js'
import { as, authenticateByHeader, connect, start, type Client } from '../harness.js'

const Cursor = Type.Object({ cursor: Type.Optional(Type.String()) }, { additionalProperties: false })

export const isSpy = (userId: string) => userId.startsWith('spy')

/** An app with channels `board:…` that have presence, of at most `max` members with data, and `plain:…` without presence. */
export async function startBoards (t: Test, { max = 10, ...options }: RealtimeOptions & { max?: number } = {}) {
  const board = defineChannel({
    authorize: ({ userId }) => isSpy(userId) ? { presence: 'hidden' } : true,
    presence: { data: Cursor, max }
  })
  const plain = defineChannel({ authorize: () => true })
  const { app, url } = await start(t, { channels: { board, plain }, authenticate: authenticateByHeader, ...options })
  return { app, url, join: (user: string) => connect(t, `${url}/ws/notifications/${user}`, as(user)) }
}

const isPresence = ({ type }: Envelope) => type === 'presence'

/** The frames with presence in a channel that a client has received. */
export function framesOf (client: Client, channel = 'board:b1'): Presence[] {
  return client.received.filter(isPresence).filter(envelope => envelope.channel === channel).map(({ data }) => data as Presence)
}

/** What a client shows. */
export function stateOf (client: Client, channel?: string): PresenceState {
  return framesOf(client, channel).reduce(applied, nobody)
}

export function usersOf (client: Client, channel?: string): string[] {
  return stateOf(client, channel).members.map(({ userId }) => userId)
}

/** Subscribes, and waits for the state. */
export async function subscribe (client: Client, channel = 'board:b1'): Promise<void> {
  const count = framesOf(client, channel).length
  client.send({ type: 'subscribe', data: { channels: [{ channel }] } })
  await client.until(() => framesOf(client, channel).length > count)
}

/** Sends own data, and waits for the answer. */
export async function update (client: Client, data: unknown, channel = 'board:b1'): Promise<Envelope> {
  const ref = `u${client.received.length}-${Math.random()}`
  client.send({ type: 'presence', ref, channel, data })
  return client.until(() => client.received.find(envelope => envelope.ref === ref))
}
