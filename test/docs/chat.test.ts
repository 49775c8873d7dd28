import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import type { RealtimeOptions } from '../../lib/index.js'
import { connect, start } from '../harness.js'
import { root } from '../root.js'
import { eventually, gate } from '../waiting.js'
import { Declared, namesOf } from './declared.js'
import { Page, post, recorded, refusal } from './page.js'

const page = new Page('docs/chat.md')
const ofClient = new Declared('fastify-realtime/chat')
const ofServer = new Declared('fastify-realtime')

type Connected = Awaited<ReturnType<typeof connect>>

/** Says something in a chat. */
function say (client: Connected, content: string, ref = 'm1'): void {
  client.send({ type: 'chat_message', ref, data: { content } })
}

t.test('the first snippet answers, asks, and shows the same on all devices', async t => {
  const fetch = async () => Response.json([1, 2])
  const { url } = await page.serve(t, 'chat', { globals: { fetch } })
  const phone = await connect(t, `${url}/support/shop/c1/ada`)
  say(phone, 'Hi')
  const { data: { request_id: id } } = await phone.next('input_request') as any
  const laptop = await connect(t, `${url}/support/shop/c1/ada`)
  t.match(await laptop.next('input_request'), { data: { prompt: 'Ship 2 orders?' } })
  laptop.send({ type: 'input_response', ref: 'a1', data: { request_id: id, value: { ship: 'yes' } } })
  t.match(await laptop.next('error'), { ref: 'a1', data: { code: 'bad_value' } })
  laptop.send({ type: 'input_response', ref: 'a2', data: { request_id: id, value: { ship: true } } })
  t.match(await phone.next('input_closed'), { data: { reason: 'answered' } })
  t.match(await phone.next('run_finished'), { data: { ref: 'm1', status: 'complete' } })
  const tablet = await connect(t, `${url}/support/shop/c1/ada`)
  await tablet.next('input_closed')
  t.match(await tablet.next('chat_message'), { data: { agent: 'clerk', content: 'You said: Hi', status: 'complete' } })
})

t.test('the snippet that streams from a model shows its text, stops its request, and fails with it', async t => {
  let signal: AbortSignal | undefined
  // It never ends.
  const body = () => new ReadableStream({ start: controller => controller.enqueue(new TextEncoder().encode('Once ')) })
  const status = { code: 200 }
  const fetch = async (_url: string, init: RequestInit) => {
    signal = init.signal!
    return new Response(body(), { status: status.code })
  }
  const { url } = await page.serve(t, 'stream', { globals: { fetch } })
  const client = await connect(t, `${url}/support/shop/c1/ada`)
  say(client, 'Tell me a story')
  // A delta, or the message so far.
  await client.until(() => client.received.some(({ data }) => (data as { agent?: string } | undefined)?.agent === 'writer'))
  t.equal(signal!.aborted, false)
  client.send({ type: 'chat_cancel', ref: 'c1', data: {} })
  t.match(await client.next('run_finished'), { data: { status: 'cancelled' } })
  t.match(client.received.filter(({ type }) => type === 'chat_message').at(-1), { data: { content: 'Once ', status: 'cancelled' } })
  t.equal(signal!.aborted, true)

  status.code = 503
  say(client, 'Another one', 'm2')
  t.match(await client.next('run_finished'), { data: { status: 'error', error: { code: 'handler_failed' } } })
})

t.test('the snippet that streams a response of chat completions shows its text, and a text of its own when the model fails', async t => {
  const headers = { 'content-type': 'text/event-stream' }
  const responses = [
    new Response('data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n', { headers }),
    new Response('busy', { status: 429 })
  ]
  const { url } = await page.serve(t, 'completions', { globals: { fetch: async () => responses.shift()! } })
  const client = await connect(t, `${url}/support/shop/c1/ada`)
  say(client, 'Hi')
  t.match(await client.next('run_finished'), { data: { status: 'complete' } })
  t.match(client.received.filter(({ type }) => type === 'chat_message').at(-1), { data: { content: 'Hello', status: 'complete' } })
  say(client, 'Hi again', 'm2')
  t.match(await client.next('run_finished'), { data: { error: { code: 'answer_failed', message: 'The model is busy. Try again later.' } } })
})

