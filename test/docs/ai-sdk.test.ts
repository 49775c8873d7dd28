import { connect } from '../harness.js'
import { readUIMessageStream, type UIMessage } from 'ai'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import t from 'tap'
import { WebSocket } from 'ws'
import { RealtimeChatTransport } from '../../lib/adapters/ai-sdk.js'
import type { WebSocketConstructor } from '../../lib/client/index.js'
import { start } from '../harness.js'
import { Declared, namesOf } from './declared.js'
import { Page } from './page.js'

const page = new Page('docs/ai-sdk.md')

/** A transport to a server of this test. */
function transportTo (t: { teardown (action: () => unknown): void }, baseUrl: string): RealtimeChatTransport {
  const transport = new RealtimeChatTransport({
    baseUrl, workflow: 'support', appId: 'shop', userId: 'ada', WebSocket: WebSocket as WebSocketConstructor
  })
  t.teardown(() => transport.close())
  return transport
}

/** What the hook sends for a message. */
const sending = (message: UIMessage) => ({
  trigger: 'submit-message' as const, chatId: 'c1', messageId: undefined, messages: [message], abortSignal: undefined
})

const hi: UIMessage = { id: 'm1', role: 'user', parts: [{ type: 'text', text: 'Hi' }] }

t.test('the snippet of the server streams an answer to the transport', async t => {
  const { url } = await page.serve(t, 'server')
  const stream = await transportTo(t, url).sendMessages(sending(hi))
  let last: UIMessage | undefined
  for await (const message of readUIMessageStream({ stream })) last = message
  t.match(last, { role: 'assistant', parts: [{ type: 'text', text: 'You said: Hi', providerMetadata: { 'fastify-realtime': { agent: 'clerk' } } }] })
})

t.test('the snippet of the chat renders', async t => {
  const { Chat } = await page.run(t, 'ai-sdk')
  t.equal(renderToString(createElement(Chat, { id: 'c1' })), '<main><button>Say hello</button></main>')
})

t.test('the snippet of a question renders it, and disables its buttons once it is closed', async t => {
  const { Question } = await page.run(t, 'question')
  const htmlOf = (question: object) => renderToString(createElement(Question, { chatId: 'c1', question }))
  const question = { request_id: 'q1', prompt: 'Ship 2 orders?' }
  t.equal(htmlOf(question), '<fieldset><legend>Ship 2 orders?</legend><button>Yes</button><button>No</button></fieldset>')
  t.match(htmlOf({ ...question, closed: { reason: 'answered' } }), /^<fieldset disabled="">/)
})

t.test('the table has the options that the transport adds to those of the client, and the text those that it leaves out', async t => {
  const options = new Declared('fastify-realtime/ai-sdk').membersOf('OwnConnectionOptions')
  const ofClient = new Declared('fastify-realtime/client').membersOf('ClientOptions')
  const added = options.filter(name => !ofClient.includes(name))
  t.same(namesOf(page.table('## Options of the transport', '| Option | Default | Meaning |')), [...added, 'userId'].sort())
  t.same(ofClient.filter(name => !options.includes(name)), ['chat', 'share', 'url'])
  t.match(page.text, 'except `url`, `chat` and `share`')
})

t.test('the fields in the table of the data are those that chat.onMessage gets', async t => {
  let data: Record<string, unknown> = {}
  const { url } = await start(t, { chat: { onMessage: (_run, message) => { data = message.data } } })
  const message = { ...hi, metadata: { color: 'red' } }
  const request = { ...sending(message), messageId: 'm1', body: { model: 'small' }, metadata: { page: 'home' } }
  for await (const chunk of await transportTo(t, `${url}/ws`).sendMessages(request) as any) t.type(chunk, 'object')
  const first = Object.keys(data)
  for await (const chunk of await transportTo(t, `${url}/ws`).sendMessages({ ...request, trigger: 'regenerate-message' }) as any) t.type(chunk, 'object')
  const rows = page.table('## Read the message on the server', '| Field | Value |').filter(([field]) => field.startsWith('`'))
  t.same([...namesOf(rows), 'content', 'message_id', 'model'].sort(), Object.keys(data).sort())
  t.same(first, Object.keys(data).filter(name => name !== 'repeats'))
  t.match(data, { trigger: 'regenerate-message', repeats: message.id, metadata: { page: 'home' }, ui_message: { metadata: { color: 'red' } }, target_id: 'm1' })
  t.not(data.message_id, 'm1', 'it is a message of its own')
})

t.test('the snippet with streamUI answers', async t => {
  const { url } = await page.serve(t, 'stream-ui')
  const client = await connect(t, `${url}/support/shop/ui/ada`)
  client.send({ type: 'chat_message', ref: 'm1', data: { message_id: 'm1', content: 'hello' } })
  await client.next('run_finished')
  t.match(client.received.filter(({ type }) => type === 'chat_message').at(-1), { data: { content: 'You said: hello' } })
})

t.test('the snippet with a client sends on the connection of the client', async t => {
  const { url } = await page.serve(t, 'server')
  // The snippet is for a page, which has one.
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => { delete (globalThis as { WebSocket?: unknown }).WebSocket })
  const { client, transport } = await page.run(t, 'ai-sdk-client', { replace: { 'http://localhost:3000/ws': url } })
  t.teardown(() => client.close())
  await client.connected()
  for await (const chunk of await transport.sendMessages(sending(hi))) t.not(chunk.type, 'error')
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })
