import { Component, createElement, useEffect, type ReactElement, type ReactNode } from 'react'
import { renderToString } from 'react-dom/server'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import type { ClientOptions } from '../../lib/client/index.js'
import type { RealtimeOptions } from '../../lib/index.js'
import {
  RealtimeProvider, useMessages, useNotifications, useOptimisticList, useRealtime, useReload, useResume, useSend, useStatus
} from '../../lib/react/index.js'
import { fakeClient } from '../../lib/testing/index.js'
import { eventually, start } from '../harness.js'
import { mount } from './render.js'

type WebSocketOption = NonNullable<ClientOptions['WebSocket']>

/** An app, and what mounts a component under a provider that is connected to it. */
async function connected (t: Test, options: RealtimeOptions = {}) {
  const { app, url, port } = await start(t, options)
  const props = { baseUrl: `${url}/ws`, userId: 'user_123', WebSocket: WebSocket as unknown as WebSocketOption, backoff: () => 0 }
  const provided = (use: () => void, more: object = {}) =>
    createElement(RealtimeProvider, { ...props, ...more }, createElement(function Probe () { use(); return null }))
  return {
    app,
    port,
    provided,
    mounted: (use: () => void, more: object = {}) => mount(t, provided(use, more)),
    online: () => eventually(() => app.ws.isOnline('user_123') === true),
    notify: (title: string) => app.ws.sendToUser('user_123', { type: 'notification', data: { title } })
  }
}

