import { Component, createElement, type ReactElement, type ReactNode } from 'react'
import { renderToString } from 'react-dom/server'
import t from 'tap'
import { WebSocket } from 'ws'
import { RealtimeProvider, useMessages, useNotifications, useRealtime, useReload, useStatus } from '../../lib/react/index.js'
import { fakeClient } from '../../lib/testing/index.js'
import { eventually, timersDue } from '../waiting.js'
import { connected } from './connected.js'
import { mount } from './render.js'

t.test('a provider under StrictMode opens one connection, and an unmount closes it and removes all listeners', async t => {
  let listening: string[] = []
  const page = {
    addEventListener (event: string) { listening.push(event) },
    removeEventListener (event: string) { listening = listening.filter((_event, at) => at !== listening.indexOf(event)) }
  }
  Object.assign(globalThis, page)
  t.teardown(() => Object.assign(globalThis, { addEventListener: undefined, removeEventListener: undefined }))
  let opened = 0
  const { app, mounted } = await connected(t, { onConnect () { opened++ } })
  const states: string[] = []
  const { unmount } = mounted(() => { states.push(useStatus()) })
  await eventually(() => states.at(-1) === 'open')
  t.equal(states[0], 'connecting')
  t.equal(opened, 1)
  t.strictSame(listening, ['online', 'pageshow', 'pagehide', 'resume', 'freeze', 'visibilitychange'])
  unmount()
  await eventually(() => app.ws.stats().connections === 0)
  t.equal(opened, 1)
  t.strictSame(listening, [])
})

t.test('a provider with another address opens another connection, with empty state', async t => {
  const { app, provided, online, notify } = await connected(t)
  let bell: ReturnType<typeof useNotifications> | undefined
  const use = () => { bell = useNotifications() }
  const { render } = mount(t, provided(use))
  await online()
  await notify('for user_123')
  await eventually(() => bell?.unread === 1)
  render(provided(use, { userId: 'user_456' }))
  await eventually(() => app.ws.isOnline('user_456') && !app.ws.isOnline('user_123'))
  t.strictSame(bell!.notifications, [])
})

t.test('a provider uses getToken and onError of the latest render', async t => {
  const { app, provided, online, notify } = await connected(t)
  const asked: string[] = []
  const told: string[] = []
  const use = () => useMessages('notification', () => { throw new Error('of a handler') })
  const props = (name: string) => ({ getToken: () => { asked.push(name) }, onError: (error: Error) => { told.push(`${name}: ${error.message}`) } })
  function Probe () { use(); return null }
  const element = (name: string) => {
    const { props: own } = provided(() => {}, props(name)) as ReactElement<object>
    return createElement(RealtimeProvider, own, createElement(Probe))
  }
  const { render, committed } = mount(t, element('first'))
  await online()
  render(element('second'))
  await committed()
  app.ws.disconnectUser('user_123', 4430)
  await eventually(() => asked.length === 2)
  await notify('x')
  await eventually(() => told.length === 2)
  t.strictSame(asked, ['first', 'second'])
  t.match(told, [/^second: closed with 4430/, 'second: of a handler'])
})

t.test('getToken can be set and removed by later renders', async t => {
  let opened = 0
  const { app, provided, online } = await connected(t, { onConnect () { opened++ } })
  let asked = 0
  const element = (more: object) => {
    const { props } = provided(() => {}, more) as ReactElement<object>
    return createElement(RealtimeProvider, props, createElement(Probe))
  }
  function Probe () { return null }
  const { render, committed } = mount(t, element({}))
  await online()
  render(element({ getToken: () => { asked++ } }))
  await committed()
  app.ws.disconnectUser('user_123', 4401)
  await eventually(() => asked === 1 && opened === 2)
  render(element({}))
  await committed()
  app.ws.disconnectUser('user_123', 4401)
  await eventually(() => opened === 3)
  t.equal(asked, 1, 'it reconnected without a token, because a cookie may be new')
})

