import { Activity, createElement, memo, useEffect, type ReactElement } from 'react'
import { renderToString } from 'react-dom/server'
import t from 'tap'
import type { RealtimeClient } from '../../lib/client/index.js'
import { RealtimeProvider, usePresence, type Member, type PresenceOfChat, type ShownPresence } from '../../lib/react/index.js'
import { fakeClient } from '../../lib/testing/index.js'
import { eventually } from '../waiting.js'
import { mount } from './render.js'

const member = (userId: string, data?: unknown): Member => ({ userId, connections: [{ id: userId, data }] })
const chat = { workflow: 'support', appId: 'shop', chatId: 'c1' }

/** A component that shows who is present, and records each render. */
function recorder () {
  const shown: ShownPresence[] = []
  function Board ({ id }: { id: string | undefined }) {
    shown.push(usePresence('board', id))
    return null
  }
  function Chat ({ of }: { of: PresenceOfChat }) {
    shown.push(usePresence(of))
    return null
  }
  return { shown, Board, Chat, now: () => shown.at(-1)! }
}

const provider = (client: RealtimeClient, ...children: ReactElement[]) => createElement(RealtimeProvider, { client }, ...children)

t.test('a component shows who is present, and renders once for changes of the same frame of the screen', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const { shown, Board, now } = recorder()
  await mount(t, provider(client, createElement(Board, { id: 'b1' }))).committed()
  t.match(shown[0], { members: [], count: 0, isStale: true })
  const fake = client.channelOf('board', 'b1')
  for (let n = 0; n < 100; n++) fake.setPresence([member('ada', n), member('bob')])
  const renders = shown.length
  await eventually(() => now().count === 2)
  t.match(now(), { members: [{ userId: 'ada', connections: [{ data: 99 }] }, { userId: 'bob' }], isStale: false })
  // StrictMode renders twice.
  t.equal(shown.length - renders, 2)
})

t.test('unchanged members are the same objects, the result is the same without a change, and too many are only counted', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const { Board, now } = recorder()
  const element = () => provider(client, createElement(Board, { id: 'b1' }))
  const { render, committed } = mount(t, element())
  await committed()
  const fake = client.channelOf('board', 'b1')
  fake.setPresence([member('ada'), member('bob')])
  await eventually(() => now().count === 2)
  const before = now()
  render(element())
  await committed()
  t.equal(now(), before)
  fake.setPresence([member('ada', 1), member('bob')])
  await eventually(() => now() !== before)
  t.not(now().members[0], before.members[0])
  t.equal(now().members[1], before.members[1])
  t.equal(now().update, before.update)
  const { members } = now()
  client.channelOf('board', 'b1').setStatus('waiting')
  await eventually(() => now().isStale)
  t.equal(now().members, members)
  fake.setStatus('open')
  fake.setPresence([], { count: 10_000 })
  await eventually(() => now().count === 10_000)
  t.strictSame(now().members, [])
})

t.test('update sends the own data, also from an effect before the channel is open, and after the component has left', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const { Board, now } = recorder()
  const Early = memo(function Early () {
    const { update } = usePresence('board', 'b1')
    useEffect(() => update({ typing: true }), [update])
    return null
  })
  const { unmount, committed } = mount(t, provider(client, createElement(Early), createElement(Board, { id: 'b1' })))
  await committed()
  const { sent } = client.channelOf('board', 'b1') as ReturnType<typeof fakeClient>
  t.match(sent, [{ type: 'presence', data: { typing: true } }])
  unmount()
  now().update(undefined)
  await eventually(() => sent.length === 2)
  t.match(sent[1], { type: 'presence', data: undefined })
})

t.test('another id shows nothing of the channel before, and an unknown one nobody', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const { Board, now } = recorder()
  const element = (id: string | undefined) => provider(client, createElement(Board, { id }))
  const { render, committed } = mount(t, element('b1'))
  await committed()
  client.channelOf('board', 'b1').setPresence([member('ada')])
  await eventually(() => now().count === 1)
  render(element('b2'))
  await committed()
  t.match(now(), { members: [], count: 0, isStale: true })
  client.channelOf('board', 'b2').setPresence([member('bob'), member('cid')])
  await eventually(() => now().count === 2)
  render(element(undefined))
  await committed()
  t.match(now(), { members: [], count: 0, isStale: true })
  now().update({ x: 1 })
  client.channelOf('board', 'b2').setPresence([])
  t.equal(now().count, 0)
})

t.test('a chat has presence, too, and shows nothing while one of its ids is unknown', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const { Chat, now } = recorder()
  const element = (chatId: string | undefined) => provider(client, createElement(Chat, { of: { ...chat, chatId } }))
  const { render, committed } = mount(t, element(undefined))
  await committed()
  t.equal(now().isStale, true)
  t.throws(() => client.connectionOf(chat), /not opened/)
  render(element('c1'))
  await committed()
  const fake = client.connectionOf(chat)
  fake.setPresence([member('ada', { typing: true })])
  await eventually(() => now().count === 1)
  now().update({ typing: false })
  t.match(fake.sent, [{ type: 'presence', data: { typing: false } }])
})

t.test('a component that <Activity> hides for a moment shows the same members again, and sends its data once', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const { Board, Chat, now, shown } = recorder()
  const element = (mode: 'visible' | 'hidden') => provider(client, createElement(Activity, {
    mode, children: [createElement(Board, { key: 1, id: 'b1' }), createElement(Chat, { key: 2, of: chat })]
  }))
  const { render, committed } = mount(t, element('visible'))
  await committed()
  const fakes = [client.channelOf('board', 'b1'), client.connectionOf(chat)]
  for (const fake of fakes) fake.setPresence([member('ada')])
  await eventually(() => shown.slice(-4).every(({ count }) => count === 1))
  for (const each of shown.slice(-4)) each.update('x')
  const members = now().members
  render(element('hidden'))
  await committed()
  render(element('visible'))
  await committed()
  t.equal(now().members, members)
  for (const fake of fakes) t.match(fake.sent, [{ type: 'presence', data: 'x' }])
})

t.test('a page that is rendered on a server shows nobody, and a wrong kind throws', async t => {
  const { Board, now } = recorder()
  const client = fakeClient()
  t.teardown(() => client.close())
  renderToString(provider(client, createElement(Board, { id: 'b1' })))
  t.match(now(), { members: [], count: 0, isStale: true })
  function Wrong () {
    usePresence('Board', 'b1')
    return null
  }
  t.throws(() => renderToString(provider(client, createElement(Wrong))), { name: 'TypeError' })
})