t.test('under StrictMode there is one connection, which is closed on unmount, with all that listened', async t => {
  const listening: string[] = []
  const page = {
    addEventListener (event: string) { listening.push(event) },
    removeEventListener (event: string) { listening.splice(listening.indexOf(event), 1) }
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

t.test('what the hooks share is the connection of their provider', async t => {
  const { app, mounted, notify } = await connected(t)
  let seen: ReturnType<typeof useRealtime> | undefined
  mounted(() => { seen = useRealtime() })
  t.equal(seen, undefined)
  await eventually(() => seen?.isConnected === true)
  t.match(seen, { status: 'open' })
  await notify('Hi')
  await eventually(() => seen?.lastMessage !== undefined)
  t.match(seen!.lastMessage, { type: 'notification', data: { title: 'Hi' } })
  app.ws.disconnectUser('user_123')
  await eventually(() => seen?.status === 'closed')
  t.equal(seen!.isConnected, false)
})

t.test('useMessages sees 1,000 messages of one turn, in order, with the handler of the latest render', async t => {
  const { mounted, notify, online } = await connected(t)
  const titles: unknown[] = []
  let ofAny = 0
  let renders = 0
  mounted(() => {
    useRealtime()
    const render = ++renders
    useMessages('notification', data => { titles.push([data!.title, render === renders]) })
    useMessages('*', ({ type }) => { if (type === 'notification') ofAny++ })
  })
  await online()
  await Promise.all(Array.from({ length: 1000 }, (_, n) => notify(`${n}`)))
  await eventually(() => titles.length === 1000)
  t.strictSame(titles, Array.from({ length: 1000 }, (_, n) => [`${n}`, true]))
  t.equal(ofAny, 1000)
  t.ok(renders < 500, `${renders} renders`)
})

t.test('useSend reaches the handler, also from the first effect, and says so when there is no provider any more', async t => {
  const received: unknown[] = []
  const { mounted, online } = await connected(t, { onMessage: { hello: ({ data }) => { received.push(data) } } })
  let send: ReturnType<typeof useSend> | undefined
  const results: unknown[] = []
  const { unmount } = mounted(() => {
    send = useSend()
    const own = send
    useEffect(() => { own('hello', 'first').then(() => results.push('sent'), error => results.push(error)) }, [own])
  })
  await online()
  await eventually(() => results.length === 2)
  t.strictSame(results, ['sent', 'sent'], 'twice, as StrictMode has it')
  await send!('hello', 'second')
  t.strictSame(received, ['first', 'first', 'second'])
  await t.rejects(send!('unknown'), { name: 'RealtimeError', code: 'unknown_type' })
  unmount()
  await new Promise(resolve => setTimeout(resolve, 5))
  await t.rejects(send!('hello'), { name: 'RealtimeError', code: 'closed', message: /not mounted/ })
})

t.test('useNotifications lists, counts and marks', async t => {
  const { app, mounted, notify, online } = await connected(t)
  let bell: ReturnType<typeof useNotifications> | undefined
  let everything: ReturnType<typeof useNotifications> | undefined
  mounted(() => {
    bell = useNotifications()
    everything = useNotifications({ types: ['notification', 'system_announcement'] })
  })
  await online()
  await notify('one')
  await notify('two')
  await app.ws.broadcast({ type: 'system_announcement', message: 'three' })
  await eventually(() => everything?.unread === 3)
  t.strictSame(bell!.notifications.map(({ title }) => title), ['two', 'one'])
  t.strictSame(everything!.notifications.map(({ title }) => title), ['three', 'two', 'one'])
  bell!.markRead(bell!.notifications[1].id)
  await eventually(() => bell?.unread === 1)
  bell!.markRead()
  await eventually(() => bell?.unread === 0)
  t.equal(everything!.unread, 1)
})

t.test('what cannot be recovered is loaded: once connected, and again after a loss', async t => {
  const { app, mounted, notify } = await connected(t, { history: { size: 1 } })
  const resumes: unknown[] = []
  let loads = 0
  let bell: ReturnType<typeof useNotifications> | undefined
  const stored = [{ type: 'notification', id: 'x', timestamp: new Date().toISOString(), data: { title: 'stored' } }]
  mounted(() => {
    useResume(resume => { resumes.push(resume) })
    useReload(async () => { loads++ })
    bell = useNotifications({ load: async () => stored })
  })
  await eventually(() => loads > 0 && bell?.notifications.length === 1)
  t.strictSame(resumes, [])
  const before = loads
  app.ws.disconnectUser('user_123', 4430)
  await Promise.all([notify('1'), notify('2'), notify('3')])
  await eventually(() => resumes.length === 1 && loads > before)
  t.strictSame(resumes, [{ recovered: false }])
  await eventually(() => bell?.notifications.some(({ title }) => title === 'stored') === true)
})

t.test('what is mounted later loads too, once', async t => {
  const { provided, online } = await connected(t)
  let loads = 0
  function Late () {
    useReload(async () => { loads++ })
    return null
  }
  const { props } = provided(() => {}) as ReactElement<object>
  const { render } = mount(t, createElement(RealtimeProvider, props))
  await online()
  render(createElement(RealtimeProvider, props, createElement(Late)))
  await eventually(() => loads > 0)
  await new Promise(resolve => setTimeout(resolve, 20))
  t.equal(loads, 1)
})

t.test('useOptimisticList: an item is there at once, confirmed by answer or push, taken back on failure', async t => {
  interface Task { task_id: string, title: string, client_ref?: string }
  const { app, mounted, online } = await connected(t)
  const push = (data: Task, action = 'created') => app.ws.sendToUser('user_123', { type: 'task_update', action, data: { ...data } })
  let list: ReturnType<typeof useOptimisticList<Task>> | undefined
  mounted(() => {
    list = useOptimisticList<Task>({
      type: 'task_update',
      idOf: task => task.task_id,
      refOf: task => task.client_ref,
      initial: [{ task_id: '0', title: 'zero' }],
      load: async () => [{ task_id: '1', title: 'one' }]
    })
  })
  await online()
  const shown = () => list!.items.map(({ item, isPending }) => `${item.title}${isPending ? '?' : ''}`).join()
  await eventually(() => shown() === 'one')

  let answer: ((task?: Task) => void) | undefined
  const adding = list!.add({ task_id: '', title: 'two' }, async ref => new Promise<Task | void>(resolve => {
    answer = task => resolve(task === undefined ? undefined : { ...task, client_ref: ref })
  }))
  await eventually(() => shown() === 'one,two?')
  answer!({ task_id: '2', title: 'two' })
  await adding
  await eventually(() => shown() === 'one,two')

  await t.rejects(list!.add({ task_id: '', title: 'three' }, async () => { throw new Error('no') }), { message: 'no' })
  await eventually(() => shown() === 'one,two')

  await list!.add({ task_id: '', title: 'four' }, async ref => {
    await push({ task_id: '4', title: 'four', client_ref: ref })
    await eventually(() => shown() === 'one,two,four')
    throw new Error('the answer was lost')
  })
  t.equal(shown(), 'one,two,four', 'and nothing is said of an answer that was not needed')

  await push({ task_id: '2', title: 'two' }, 'deleted')
  await eventually(() => shown() === 'one,four')
  list!.reset([])
  await eventually(() => shown() === '')
})

t.test('another address is another connection, and other state', async t => {
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

t.test('getToken and onError are those of the latest render', async t => {
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
  const { render } = mount(t, element('first'))
  await online()
  render(element('second'))
  await new Promise(resolve => setTimeout(resolve, 20))
  app.ws.disconnectUser('user_123', 4430)
  await eventually(() => asked.length === 2)
  await notify('x')
  await eventually(() => told.length === 2)
  t.strictSame(asked, ['first', 'second'])
  t.match(told, [/^second: closed with 4430/, 'second: of a handler'])
})

t.test('a getToken may come later, and go', async t => {
  let opened = 0
  const { app, provided, online } = await connected(t, { onConnect () { opened++ } })
  let asked = 0
  const element = (more: object) => {
    const { props } = provided(() => {}, more) as ReactElement<object>
    return createElement(RealtimeProvider, props, createElement(Probe))
  }
  function Probe () { return null }
  const { render } = mount(t, element({}))
  await online()
  render(element({ getToken: () => { asked++ } }))
  await new Promise(resolve => setTimeout(resolve, 20))
  app.ws.disconnectUser('user_123', 4401)
  await eventually(() => asked === 1 && opened === 2)
  render(element({}))
  await new Promise(resolve => setTimeout(resolve, 20))
  app.ws.disconnectUser('user_123', 4401)
  await eventually(() => opened === 3)
  t.equal(asked, 1, 'it came back with what a cookie may say by now')
})

t.test('any option may change: nothing is connected anew, and the next attempt has the new ones', async t => {
  let opened = 0
  const queries: unknown[] = []
  const { app, provided, online, notify } = await connected(t, {
    onConnect () { opened++ },
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
  const { render } = mount(t, element({ share: true, queue: 5 }))
  await online()
  const backoff = (n: number) => {
    waits.push(n)
    return 1
  }
  for (const more of [{ share: false, queue: 1 }, { backoff }, { WebSocket: class extends WebSocket {} }, { onError () {} }]) {
    render(element(more))
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  t.equal(opened, 1)
  render(element({ getToken: () => 'secret', tokenIn: 'query', backoff }))
  await new Promise(resolve => setTimeout(resolve, 10))
  app.ws.disconnectUser('user_123', 1013)
  await notify('meanwhile')
  await eventually(() => titles.length === 1)
  t.match(queries.at(-1), { token: 'secret' })
  t.strictSame([titles, opened, waits], [['meanwhile'], 2, [0]])
})

t.test('without a userId nothing is connected, and nothing is thrown', async t => {
  const { app, provided, online } = await connected(t)
  let seen: ReturnType<typeof useRealtime> | undefined
  const use = () => {
    seen = useRealtime()
    useMessages('*', () => {})
    useReload(async () => {})
    useNotifications()
  }
  const { render } = mount(t, provided(use, { userId: undefined }))
  await eventually(() => seen !== undefined)
  await new Promise(resolve => setTimeout(resolve, 20))
  t.match(seen, { status: 'idle', isConnected: false, closed: undefined })
  t.equal(app.ws.stats().connections, 0)
  await t.rejects(seen!.send('x'), { code: 'closed', message: /userId/ })
  render(provided(use))
  await online()
  await eventually(() => seen!.isConnected)
})

t.test('a fake client stands for the connection in a component test', async t => {
  const client = fakeClient('connecting')
  let seen: ReturnType<typeof useRealtime> | undefined
  let bell: ReturnType<typeof useNotifications> | undefined
  const { unmount } = mount(t, createElement(RealtimeProvider, { client }, createElement(function Probe () {
    seen = useRealtime()
    bell = useNotifications()
    return null
  })))
  await eventually(() => seen !== undefined)
  await new Promise(resolve => setTimeout(resolve, 20))
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
  await new Promise(resolve => setTimeout(resolve, 5))
  t.equal(client.status, 'open', 'it is the app that closes it')
})

t.test('it renders on a server, without a WebSocket', async t => {
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

t.test('what is missing is said: a provider, a WebSocket', async t => {
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
  // React says it once more.
  console.error = () => {}
  mount(t, createElement(Boundary, null, createElement(RealtimeProvider, { baseUrl: 'http://localhost/ws', userId: 'user_123' })))
  await eventually(() => caught.length > 0)
  t.match(caught[0], /No WebSocket here/)
})