t.test('changed options do not reconnect, and apply to the next attempt', async t => {
  const queries: unknown[] = []
  const { app, provided, online, notify, made } = await connected(t, {
    authenticate (request) {
      queries.push(request.query)
      return { userId: 'user_123' }
    }
  })
  const titles: unknown[] = []
  const waits: number[] = []
  function Probe () { useMessages('notification', data => { titles.push(data.title) }); return null }
  const element = (more: object) => {
    const { props } = provided(() => {}, more) as ReactElement<object>
    return createElement(RealtimeProvider, props, createElement(Probe))
  }
  const { render, committed } = mount(t, element({ share: true, queue: 5 }))
  await online()
  const backoff = (n: number) => {
    waits.push(n)
    return 1
  }
  for (const more of [{ share: false, queue: 1 }, { backoff }, { WebSocket: class extends WebSocket {} }, { onError () {} }]) {
    render(element(more))
    await committed()
    await timersDue()
  }
  t.equal(made.length, 1)
  render(element({ getToken: () => 'secret', tokenIn: 'query', backoff }))
  await committed()
  app.ws.disconnectUser('user_123', 1013)
  await notify('meanwhile')
  await eventually(() => titles.length === 1)
  t.match(queries.at(-1), { token: 'secret' })
  t.strictSame([titles, made.length, waits], [['meanwhile'], 2, [0]])
})

t.test('a provider without a userId is idle, and connects once it has one', async t => {
  const { provided, online, made } = await connected(t)
  let seen: ReturnType<typeof useRealtime> | undefined
  const use = () => {
    seen = useRealtime()
    useMessages('*', () => {})
    useReload(async () => {})
    useNotifications()
  }
  const { render, committed } = mount(t, provided(use, { userId: undefined }))
  await committed()
  await timersDue()
  t.match(seen, { status: 'idle', isConnected: false, closed: undefined })
  t.strictSame(made, [])
  await t.rejects(seen!.send('x'), { code: 'closed', message: /userId/ })
  render(provided(use))
  await online()
  await eventually(() => seen!.isConnected)
})

t.test('a fake client takes the place of the connection in a component test', async t => {
  const client = fakeClient('connecting')
  let seen: ReturnType<typeof useRealtime> | undefined
  let bell: ReturnType<typeof useNotifications> | undefined
  const { committed, unmount } = mount(t, createElement(RealtimeProvider, { client }, createElement(function Probe () {
    seen = useRealtime()
    bell = useNotifications()
    return null
  })))
  await committed()
  client.setStatus('open')
  client.emit('notification', { title: 'Hi' })
  await eventually(() => bell?.unread === 1 && seen?.isConnected === true)
  const sent = seen!.send('vote', 1)
  await eventually(() => client.sent.length === 1)
  client.sent[0].ack()
  await sent
  client.setStatus('closed', 4403)
  await eventually(() => seen!.status === 'closed')
  t.match(seen!.closed, { code: 4403, name: 'FORBIDDEN' })
  seen!.retry()
  await eventually(() => seen!.status === 'open')
  unmount()
  await timersDue()
  await t.rejects(seen!.send('vote', 2), { code: 'closed', message: /not mounted/ })
  t.equal(client.status, 'open', 'only the app closes its client')
})

t.test('a missing provider and a missing WebSocket throw errors that name them', async t => {
  function Alone () {
    useStatus()
    return null
  }
  t.throws(() => renderToString(createElement(Alone)), /Put <RealtimeProvider userId="…"> around/)

  class Boundary extends Component<{ children: ReactNode }> {
    override state = { hasFailed: false }
    static getDerivedStateFromError = () => ({ hasFailed: true })
    override componentDidCatch = (error: Error) => { caught.push(error.message) }
    override render = () => this.state.hasFailed ? null : this.props.children
  }
  const caught: string[] = []
  const { WebSocket } = globalThis
  const { error } = console
  t.teardown(() => Object.assign(globalThis, { WebSocket }) && Object.assign(console, { error }))
  Object.assign(globalThis, { WebSocket: undefined })
  // React logs the error too.
  console.error = () => {}
  mount(t, createElement(Boundary, null, createElement(RealtimeProvider, { baseUrl: 'http://localhost/ws', userId: 'user_123' })))
  await eventually(() => caught.length > 0)
  t.match(caught[0], /No WebSocket here/)
})