t.test('the snippet with a function for events shows the tool and the text of each', async t => {
  const { url } = await page.serve(t, 'map')
  const client = await connect(t, `${url}/support/shop/c1/ada`)
  say(client, 'Hi')
  t.match(await client.next('run_finished'), { data: { status: 'complete' } })
  t.match(client.received.filter(({ type }) => type === 'tool_output'), [{ data: { name: 'search', output: 'found' } }])
  t.match(client.received.filter(({ type }) => type === 'chat_message').at(-1), { data: { content: 'You said: Hi', status: 'complete' } })
})

t.test('the snippet with parts shows each of them, and text after a tool is a text of its own', async t => {
  const { url } = await page.serve(t, 'parts')
  const client = await connect(t, `${url}/support/shop/parts/ada`)
  say(client, 'Where is my order?')
  await client.next('run_finished')
  const parts = client.received.filter(({ type }) => type === 'chat_part').map(({ data }) => data as any).filter(({ kind }) => kind !== 'message')
  t.match(parts, [
    { kind: 'reasoning', text: 'The user asks for an order. I need its number.' }, { kind: 'source' }, { kind: 'file' }, { kind: 'data', name: 'map' }
  ])
  t.match(client.received.filter(({ type }) => type === 'tool_output'), [{ data: { call_id: 'call-1', output: [{ order: 'o1' }] } }])
})

t.test('the snippet with a question takes the first answer that matches, and goes on without one', async t => {
  const { url } = await page.serve(t, 'ask')
  for (const [ship, text] of [[true, 'It is on its way.'], [false, 'It stays here.']]) {
    const client = await connect(t, `${url}/support/shop/${ship}/ada`)
    say(client, 'Where is my order?')
    const { data } = await client.next('input_request') as any
    t.match(data, { prompt: 'Ship the order?', component: 'yes-no', schema: { type: 'object' } })
    client.send({ type: 'input_response', ref: 'a1', data: { request_id: data.request_id, value: { ship } } })
    t.match(await client.next('chat_message'), { data: { agent: 'clerk', content: text, status: 'complete' } })
  }
  const hurried = await page.serve(t, 'ask', { replace: { '60_000': '20' } })
  const client = await connect(t, `${hurried.url}/support/shop/c1/ada`)
  say(client, 'Where is my order?')
  t.match(await client.next('input_closed'), { data: { reason: 'timeout' } })
  t.match(await client.next('chat_message'), { data: { content: 'I heard nothing, so it stays here.' } })
})

t.test('the snippet with a tool shows its call, its progress and its output', async t => {
  const { opened, open } = gate()
  t.teardown(() => open())
  const fetch = async (url: string) => {
    await opened
    return Response.json([`an order of ${url}`])
  }
  const { url } = await page.serve(t, 'tool', { globals: { fetch } })
  const client = await connect(t, `${url}/support/shop/c1/ada`)
  say(client, 'What have I ordered?')
  t.match(await client.next('tool_call'), { data: { name: 'find_orders', args: { user: 'ada' }, agent: 'clerk' } })
  t.match(await client.next('tool_progress'), { data: { progress: { page: 1, of: 3 } } })
  open()
  const { data: { status, output } } = await client.next('tool_output') as any
  t.strictSame(output, [1, 2, 3].map(page => `an order of https://shop.example/orders?page=${page}`))
  t.equal(status, 'complete')
  t.match(await client.next('chat_message'), { data: { content: 'You have 3 orders.' } })
})

