import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import t from 'tap'
import { RealtimeProvider, useMessages, useNotifications, useOptimisticList, useRealtime, useResume, useStatus } from '../../lib/react/index.js'

t.test('all hooks render on a server without a WebSocket', async t => {
  function Everything () {
    const { status, isConnected, lastMessage } = useRealtime()
    const { unread } = useNotifications({ load: async () => { throw new Error('not on a server') } })
    const { items } = useOptimisticList<string>({ type: 'x', idOf: String, refOf: () => undefined, initial: ['a', 'b'] })
    useMessages('*', () => {})
    useResume(() => {})
    return createElement('p', null, [status, useStatus(), isConnected, lastMessage === undefined, unread, items.length].join(' '))
  }
  const { WebSocket } = globalThis
  t.teardown(() => Object.assign(globalThis, { WebSocket }))
  Object.assign(globalThis, { WebSocket: undefined })
  t.equal(renderToString(createElement(RealtimeProvider, { userId: 'user_123' }, createElement(Everything))),
    '<p>connecting connecting false true 0 2</p>')
})
