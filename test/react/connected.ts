import { createElement } from 'react'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import type { ClientOptions, WebSocketConstructor } from '../../lib/client/index.js'
import type { RealtimeOptions } from '../../lib/index.js'
import { RealtimeProvider } from '../../lib/react/index.js'
import { start } from '../harness.js'
import { eventually } from '../waiting.js'
import { mount } from './render.js'

type WebSocketOption = NonNullable<ClientOptions['WebSocket']>

/**
 * Returns a WebSocket constructor, the paths of its sockets, which include sockets that the server has not seen yet, and the names of the
 * channels that they subscribed to and unsubscribed from, in order.
 */
export function countingSockets (): { WebSocket: WebSocketConstructor, made: string[], subscribed: string[], unsubscribed: string[] } {
  const made: string[] = []
  const subscribed: string[] = []
  const unsubscribed: string[] = []
  class Socket extends WebSocket {
    constructor (url: string, protocols?: string[]) {
      super(url, protocols)
      made.push(new URL(url).pathname)
    }

    override send (frame: string): void {
      const { type, data } = JSON.parse(frame)
      if (type === 'subscribe') subscribed.push(...data.channels.map(({ channel }: { channel: string }) => channel))
      if (type === 'unsubscribe') unsubscribed.push(...data.channels)
      super.send(frame)
    }
  }
  return { WebSocket: Socket as unknown as WebSocketOption, made, subscribed, unsubscribed }
}

/** Starts an app, and returns functions that mount a component under a provider that is connected to it as user_123. */
export async function connected (t: Test, options: RealtimeOptions = {}) {
  const { app, url, port } = await start(t, options)
  const { WebSocket, ...counts } = countingSockets()
  const props = { baseUrl: `${url}/ws`, userId: 'user_123', WebSocket, backoff: () => 0 }
  const provided = (use: () => void, more: object = {}) =>
    createElement(RealtimeProvider, { ...props, ...more }, createElement(function Probe () { use(); return null }))
  return {
    app,
    port,
    ...counts,
    props,
    provided,
    mounted: (use: () => void, more: object = {}) => mount(t, provided(use, more)),
    online: () => eventually(() => app.ws.isOnline('user_123') === true),
    notify: (title: string) => app.ws.sendToUser('user_123', { type: 'notification', data: { title } })
  }
}
