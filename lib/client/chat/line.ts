import type { ClientChannel } from '../channels/channels.js'
import { frameOf } from '../channels/roster.js'
import { RealtimeClient, type ClientOptions } from '../client.js'
import { closedError } from '../error.js'
import { listeners } from '../listeners.js'

/** Connection of a chat: a client of its own, or a channel on the connection of another client. */
export type Line = Pick<RealtimeClient, 'status' | 'closed' | 'ack' | 'on' | 'onStatus' | 'onResume' | 'send' | 'close' | 'reopen' | 'wake'>

/** Error of messages that are unanswered when a chat is closed. */
const ended = () => closedError({ code: 1000, reason: '' })

/**
 * Opens a chat on the connection of a client. A server without channels, from before they existed, gets a connection for the chat.
 * `options`: of that connection.
 */
export function openLine (client: RealtimeClient, options: ClientOptions & { chat: NonNullable<ClientOptions['chat']> }): Line {
  const { workflow, appId, chatId } = options.chat
  const name = `chat:${workflow}/${appId}/${chatId}/${options.userId}`
  const events = listeners(error => (options.onError ?? console.error)(error))
  let channel: ClientChannel | undefined
  /** Client of a server without channels. */
  let own: RealtimeClient | undefined
  let unbind: Array<() => void> = []
  let hasClosed = false
  /** Position up to which the chat was read when it was closed. */
  let since = ''

  const relay = (of: ClientChannel['listeners']['add']): void => {
    unbind = [
      of('*', envelope => {
        events.tell(envelope.type, envelope.data, envelope)
        events.tell('*', envelope)
      }),
      of('presence', data => events.tell('presence', data)),
      of(' status', (...status) => events.tell(' status', ...status)),
      of(' resume', resume => events.tell(' resume', resume))
    ]
  }
  const leave = (): void => {
    for (const remove of unbind) remove()
    since = channel?.since ?? ''
    channel?.release()
    own?.close()
    channel = own = undefined
  }
  const join = (): void => {
    channel = client.open(name, since)
    relay(channel.listeners.add)
  }
  const unbindClient = client.onStatus(status => {
    if (status !== 'open' || hasClosed) return
    const hasChannels = !!client.ack!.limits?.channels
    if (hasChannels && own) events.tell(' resume', { recovered: false })
    else if (!hasChannels && channel) {
      leave()
      own = new RealtimeClient(Object.assign(Object.create(client.options), options))
      relay((event, listener) => event === '*' ? own!.on('*', listener) : event === ' status' ? own!.onStatus(listener) : own!.onResume(listener))
    }
  })
  join()
  return {
    get status () { return hasClosed ? 'closed' : (own ?? channel!).status },
    get closed () { return hasClosed ? ended().closed : (own ?? channel!).closed },
    get ack () { return (own ?? client).ack },
    on: (event: string, listener: (...args: any[]) => unknown) => events.add(event, listener),
    onStatus: listener => events.add(' status', listener),
    onResume: listener => events.add(' resume', listener),
    async send (type, data, options) {
      if (hasClosed) throw ended()
      if (own) return own.send(type, data, options)
      await client.request(type, data, { ...options, channel: name })
    },
    close () {
      if (hasClosed) return
      hasClosed = true
      client.refuse(name, ended())
      leave()
      unbindClient()
      events.tell(' status', 'closed', ended().closed)
    },
    reopen () {
      if (!hasClosed) return own ? own.reopen() : channel!.reopen()
      hasClosed = false
      join()
      const { status, presence } = channel!
      events.tell(' status', status, undefined)
      // The channel may have been open all along.
      if (status === 'open') events.tell('presence', frameOf(presence.snapshot()))
    },
    wake: () => (own ?? client).wake()
  }
}
