import { createElement, useEffect, type ReactElement } from 'react'
import { renderToString } from 'react-dom/server'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import type { ClientOptions } from '../../lib/client/index.js'
import type { RealtimeOptions } from '../../lib/index.js'
import { RealtimeProvider, useChat } from '../../lib/react/index.js'
import { eventually, start } from '../harness.js'
import { mount } from './render.js'

type Chat = ReturnType<typeof useChat>

const address = { workflow: 'support', appId: 'shop', userId: 'ada' }

/** An app, and what mounts a component under a provider that is connected to it. */
async function connected (t: Test, options: RealtimeOptions = {}) {
  const { app, url } = await start(t, options)
  const props = { baseUrl: `${url}/ws`, userId: 'ada', WebSocket: WebSocket as unknown as NonNullable<ClientOptions['WebSocket']>, backoff: () => 0 }
  const provided = (...uses: Array<() => void>): ReactElement => createElement(RealtimeProvider, props,
    ...uses.map((use, key) => createElement(function Probe () { use(); return null }, { key })))
  return {
    app,
    provided,
    chats: () => app.ws.connections('ada').filter(({ target }) => target.kind === 'chat').map(({ target }) => (target as { chatId: string }).chatId),
    say: (chatId: string, type: string, data: object) => app.ws.chat({ ...address, chatId }).send({ type, data })
  }
}

t.test('under StrictMode, and in two components, a chat is one connection, which is closed with the last', async t => {
  let opened = 0
  const { app, provided, chats, say } = await connected(t, { onConnect ({ target }) { if (target.kind === 'chat') opened++ } })
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
  t.equal(opened, 1)
})

t.test('another chat is another connection, with nothing of the one before', async t => {
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
  t.ok(seen.every(([chatId, texts]) => texts.length === 0 || texts[0] === (chatId === 'c1' ? 'one' : 'two')), 'no chat shows what is of another')
  await t.rejects(sends.get('c1')!('late'), { code: 'closed' }, 'what was meant for one chat never gets into another')
})

t.test('what is sent is shown at once, also from the first effect', async t => {
  const handled: string[] = []
  const { provided } = await connected(t, {
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
  t.strictSame(handled, ['m1'], 'once, though StrictMode sends it twice')
  unmount()
  await new Promise(resolve => setTimeout(resolve, 5))
  await t.rejects(send('x'), { name: 'RealtimeError', code: 'closed' })
})

t.test('on a server it renders and does not connect', async t => {
  function Probe () {
    const { status, messages } = useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' })
    return createElement('p', null, `${status} ${messages.length}`)
  }
  t.equal(renderToString(createElement(RealtimeProvider, { userId: 'ada' }, createElement(Probe))), '<p>connecting 0</p>')
})