t.test('the snippet that starts a run from a route answers with its id, and the chat has what it wrote', async t => {
  const { app, url } = await page.mount(t, 'start')
  const { run_id: id } = await post(app, '/users/ada/reports/q1')
  const client = await connect(t, `${url}/reports/shop/q1/ada`)
  t.match(await client.next('chat_message'), { data: { run_id: id, content: 'The summary of q1', status: 'complete' } })
  t.match(await client.next('run_finished'), { data: { run_id: id, ref: 'q1', status: 'complete' } })
})

t.test('the snippet that sends a single message shows it under its own id', async t => {
  const { app, url } = await page.mount(t, 'send')
  const client = await connect(t, `${url}/support/shop/c1/ada`)
  const { id } = await post(app, '/users/ada/parcels/p1')
  t.match(await client.next(), { type: 'chat_message', id, data: { message_id: 'parcel/p1', agent: 'shop', content: 'Your parcel has arrived.' } })
})

t.test('the snippet with a history saves what is finished, and loads it in pages', async t => {
  const { url } = await page.serve(t, 'history')
  const client = await connect(t, `${url}/support/shop/c1/ada`)
  /** The contents of a page of history. */
  const pageBefore = async (before?: string) => {
    client.send({ type: 'chat_history', ref: `before ${before}`, data: { before } })
    const { data } = await client.next('chat_history') as any
    return { contents: data.messages.map(({ content }: { content: string }) => content), isComplete: data.is_complete }
  }
  const refs = Array.from({ length: 12 }, (_, n) => `m${n}`)
  for (const ref of refs) {
    say(client, ref, ref)
    await client.next('run_finished')
  }
  const all = refs.flatMap(ref => [ref, `You said: ${ref}`])
  await eventually(async () => (await pageBefore()).contents.at(-1) === all.at(-1))
  t.strictSame(await pageBefore(), { contents: all.slice(4), isComplete: false })
  t.strictSame(await pageBefore('m2'), { contents: all.slice(0, 4), isComplete: false })
  t.strictSame(await pageBefore('m0'), { contents: [], isComplete: true })
  t.strictSame(await pageBefore('no such message'), { contents: [], isComplete: true })
})

t.test('the snippet that hides an agent shows the other one alone', async t => {
  const { url } = await page.serve(t, 'visible')
  const client = await connect(t, `${url}/support/shop/c1/ada`)
  say(client, 'Is it safe?')
  await client.next('run_finished')
  const shown = client.received.filter(({ type }) => type.startsWith('chat_')).map(({ data }) => data as { agent?: string, content?: string })
  t.strictSame([...new Set(shown.map(({ agent }) => agent))], [undefined, 'clerk'], 'the user and the clerk')
  t.equal(shown.at(-1)!.content, 'Yes, you may ask that.')
})

t.test('the snippet that shares a chat lets its members in, and nobody else', async t => {
  const { url } = await page.serve(t, 'shared')
  const ada = await connect(t, `${url}/support/shop/c1/ada?token=secret-1`)
  const bob = await connect(t, `${url}/support/shop/c1/ada?token=secret-2`)
  say(bob, 'Hi')
  t.match(await ada.next('chat_message'), { data: { message_id: 'bob/m1', user_id: 'bob', content: 'Hi' } })
  t.match(await ada.next('chat_message'), { data: { role: 'assistant', content: 'bob wrote in the chat of ada' } })
  t.equal(await refusal(t, `${url}/support/shop/c1/ada?token=secret-3`), 4403)
  t.equal(await refusal(t, `${url}/support/shop/c2/ada?token=secret-2`), 4403, 'another chat')
  t.equal(await refusal(t, `${url}/support/shop/c1/eve?token=secret-2`), 4403, 'a chat of the same id of another user')
  t.equal(await refusal(t, `${url}/notifications/ada?token=secret-2`), 4403)
})

