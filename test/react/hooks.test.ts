import { createElement, useEffect, type ReactElement } from 'react'
import t from 'tap'
import { RealtimeProvider, useMessages, useNotifications, useRealtime, useReload, useResume, useSend } from '../../lib/react/index.js'
import { eventually, timersDue } from '../waiting.js'
import { connected } from './connected.js'
import { mount } from './render.js'

t.test('useRealtime returns the status and the latest message of the connection of the provider', async t => {
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

t.test('useMessages gets 1,000 messages of one turn in order, with the handler of the latest render', async t => {
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

t.test('send of useSend works from the first effect on, and rejects after the provider is unmounted', async t => {
  const received: unknown[] = []
  const { app, mounted, online } = await connected(t, { onMessage: { hello: ({ data }) => { received.push(data) } } })
  let send: ReturnType<typeof useSend> | undefined
  const results: unknown[] = []
  const { unmount } = mounted(() => {
    send = useSend()
    const own = send
    useEffect(() => { own('hello', 'first').then(() => results.push('sent'), error => results.push(error)) }, [own])
  })
  await online()
  await eventually(() => results.length === 2)
  t.strictSame(results, ['sent', 'sent'], 'twice, because of StrictMode')
  await send!('hello', 'second')
  t.strictSame(received, ['first', 'first', 'second'])
  await t.rejects(send!('unknown'), { name: 'RealtimeError', code: 'unknown_type' })
  unmount()
  await eventually(() => app.ws.stats().connections === 0)
  await t.rejects(send!('hello'), { name: 'RealtimeError', code: 'closed', message: /not mounted/ })
})

t.test('useNotifications lists notifications, counts the unread ones and marks them as read', async t => {
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

t.test('useReload and useNotifications load once connected, and again after a loss', async t => {
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

t.test('a component that is mounted later loads once', async t => {
  const { provided, online } = await connected(t)
  let loads = 0
  function Late () {
    useReload(async () => { loads++ })
    return null
  }
  const { props } = provided(() => {}) as ReactElement<object>
  const { render, committed } = mount(t, createElement(RealtimeProvider, props))
  await online()
  render(createElement(RealtimeProvider, props, createElement(Late)))
  await committed()
  await eventually(() => loads > 0)
  await timersDue()
  t.equal(loads, 1)
})
