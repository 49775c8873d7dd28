import { Activity, createElement, Fragment, useEffect, type ReactElement } from 'react'
import { renderToString } from 'react-dom/server'
import t, { type Test } from 'tap'
import { createClient as createChatClient } from '../../lib/client/chat/index.js'
import { createClient as createPlainClient, type ClientOptions } from '../../lib/client/index.js'
import type { RealtimeOptions } from '../../lib/index.js'
import { RealtimeProvider, useChat, type ChatProps } from '../../lib/react/index.js'
import { fakeClient } from '../../lib/testing/index.js'
import { every } from '../every.js'
import { start } from '../harness.js'
import { eventually, gate, timersDue } from '../waiting.js'
import { countingSockets } from './connected.js'
import { mount } from './render.js'

type Chat = ReturnType<typeof useChat>

const address = { workflow: 'support', appId: 'shop', userId: 'ada' }

const chatIdOf = (channel: string): string => channel.split('/')[2]

/** Starts an app, and returns functions that mount a component under a provider that is connected to it. */
async function connected (t: Test, options: RealtimeOptions = {}) {
  const { app, url } = await start(t, options)
  const { WebSocket, made, subscribed, unsubscribed } = countingSockets()
  const props = { baseUrl: `${url}/ws`, userId: 'ada', WebSocket, backoff: () => 0 }
  const provided = (...uses: Array<() => void>): ReactElement => createElement(RealtimeProvider, props,
    ...uses.map((use, key) => createElement(function Probe () { use(); return null }, { key })))
  return {
    app,
    provided,
    made,
    /** Ids of the chats that were subscribed to, in order. */
    opened: () => subscribed.map(chatIdOf),
    /** Ids of the chats that were unsubscribed from, in order. */
    left: () => unsubscribed.map(chatIdOf),
    say: (chatId: string, type: string, data: object) => app.ws.chat({ ...address, chatId }).send({ type, data })
  }
}