t.test('the snippets of a page show a chat', async t => {
  const { WebSocket: before } = globalThis as { WebSocket?: unknown }
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => { Object.assign(globalThis, { WebSocket: before }) })

  async function run (t: Test, name: string, options: RealtimeOptions, globals = {}) {
    const { app, port } = await start(t, options)
    const found = await page.run(t, name, { globals, replace: { 'http://localhost:3000': `http://127.0.0.1:${port}` } })
    return { app, ...found }
  }

  t.test('the one with a client shows the message and the answer', async t => {
    const { lines, console } = recorded()
    const onMessage: NonNullable<RealtimeOptions['chat']>['onMessage'] = (run, { content }) => { run.reply().write(`You said: ${content}`) }
    const { app, client } = await run(t, 'chat-client', { chat: { onMessage } }, { console })
    t.teardown(() => client.close())
    await eventually(() => lines.includes('assistant You said: Hi complete'))
    t.ok(lines.includes('user Hi pending') || lines.includes('user Hi complete'))
    t.equal(app.ws.connections().length, 1, 'the chat is on the connection of the client')
  })

  t.test('the one without a client answers a question, and loads older messages', async t => {
    const answers: unknown[] = []
    const { chat, answer, loadOlder } = await run(t, 'create-chat', {
      chat: {
        onMessage: async run => { answers.push(await run.ask({ prompt: 'Ship it?' })) },
        loadHistory: () => []
      }
    })
    t.teardown(() => chat.close())
    await chat.send('Hi')
    await eventually(() => chat.question !== undefined)
    t.equal(chat.question.prompt, 'Ship it?')
    await answer(true)
    t.strictSame(answers, [{ ship: true }])
    t.equal(await loadOlder(), true)
  })
})

/** The names in the table of this header. */
const namesBelow = (heading: string, header: string) => namesOf(page.table(heading, header))

t.test('the table of statuses of a run has all of them', async t => {
  t.strictSame(namesBelow('## Answer a message', '| Status | Cause |'), ofServer.textsOf('Outcome'))
})

t.test('the tables of a chat in a page have all options, members and statuses', async t => {
  const heading = '## Show a chat in a page'
  const ofConnection = new Declared('fastify-realtime/client').membersOf('ClientOptions')
  const own = ofClient.membersOf('ChatOptions').filter(name => !ofConnection.includes(name) || name === 'userId')
  t.strictSame(namesBelow(heading, '| Option | Default | Meaning |'), own)
  t.strictSame(ofConnection.filter(name => !ofClient.membersOf('ChatOptions').includes(name)), ['chat', 'share', 'url'])
  t.strictSame(namesBelow(heading, '| Member of a chat | Meaning |'), ofClient.membersOf('Chat'))
  t.strictSame(namesBelow(heading, '| `chat.status` | Meaning |').filter(name => name !== 'reopen'), ofClient.textsOf('ChatStatus'))
})

t.test('the tables of items have all their fields and the statuses of a message', async t => {
  const heading = '### Items'
  for (const [what, type] of [['message', 'ChatMessage'], ['tool', 'ToolCall'], ['question', 'Question']]) {
    t.strictSame(namesBelow(heading, `| Field of a ${what} | Meaning |`), ofClient.membersOf(type), type)
  }
  t.strictSame(namesBelow(heading, '| Status of a message | Meaning |'), ofClient.textsOfMember('ChatMessage', 'status'))
})

t.test('the tables of the server have all options of a chat, and all members of a run and a reply', async t => {
  t.strictSame(namesBelow('## Options of the server', '| Option | Default | Meaning |'), ofServer.membersOf('ChatOptions'))
  t.strictSame(namesBelow('## Members of a run', '| Member | Meaning |'), ofServer.membersOf('Run'))
  t.strictSame(namesBelow('## Members of a run', '| Member of a reply | Meaning |'), ofServer.membersOf('Reply'))
})

t.test('the table of errors has all with which runs and tools end', async t => {
  const texts = ['run', 'tool'].map(name => readFileSync(join(root, `lib/chat/runs/${name}.ts`), 'utf8')).join('\n')
  const codes = [...texts.matchAll(/(?:code: |#exceed\()'(\w+)'/g)].map(([, code]) => code)
  t.strictSame(namesBelow('## Errors of runs and tools', '| Code | Meaning |'), [...new Set(codes)].sort())
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })
