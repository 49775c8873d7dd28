import { chatName, hasChannels, type ChatIds } from '../client/chat/connection.js'
import { RealtimeClient, type ClientOptions } from '../client/client.js'
import type { Closed } from '../client/error.js'
import type { WebSocketConstructor } from '../client/socket.js'
import type { ControlMessages, Envelope } from '../protocol/envelope.js'
import { parsePosition } from '../protocol/position.js'
import { Replay } from './replay.js'
import { listening, type Overheard } from './socket.js'

/** What a link reports. */
export interface LinkEvents extends Overheard {
  onEnvelope (envelope: Envelope): void
  /** Publications were missed, or the chat has to be read on another link: open one. */
  onLost (): void
  /** The link has ended for good. */
  onClosed (closed: Closed): void
}

/** Subscription to one chat. It is resumed after a lost connection. */
export interface Link {
  /** User of the connection; `undefined` before the first ack. */
  readonly userId: string | undefined
  /** Sends a message to the chat. Resolves and rejects like `send` of a client. */
  send (type: string, data: object): Promise<void>
  close (): void
}

/** Opens a link that reads the chat from its beginning. Throws a TypeError when the address is invalid, or there is no WebSocket. */
export type OpenLink = (events: LinkEvents) => Link

/** Chat on a connection of its own. */
export function onPath (options: ClientOptions): OpenLink {
  return events => {
    const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket
    if (WebSocket === undefined) throw new TypeError('No WebSocket here: pass { WebSocket }')
    // Inherits the options instead of copying them: `getToken` may be set later.
    const client = new RealtimeClient(Object.assign(Object.create(options), { WebSocket: listening(WebSocket, events) }))
    client.on('*', envelope => events.onEnvelope(envelope))
    client.onResume(({ recovered }) => { if (!recovered) events.onLost() })
    client.onStatus((_, closed) => { if (closed !== undefined) events.onClosed(closed) })
    return {
      get userId () { return client.ack?.user_id },
      send: (type, data) => client.send(type, data),
      close: () => client.close()
    }
  }
}

/** Chat on the connection of a client. With a server of an earlier version, which has no channels, it gets a connection of its own. */
export function onClient (client: RealtimeClient, userId: string, { workflow, appId, chatId }: ChatIds): OpenLink {
  const chat = { workflow, appId, chatId }
  const openPath = onPath(Object.assign(Object.create(client.options), { userId, chat, share: false }))
  return events => {
    const isChannel = hasChannels(client)
    const link = isChannel ? channelOf(client, chatName(chat, userId), events) : openPath(events)
    const unfollow = client.onStatus(() => { if (hasChannels(client) !== isChannel) events.onLost() })
    return {
      get userId () { return link.userId },
      send: link.send,
      close () {
        unfollow()
        link.close()
      }
    }
  }
}

function channelOf (client: RealtimeClient, name: string, events: LinkEvents): Link {
  const reader = client.read(name, '')
  let replay = new Replay()
  const look = (): void => {
    if (replay.isToldOver()) events.onReplayed()
    else if (replay.isToAsk()) ask(replay)
  }
  const ask = async (asked: Replay): Promise<void> => {
    // Without an answer, the connection is lost or the client is closed.
    await client.request('ping').catch(() => {})
    asked.answered()
    if (asked === replay) look()
  }
  reader.listeners.add(' subscribed', ({ position, recovered, replayed }: ControlMessages['subscribed']) => {
    replay = new Replay()
    replay.start(replayed)
    events.onConnected(parsePosition(position)?.position.epoch, recovered === true)
    look()
  })
  reader.on('*', envelope => {
    events.onEnvelope(envelope)
    if (envelope.id === undefined || replay.isDone) return
    replay.advance()
    look()
  })
  reader.onResume(({ recovered }) => { if (!recovered) events.onLost() })
  reader.onStatus((_, closed) => { if (closed !== undefined) events.onClosed(closed) })
  queueMicrotask(() => {
    if (reader.closed !== undefined) events.onClosed(reader.closed)
    // Another reader reads this channel from its beginning, where it has no publication yet.
    else if (reader.status === 'open') events.onReplayed()
  })
  return {
    get userId () { return client.ack?.user_id },
    send: (type, data) => reader.send(type, data),
    close: () => reader.close()
  }
}