t.test('two components under StrictMode share one subscription to a chat, on the connection of the provider', async t => {
  const { app, provided, made, say, opened } = await connected(t)
  const seen: Chat[] = []
  const use = () => { seen.push(useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' })) }
  const { render, unmount } = mount(t, provided(use, use))
  t.notOk(app.ws.isOnline('ada'))
  await eventually(() => seen.at(-1)?.status === 'ready')
  t.equal(seen[0].status, 'connecting')
  await say('c1', 'chat_delta', { message_id: 'a', at: 0, text: 'Hello' })
  await eventually(() => seen.at(-1)!.messages.length === 1)
  t.match(seen.at(-1)!.items, [{ kind: 'message', text: 'Hello', status: 'streaming' }])
  render(provided(use))
  await eventually(() => seen.at(-1)?.messages.length === 1)
  t.strictSame(opened(), ['c1'])
  unmount()
  await eventually(() => app.ws.stats().connections === 0)
  t.strictSame(made, ['/ws/notifications/ada'])
})

t.test('a component that changes its chat shows no items of the chat before, which is unsubscribed after 5 s', async t => {
  const { provided, made, opened, left, say } = await connected(t)
  await say('c1', 'chat_message', { message_id: 'm1', content: 'one' })
  await say('c2', 'chat_message', { message_id: 'm2', content: 'two' })
  let chatId = 'c1'
  const seen: Array<[string, string[]]> = []
  const sends = new Map<string, Chat['send']>()
  function Probe () {
    const { messages, send } = useChat({ workflow: 'support', appId: 'shop', chatId })
    seen.push([chatId, messages.map(({ text }) => text)])
    sends.set(chatId, send)
    return null
  }
  const { props } = provided() as ReactElement<object>
  const { render } = mount(t, createElement(RealtimeProvider, props, createElement(Probe)))
  await eventually(() => seen.at(-1)?.[1].length === 1)
  chatId = 'c2'
  render(createElement(RealtimeProvider, props, createElement(Probe)))
  await eventually(() => seen.at(-1)?.[1][0] === 'two')
  await eventually(() => left().length > 0)
  t.strictSame([opened(), left(), made.length], [['c1', 'c2'], ['c1'], 1])
  t.ok(every(seen, ([chatId, texts]) => texts.length === 0 || texts[0] === (chatId === 'c1' ? 'one' : 'two')), 'no chat shows items of another')
  await t.rejects(sends.get('c1')!('late'), { code: 'closed' }, 'send of one chat never sends to another')
})

t.test('a message that is sent in the first effect is shown at once, and handled once', async t => {
  const handled: string[] = []
  const { app, provided } = await connected(t, {
    chat: {
      onMessage: (run, { id }) => {
        handled.push(id)
        return new Promise(resolve => run.signal.addEventListener('abort', resolve))
      }
    }
  })
  const seen: Chat[] = []
  const { unmount } = mount(t, provided(() => {
    const chat = useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' })
    seen.push(chat)
    const { send } = chat
    useEffect(() => { send('Hi', { id: 'm1' }).catch(() => {}) }, [send])
  }))
  await eventually(() => seen.at(-1)?.messages[0]?.status === 'complete')
  const states = [...new Set(seen.map(({ messages }) => messages.map(({ text, status }) => `${text}: ${status}`).join()))]
  t.strictSame(states, ['', 'Hi: pending', 'Hi: complete'])
  const { send, stop, loadOlder } = seen.at(-1)!
  await eventually(() => seen.at(-1)!.status === 'streaming')
  await stop()
  await eventually(() => seen.at(-1)!.status === 'ready')
  await t.resolveMatch(loadOlder(), true)
  t.strictSame(handled, ['m1'], 'once, although StrictMode sends it twice')
  unmount()
  await eventually(() => app.ws.stats().connections === 0)
  await t.rejects(send('x'), { name: 'RealtimeError', code: 'closed' })
})

t.test('useChat renders on a server without a connection', async t => {
  function Probe () {
    const { status, messages } = useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' })
    return createElement('p', null, `${status} ${messages.length}`)
  }
  t.equal(renderToString(createElement(RealtimeProvider, { userId: 'ada' }, createElement(Probe))), '<p>connecting 0</p>')
})

t.test('a chat with an unknown id is idle without a connection, and connects once the id is known', async t => {
  const { app, provided, say, opened } = await connected(t)
  await say('c1', 'chat_message', { message_id: 'm1', content: 'one' })
  const seen: Chat[] = []
  const { props } = provided() as ReactElement<object>
  function Probe (target: ChatProps) { seen.push(useChat(target)); return null }
  const element = (target: Partial<ChatProps>, more: object = {}) => createElement(RealtimeProvider, { ...props, ...more },
    createElement(Probe, { workflow: 'support', appId: 'shop', chatId: 'c1', ...target }))
  const { render, committed } = mount(t, element({ chatId: undefined }, { userId: undefined }))
  for (const missing of [{ workflow: undefined }, { appId: undefined }, { chatId: undefined }]) {
    for (const user of [{}, { userId: undefined }]) {
      render(element(missing, user))
      await committed()
      await timersDue()
      t.match(seen.at(-1), { status: 'idle', connection: 'idle', items: [] }, JSON.stringify([missing, user]))
      await t.rejects(seen.at(-1)!.send('x'), { code: 'closed' })
      seen.at(-1)!.retry()
      t.strictSame(opened(), [])
    }
  }
  render(element({}, { userId: undefined }))
  await committed()
  await eventually(() => !app.ws.isOnline('ada'))
  t.equal(seen.at(-1)!.status, 'idle')
  t.strictSame(opened(), [])
  render(element({}))
  await eventually(() => seen.at(-1)!.messages.length === 1 && seen.at(-1)!.status === 'ready')
  t.strictSame(opened(), ['c1'])
  render(element({ chatId: undefined }))
  await eventually(() => seen.at(-1)!.status === 'idle')
})

t.test('a provider that gets its userId keeps the state of its children, and one that loses it does not', async t => {
  const { provided } = await connected(t)
  const { props } = provided() as ReactElement<object>
  let mounts = 0
  const seen: Chat[] = []
  function Probe () {
    useEffect(() => { mounts++ }, [])
    seen.push(useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' }))
    return null
  }
  const { render } = mount(t, createElement(RealtimeProvider, { ...props, userId: undefined }, createElement(Probe)))
  await eventually(() => seen.at(-1)?.status === 'idle' && mounts === 2)
  const before = mounts
  render(createElement(RealtimeProvider, props, createElement(Probe)))
  await eventually(() => seen.at(-1)!.status === 'ready')
  t.equal(mounts, before)
  // Signing out mounts the children again.
  render(createElement(RealtimeProvider, { ...props, userId: undefined }, createElement(Probe)))
  await eventually(() => seen.at(-1)!.status === 'idle' && mounts > before)
})

t.test('a component that is hidden and shown again keeps its items, and resumes after it was unsubscribed', async t => {
  const { provided, made, opened, left, say } = await connected(t)
  const seen: Chat[] = []
  const { props } = provided() as ReactElement<object>
  function Probe () { seen.push(useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' })); return null }
  const element = (mode: 'hidden' | 'visible') => createElement(RealtimeProvider, props, createElement(Activity, { mode, children: createElement(Probe) }))
  const { render } = mount(t, element('visible'))
  await eventually(() => seen.at(-1)?.status === 'ready')
  await say('c1', 'chat_message', { message_id: 'm1', content: 'before' })
  await eventually(() => seen.at(-1)!.messages.length === 1)
  const [kept] = seen.at(-1)!.messages
  render(element('hidden'))
  await eventually(() => left().length === 1)
  await say('c1', 'chat_message', { message_id: 'm2', content: 'meanwhile' })
  render(element('visible'))
  const from = seen.length
  await eventually(() => seen.at(-1)!.messages.length === 2)
  t.equal(seen.at(-1)!.messages[0], kept, 'the same object')
  t.strictSame([...new Set(seen.slice(from).map(({ messages, status }) => `${messages.length} ${status}`))], ['1 ready', '2 ready'], 'it was never empty')
  t.strictSame([opened(), made.length], [['c1', 'c1'], 1])
  await seen.at(-1)!.loadOlder()
})

for (const what of ['component', 'provider']) {
  t.test(`a message that is sent right before its ${what} is hidden arrives, and gets its answer`, async t => {
    const handled: string[] = []
    const { opened, open } = gate()
    const { app, provided } = await connected(t, {
      chat: {
        save: () => opened,
        onMessage: (_run, { content }) => { handled.push(content) }
      }
    })
    let seen: Chat | undefined
    const { props } = provided() as ReactElement<object>
    function Probe () { seen = useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' }); return null }
    const isWhole = what === 'provider'
    const element = (mode: 'hidden' | 'visible') => isWhole
      ? createElement(Activity, { mode, children: createElement(RealtimeProvider, props, createElement(Probe)) })
      : createElement(RealtimeProvider, props, createElement(Activity, { mode, children: createElement(Probe) }))
    const { render, committed } = mount(t, element('visible'))
    await eventually(() => seen?.status === 'ready')
    const sent = seen!.send('Hi')
    render(element('hidden'))
    await committed()
    await timersDue()
    t.strictSame([app.ws.isOnline('ada'), handled], [true, []], 'the connection is open until the message is answered')
    open()
    await sent
    await eventually(() => app.ws.isOnline('ada') !== isWhole && handled.length === 1)
  })
}

t.test('a change of the option history keeps the chat, and loads the history once', async t => {
  let loads = 0
  const { provided, opened } = await connected(t, {
    chat: { onMessage () {}, loadHistory () { loads++; return [{ message_id: 'm0', role: 'user', content: 'old', status: 'complete', timestamp: '2026-01-01T00:00:00.000Z' }] } }
  })
  const seen: Chat[] = []
  const { props } = provided() as ReactElement<object>
  function Probe ({ history }: { history: boolean }) { seen.push(useChat({ workflow: 'support', appId: 'shop', chatId: 'c1', history })); return null }
  const element = (history: boolean) => createElement(RealtimeProvider, props, createElement(Probe, { history }))
  const { render, committed } = mount(t, element(false))
  await eventually(() => seen.at(-1)?.status === 'ready')
  t.equal(loads, 0)
  render(element(true))
  await eventually(() => seen.at(-1)!.messages.length === 1)
  for (const history of [false, true]) {
    render(element(history))
    await committed()
  }
  await seen.at(-1)!.send('earlier requests are answered first')
  t.strictSame([loads, opened()], [1, ['c1']])
})

t.test('a closed chat has the close in closed, and retry opens it again', async t => {
  let isAllowed = false
  const { provided } = await connected(t, { authorize: (_identity, target) => target.kind === 'chat' ? isAllowed : undefined, authenticate: () => ({ userId: 'ada' }) })
  let seen: Chat | undefined
  const { props } = provided() as ReactElement<object>
  function Probe () { seen = useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' }); return null }
  const errors: unknown[] = []
  mount(t, createElement(RealtimeProvider, { ...props, onError: error => errors.push(error) }, createElement(Probe)))
  await eventually(() => seen?.status === 'closed')
  t.strictSame(seen!.closed, { code: 4403, reason: 'forbidden', name: 'FORBIDDEN' })
  t.match(errors, [{ code: 'forbidden' }])
  isAllowed = true
  seen!.retry()
  await eventually(() => seen!.status === 'ready' && seen!.closed === undefined)
})

t.test('a chat is closed with the connection of the provider, and retry opens both again', async t => {
  const { app, provided, made } = await connected(t)
  let seen: Chat | undefined
  const { props } = provided() as ReactElement<object>
  function Probe () { seen = useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' }); return null }
  mount(t, createElement(RealtimeProvider, { ...props, onError () {} }, createElement(Probe)))
  await eventually(() => seen?.status === 'ready')
  app.ws.disconnectUser('ada')
  await eventually(() => seen!.status === 'closed')
  t.match(seen!.closed, { code: 4403 })
  seen!.retry()
  await eventually(() => seen!.status === 'ready')
  t.equal(made.length, 2)
})

for (const [name, createClient] of Object.entries({ 'fastify-realtime/client': createPlainClient, 'fastify-realtime/chat': createChatClient })) {
  t.test(`chats use the connection of an app's own client of ${name}`, async t => {
    const { provided, made, opened, say } = await connected(t)
    const { props } = provided() as ReactElement<ClientOptions>
    const client = createClient({ ...props })
    t.teardown(() => client.close())
    const seen: Chat[] = []
    function Probe () { seen.push(useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' })); return null }
    // Two providers of one client share its chats.
    const providers = [1, 2].map(key => createElement(RealtimeProvider, { key, client }, createElement(Probe)))
    const { unmount } = mount(t, createElement(Fragment, null, ...providers))
    await eventually(() => seen.at(-1)?.status === 'ready')
    await say('c1', 'chat_message', { message_id: 'm1', content: 'one' })
    await eventually(() => seen.at(-1)!.messages.length === 1)
    t.strictSame([made, opened()], [['/ws/notifications/ada'], ['c1']])
    unmount()
    await timersDue()
    t.equal(client.status, 'open')
  })
}

t.test('below a provider on the path of a chat, another chat has a connection of its own', async t => {
  const { provided, made, opened, say } = await connected(t)
  const { props } = provided() as ReactElement<object>
  const seen: Chat[] = []
  function Probe () { seen.push(useChat({ workflow: 'support', appId: 'shop', chatId: 'c2' })); return null }
  mount(t, createElement(RealtimeProvider, { ...props, chat: { workflow: 'support', appId: 'shop', chatId: 'c1' } }, createElement(Probe)))
  await eventually(() => seen.at(-1)?.status === 'ready')
  await say('c2', 'chat_message', { message_id: 'm1', content: 'two' })
  await eventually(() => seen.at(-1)!.messages.length === 1)
  t.strictSame(made.toSorted(), ['/ws/support/shop/c1/ada', '/ws/support/shop/c2/ada'])
  t.strictSame(opened(), [])
})

t.test('a chat that is mounted again within 5 s shows the same messages, and is ready', async t => {
  const { provided, made, say } = await connected(t)
  const seen: Chat[] = []
  const { props } = provided() as ReactElement<object>
  function Probe () { seen.push(useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' })); return null }
  const element = (key: string) => createElement(RealtimeProvider, props, createElement(Probe, { key }))
  const { render, committed } = mount(t, element('first'))
  await eventually(() => seen.at(-1)?.status === 'ready')
  for (const key of ['second', 'third']) {
    render(createElement(RealtimeProvider, props))
    await committed()
    await timersDue()
    const from = seen.length
    render(element(key))
    await eventually(() => seen.length > from && seen.at(-1)!.status === 'ready')
    if (key === 'second') await say('c1', 'chat_message', { message_id: 'm1', content: 'one' })
    await eventually(() => seen.at(-1)!.messages.length === 1)
  }
  await seen.at(-1)!.stop()
  t.equal(made.length, 1)
})

t.test('a fake client lets a component test control a chat', async t => {
  const client = fakeClient()
  let seen: Chat | undefined
  mount(t, createElement(RealtimeProvider, { client }, createElement(function Probe () {
    seen = useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' })
    return null
  })))
  await eventually(() => seen?.status === 'ready')
  const server = client.connectionOf({ workflow: 'support', appId: 'shop', chatId: 'c1' })
  server.emit('chat_delta', { message_id: 'a', at: 0, text: 'Hello' })
  await eventually(() => seen!.messages[0]?.text === 'Hello')
  const sent = seen!.send('Hi', { id: 'm1' })
  t.match(server.sent, [{ type: 'chat_message', data: { message_id: 'm1', content: 'Hi' } }])
  server.sent[0].fail('chat_busy')
  await t.rejects(sent, { code: 'chat_busy' })
  server.setStatus('closed', 4403)
  await eventually(() => seen!.status === 'closed')
  t.match(seen!.closed, { code: 4403 })
})
