import type { PresenceOf } from '../../protocol/member.js'
import { presence, shownPresence, type ChannelPresence } from '../channels/presence.js'
import type { Listeners } from '../listeners.js'
import type { ChatConnection } from './connection.js'

/** Presence of a chat, whose connections replace each other. A channel has a presence of its own; the path of a chat has this one. */
export interface PresenceOfChat {
  readonly shown: ChannelPresence<PresenceOf<'chat'>>
  /** The chat is on another connection, which gets the own data. */
  connect (connection: ChatConnection): void
}

/** `send` sends the own data. Changes are the event `' presence'` of `events`. */
export function chatPresence (
  send: (data: unknown) => Promise<unknown>, report: (error: unknown) => void, events: Listeners
): PresenceOfChat {
  let current: ChatConnection | undefined
  const onChange = (): void => events.tell(' presence')
  /** Presence on the path of the chat, and the own data. */
  const own = presence(send, report, onChange)
  return {
    shown: shownPresence(() => (current?.presence ?? own).snapshot(), data => {
      own.update(data)
      current?.presence?.update(data)
    }, events) as PresenceOfChat['shown'],
    connect (connection) {
      current = connection
      own.setOpen(false)
      connection.presence?.subscribe(onChange)
      if (own.own) connection.presence?.update(JSON.parse(own.own))
      connection.on('presence', own.hear as (data: unknown) => void)
      connection.onStatus(status => {
        if (connection === current) own.setOpen(status === 'open' && !connection.presence)
      })
    }
  }
}
