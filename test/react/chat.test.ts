import { Activity, createElement, useEffect, type ReactElement } from 'react'
import { renderToString } from 'react-dom/server'
import t, { type Test } from 'tap'
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

/** Starts an app, and returns functions that mount a component under a provider that is connected to it. */
async function connected (t: Test, options: RealtimeOptions = {}) {
  const { app, url } = await start(t, options)
  const { WebSocket, made } = countingSockets()
  const props = { baseUrl: `${url}/ws`, userId: 'ada', WebSocket, backoff: () => 0 }
  const provided = (...uses: Array<() => void>): ReactElement => createElement(RealtimeProvider, props,
    ...uses.map((use, key) => createElement(function Probe () { use(); return null }, { key })))
  return {
    app,
    provided,
    /** Number of connections to chats that were ever opened. */
    opened: () => made.filter(path => path.startsWith('/ws/support/')).length,
    chats: () => app.ws.connections('ada').filter(({ target }) => target.kind === 'chat').map(({ target }) => (target as { chatId: string }).chatId),
    say: (chatId: string, type: string, data: object) => app.ws.chat({ ...address, chatId }).send({ type, data })
  }
}

t.test('two components under StrictMode share one connection to a chat, which is closed with the last one', async t => {
  const { app, provided, chats, say, opened } = await connected(t)
  const seen: Chat[] = []
  const use = () => { seen.push(useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' })) }
  const { render, unmount } = mount(t, provided(use, use))
  t.notOk(app.ws.isOnline('ada'))
  await eventually(() => seen.at(-1)?.status === 'ready')
  t.equal(seen[0].status, 'connecting')
  await say('c1', 'chat_delta', { message_id: 'a', at: 0, text: 'Hello' })
  await eventually(() => seen.at(-1)!.messages.length === 1)
  t.match(seen.at(-1)!.items, [{ kind: 'message', text: 'Hello', status: 'streaming' }])
  t.strictSame(chats(), ['c1'])
  render(provided(use))
  await eventually(() => seen.at(-1)?.messages.length === 1)
  t.strictSame(chats(), ['c1'])
  unmount()
  await eventually(() => app.ws.stats().connections === 0)
  t.equal(opened(), 1)
})

t.test('a component that changes its chat gets another connection, and no items of the chat before', async t => {
  const { provided, chats, say } = await connected(t)
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
  await eventually(() => chats().join() === 'c2')
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
  const { app, provided, chats, say, opened } = await connected(t)
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
      t.equal(opened(), 0)
    }
  }
  render(element({}, { userId: undefined }))
  await committed()
  await eventually(() => !app.ws.isOnline('ada'))
  t.equal(seen.at(-1)!.status, 'idle')
  t.equal(opened(), 0)
  render(element({}))
  await eventually(() => seen.at(-1)!.messages.length === 1 && seen.at(-1)!.status === 'ready')
  t.strictSame(chats(), ['c1'])
  render(element({ chatId: undefined }))
  await eventually(() => seen.at(-1)!.status === 'idle' && chats().length === 0)
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

t.test('a component that is hidden and shown again keeps its items, and resumes on another connection', async t => {
  const { app, provided, chats, say } = await connected(t, { history: { size: 10 } })
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
  await eventually(() => chats().length === 0)
  t.ok(app.ws.isOnline('ada'))
  await say('c1', 'chat_message', { message_id: 'm2', content: 'meanwhile' })
  render(element('visible'))
  const from = seen.length
  await eventually(() => seen.at(-1)!.messages.length === 2)
  t.equal(seen.at(-1)!.messages[0], kept, 'the same object')
  t.strictSame([...new Set(seen.slice(from).map(({ messages, status }) => `${messages.length} ${status}`))], ['1 ready', '2 ready'], 'it was never empty')
  await seen.at(-1)!.loadOlder()
})

t.test('a message that is sent right before its component is hidden arrives', async t => {
  const handled: string[] = []
  const { opened, open } = gate()
  const { provided, chats } = await connected(t, {
    chat: {
      save: () => opened,
      onMessage: (_run, { content }) => { handled.push(content) }
    }
  })
  let seen: Chat | undefined
  const { props } = provided() as ReactElement<object>
  function Probe () { seen = useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' }); return null }
  const element = (mode: 'hidden' | 'visible') => createElement(RealtimeProvider, props, createElement(Activity, { mode, children: createElement(Probe) }))
  const { render, committed } = mount(t, element('visible'))
  await eventually(() => seen?.status === 'ready')
  const sent = seen!.send('Hi')
  render(element('hidden'))
  await committed()
  await timersDue()
  t.strictSame([chats(), handled], [['c1'], []], 'the connection is open until the message is answered')
  open()
  await sent
  await eventually(() => chats().length === 0 && handled.length === 1)
})

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
  t.strictSame([loads, opened()], [1, 1])
})

t.test('a closed chat has the close in closed, and retry opens it again', async t => {
  let isAllowed = true
  const { app, provided } = await connected(t, { authorize: (_identity, target) => target.kind === 'chat' ? isAllowed : undefined, authenticate: () => ({ userId: 'ada' }) })
  let seen: Chat | undefined
  mount(t, provided(() => { seen = useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' }) }))
  await eventually(() => seen?.status === 'ready')
  isAllowed = false
  for (const connection of app.ws.connections('ada')) if (connection.target.kind === 'chat') connection.close(4403, 'moved')
  await eventually(() => seen!.status === 'closed')
  t.strictSame(seen!.closed, { code: 4403, reason: 'moved', name: 'FORBIDDEN' })
  isAllowed = true
  seen!.retry()
  await eventually(() => seen!.status === 'ready' && seen!.closed === undefined)
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
