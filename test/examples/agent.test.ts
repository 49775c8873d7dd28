import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { agentFrom, historyBefore, type Agent } from '../../examples/agent.js'
import { chatCompletions } from '../../examples/chat-completions.js'
import { scriptedAgent } from '../../examples/scripted-agent.js'
import { build } from '../../examples/server.js'
import type { Envelope, Messages } from '../../lib/index.js'
import { connect } from '../harness.js'
import { eventually, gate, loopTurns } from '../waiting.js'
import { found } from '../every.js'

const key = 'sk-secret-0123456789'

interface Said {
  role: string
  content: string | null
  tool_calls?: unknown[]
  tool_call_id?: string
}

interface Request {
  url?: string
  authorization?: string
  body: { model: string, stream: boolean, messages: Said[], tools: Array<{ function: { name: string } }> }
  response: ServerResponse
  /** Whether its client has disconnected. */
  isGone: boolean
}

/** Starts a server in place of that of a model. `answer` may break the protocol. */
async function modelServer (t: Test, answer: (request: Request) => unknown) {
  const requests: Request[] = []
  const server = createServer(async (incoming: IncomingMessage, response) => {
    const { url, headers: { authorization } } = incoming
    const request: Request = { url, authorization, body: JSON.parse(await text(incoming)), response, isGone: false }
    response.on('close', () => { request.isGone = true })
    requests.push(request)
    await answer(request)
  })
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { requests, baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` }
}

/** Starts the demo with an agent and a client in a chat, and collects its log. */
async function chat (t: Test, agent: Agent) {
  let log = ''
  const app = await build({ agent, server: { logger: { level: 'error', stream: { write: (line: string) => { log += line } } } } })
  t.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = await connect(t, `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/ws/support/shop/c1/ada`)
  let sent = 0
  return {
    app,
    client,
    log: () => log,
    send: (content: string) => client.send({ type: 'chat_message', data: { message_id: `m${++sent}`, content } }),
    of: <T extends keyof Messages & string>(type: T) => client.received.filter(({ type: own }) => own === type).map(({ data }) => data as NonNullable<Envelope<T>['data']>)
  }
}

type Chat = Awaited<ReturnType<typeof chat>>

/** Text that a client saw while the answer was written. */
const streamed = ({ client }: Chat) => client.received.map(({ type, data }) => {
  const { role, status, content, text } = data as { role?: string, status?: string, content?: string, text?: string }
  if (type === 'chat_delta') return text
  return type === 'chat_message' && role === 'assistant' && status === 'streaming' ? content : ''
}).join('')
const answers = ({ of }: Chat) => of('chat_message').filter(({ role, status }) => role === 'assistant' && status !== 'streaming')
const delta = (delta: object, reason: string | null = null) => `data: ${JSON.stringify({ choices: [{ delta, finish_reason: reason }] })}\n\n`
const event = (content: string) => delta({ content })
const last = delta({}, 'stop')
const begin = ({ response }: Request) => response.writeHead(200, { 'content-type': 'text/event-stream' })

t.test('agentFrom returns a model or a script, depending on the environment', async t => {
  t.match(agentFrom({}), { isScripted: true, name: /script/ })
  t.match(agentFrom({ OPENAI_BASE_URL: '', OPENAI_API_KEY: '', OPENAI_MODEL: 'x' }), { isScripted: true })
  t.match(agentFrom({ OPENAI_API_KEY: key }), { isScripted: false, name: 'gpt-4o-mini' })
  t.match(agentFrom({ OPENAI_BASE_URL: 'http://localhost:1/v1', OPENAI_MODEL: 'x' }), { isScripted: false, name: 'x' })
  t.throws(() => agentFrom({ OPENAI_BASE_URL: 'no address' }), { name: 'TypeError', message: /OPENAI_BASE_URL/ })
})

t.test('a model gets the conversation, and its answer is streamed, whatever its chunks are', async t => {
  const said = 'Grüße 👩‍👩‍👧‍👦 und €, “so”\nzwei'
  const { baseUrl, requests } = await modelServer(t, async request => {
    begin(request)
    const usage = `data: ${JSON.stringify({ choices: [], usage: { total_tokens: 3 } })}\n\n`
    const role = `data: ${JSON.stringify({ choices: [{ delta: { role: 'assistant', content: null } }] })}\r\n\r\n`
    const bytes = Buffer.from(`: ping\n\n${role}${[...said].map(event).join('')}${last}${usage}data: [DONE]\n\n`)
    for (let at = 0; at < bytes.length; at += 7) {
      if (!request.response.write(bytes.subarray(at, at + 7))) await once(request.response, 'drain')
      await loopTurns()
    }
    request.response.end()
  })
  for (const OPENAI_BASE_URL of [baseUrl, `${baseUrl}/`]) {
    const one = await chat(t, agentFrom({ OPENAI_BASE_URL, OPENAI_API_KEY: key, OPENAI_MODEL: 'tiny' }))
    t.strictSame((await one.app.inject('/api/agent')).json(), { name: 'tiny', is_scripted: false })
    one.send('Hallo')
    t.match(await one.client.next('run_finished'), { data: { status: 'complete' } })
    t.equal(streamed(one), said)
    t.match(answers(one), [{ content: said, status: 'complete', agent: 'tiny' }])
    one.send('Noch einmal')
    await one.client.next('run_finished')
  }
  t.equal(requests.length, 4)
  for (const { url, authorization, body } of requests) {
    t.equal(url, '/v1/chat/completions')
    t.equal(authorization, `Bearer ${key}`)
    t.match(body, { model: 'tiny', stream: true })
  }
  const told = requests[3].body.messages
  t.equal(told[0].role, 'system')
  t.strictSame(told.slice(1), [
    { role: 'user', content: 'Hallo' }, { role: 'assistant', content: said }, { role: 'user', content: 'Noch einmal' }
  ])
})

t.test('the history of a message ends before it, and that of a repeated one before the message that it repeats', async t => {
  const history = ['m1', '/a1', 'm2', 'm3', '/a2'].map(id => ({ message_id: id, role: id.startsWith('/') ? 'assistant' : 'user', content: '', timestamp: '' }))
  const idsBefore = (id: string, data = {}) => historyBefore({ id, content: '', userId: 'ada', data }, history).map(({ message_id: id }) => id)
  t.strictSame(idsBefore('m2'), ['m1', '/a1', '/a2'], 'without a message that waits behind it')
  t.strictSame(idsBefore('m2~1', { repeats: 'm2' }), ['m1', '/a1'])
  t.strictSame(idsBefore('m2', { repeats: 'm1' }), ['m1', '/a1', '/a2'], 'it was saved: its text differs')
})

t.test('without OPENAI_API_KEY no key is sent', async t => {
  const { baseUrl, requests } = await modelServer(t, request => begin(request).end(`${event('Hi')}${last}`))
  const one = await chat(t, agentFrom({ OPENAI_BASE_URL: baseUrl }))
  one.send('Hallo')
  t.match(await one.client.next('run_finished'), { data: { status: 'complete' } })
  t.equal(requests[0].authorization, undefined)
  t.match(answers(one), [{ content: 'Hi' }])
})

for (const [status, times] of [[401, 1], [429, 3], [500, 3]]) {
  t.test(`a model that answers ${status} fails the run, and the log has the reason without the key`, async t => {
    const { baseUrl, requests } = await modelServer(t, ({ response, authorization }) => {
      response.writeHead(status, { 'retry-after-ms': '1', 'x-secret': key }).end(`{"error":"no: ${authorization}"}`)
    })
    const one = await chat(t, agentFrom({ OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: key }))
    one.send('Hallo')
    t.match(await one.client.next('run_finished'), { data: { status: 'error', error: { code: 'answer_failed' } } })
    t.strictSame(answers(one), [])
    t.equal(requests.length, times)
    await eventually(() => one.log() !== '')
    t.match(one.log(), `the model answered ${status}: {`)
    t.notMatch(one.log(), key)
    t.notMatch(JSON.stringify(one.client.received), `answered ${status}`)
  })
}

const breaks: Array<[string, (request: Request) => unknown, RegExp]> = [
  ['ends early', request => begin(request).end(event('Half an ans')), /broke off/],
  ['is cut off', request => begin(request).write(event('Half an ans'), () => setImmediate(() => request.response.destroy())), /terminated/],
  ['reports an error', request => begin(request).end(`${event('Half an ans')}data: {"error":{"message":"overloaded"}}\n\n`), /the model failed: overloaded/],
  ['is not JSON', request => begin(request).end(`${event('Half an ans')}data: {"choi\n\n`), /JSON/]
]
for (const [how, answer, reason] of breaks) {
  t.test(`a run fails when the answer of the model ${how}`, async t => {
    const { baseUrl } = await modelServer(t, answer)
    const one = await chat(t, agentFrom({ OPENAI_BASE_URL: baseUrl }))
    one.send('Hallo')
    t.match(await one.client.next('run_finished'), { data: { status: 'error' } })
    t.match(answers(one), [{ content: 'Half an ans', status: 'error' }])
    await eventually(() => one.log() !== '')
    t.match(one.log(), reason)
  })
}

t.test('a cancel aborts the request before and during the answer, and the next request contains the text so far', async t => {
  const { baseUrl, requests } = await modelServer(t, request => {
    if (requests.length === 1) return
    if (requests.length === 2) begin(request).write(event('So far'))
    else begin(request).end(`${event('Yes')}${last}data: [DONE]\n\n`)
  })
  const one = await chat(t, agentFrom({ OPENAI_BASE_URL: baseUrl }))
  one.send('first')
  await eventually(() => requests.length === 1)
  one.client.send({ type: 'chat_cancel' })
  t.match(await one.client.next('run_finished'), { data: { status: 'cancelled' } })
  await eventually(() => requests[0].isGone)

  one.send('second')
  await eventually(() => streamed(one) === 'So far')
  // Both wait behind the run that is cancelled. The first of them then starts at once.
  for (const text of ['third', 'fourth']) {
    one.send(text)
    await eventually(() => one.of('chat_message').some(({ content }) => content === text))
  }
  one.client.send({ type: 'chat_cancel', data: { ref: 'm2' } })
  t.match(await one.client.next('run_finished'), { data: { status: 'cancelled' } })
  await eventually(() => requests[1].isGone)
  for (let n = 0; n < 2; n++) t.match(await one.client.next('run_finished'), { data: { status: 'complete' } })
  t.match(answers(one), [{ content: 'So far', status: 'cancelled' }, { content: 'Yes', status: 'complete' }, { content: 'Yes' }])
  const told = (n: number) => requests[n].body.messages.slice(1).map(({ content }) => content)
  t.strictSame(told(1), ['first', 'second'])
  t.strictSame(told(2), ['first', 'second', 'So far', 'third'], 'without the message that waits behind it')
  t.strictSame(told(3), ['first', 'second', 'third', 'So far', 'Yes', 'fourth'], 'in the order in which they were saved')
  t.equal(one.log(), '', 'a cancel is not a failure')
})

t.test('a model thinks, calls tools whose input grows, and answers with their outputs', async t => {
  const call = (call: object) => delta({ tool_calls: [call] })
  const grown = gate()
  const { baseUrl, requests } = await modelServer(t, async request => {
    begin(request)
    if (requests.length > 1) return request.response.end(`${event('Both are packed.')}${last}data: [DONE]\n\n`)
    request.response.write([
      delta({ reasoning_content: 'Two ' }), delta({ reasoning: 'orders.', content: '' }), event('I look. '),
      call({ index: 0, id: 'a', function: { name: 'find_order', arguments: '' } }),
      call({ index: 0, function: { arguments: '{"number":' } })
    ].join(''))
    await grown.opened
    request.response.end([
      call({ index: 0, id: 'a', function: { arguments: '"A-100"}' } }),
      // Some servers give each call the same index, or none.
      call({ index: 0, id: 'b', function: { name: 'find_order', arguments: '{"number":"B-200"}' } }),
      call({ id: 'c', function: { name: 'find_order', arguments: '{"number":"?"}' } }), call({ id: 'd', function: { name: 'guess' } }),
      delta({}, 'tool_calls'),
      `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 5, completion_tokens_details: { reasoning_tokens: 2 } } })}\n\n`,
      'data: [DONE]\n\n'
    ].join(''))
  })
  const one = await chat(t, agentFrom({ OPENAI_BASE_URL: baseUrl }))
  one.send('Where are A-100 and B-200?')
  await eventually(() => one.of('chat_part').some(({ part_id: id, text }) => id === 'a' && text === '{"number":'))
  grown.open()
  t.match(await one.client.next('run_finished'), { data: { status: 'complete' } })
  const thoughts = one.of('chat_part').filter(({ kind }) => kind === 'reasoning')
  t.match(thoughts.at(-1), { status: 'complete', text: 'Two orders.' })
  const calls = one.of('tool_call').toSorted((a, b) => a.call_id < b.call_id ? -1 : 1)
  t.match(calls, [{ call_id: 'a', name: 'find_order', args: { number: 'A-100' } }, { call_id: 'b', args: { number: 'B-200' } }])
  const outputs = Object.fromEntries(one.of('tool_output').map(output => [output.call_id, output]))
  t.match(outputs, {
    a: { status: 'complete', output: { number: 'A-100', items: 3 } }, b: { output: { number: 'B-200' } }, c: { error: { code: 'invalid_input' } }, d: { name: 'guess', status: 'error' }
  })
  t.match(answers(one), [{ content: 'I look. ' }, { content: 'Both are packed.', status: 'complete' }])
  const [first, second] = requests.map(({ body }) => body)
  t.strictSame(first.tools.map(({ function: { name } }) => name), ['find_order', 'book_courier'])
  t.match(second.messages.slice(2), [
    { role: 'assistant', content: 'I look. ', tool_calls: [{ id: 'a', type: 'function', function: { name: 'find_order', arguments: '{"number":"A-100"}' } }, {}, {}, {}] },
    { role: 'tool', tool_call_id: 'a', content: '{"number":"A-100","items":3,"status":"packed"}' }, { tool_call_id: 'b' },
    { tool_call_id: 'c', content: /Expected string to match/ }, { tool_call_id: 'd', content: /unavailable tool/ }
  ])
  t.equal(one.log(), '')
})

t.test('book_courier runs when the user approves it', async t => {
  const { baseUrl, requests } = await modelServer(t, request => {
    begin(request)
    const isAnswered = request.body.messages.at(-1)!.role === 'tool'
    const input = JSON.stringify({ number: 'A-100' })
    request.response.end(isAnswered ? `${event('Done.')}${last}` : delta({ tool_calls: [{ function: { name: 'book_courier', arguments: input } }] }, 'tool_calls'))
  })
  const one = await chat(t, agentFrom({ OPENAI_BASE_URL: baseUrl }))
  for (const [n, approved] of [true, false].entries()) {
    one.send('Hurry!')
    const { data } = await one.client.next('input_request')
    t.match(data, { component: 'tool-approval', prompt: 'Run book_courier?' })
    one.client.send({ type: 'input_response', data: { request_id: data!.request_id, value: { approved } } })
    t.match(await one.client.next('run_finished'), { data: { status: 'complete' } })
    t.match(one.of('tool_output')[n], approved ? { status: 'complete', output: { booking: 'C-A-100' } } : { status: 'error', error: { code: 'denied' } })
  }
  t.match(requests.at(-1)!.body.messages.slice(1), [
    { role: 'user' }, { tool_calls: [{}] }, { role: 'tool', content: '{"booking":"C-A-100"}' }, { role: 'assistant', content: 'Done.' },
    { role: 'user' }, { tool_calls: [{}] }, { role: 'tool', content: /denied/ }
  ])
})

t.test('after a run is cancelled in thoughts, in the input of a tool or before an approval, the model still gets a valid conversation', async t => {
  const call = (input: string) => delta({ tool_calls: [{ index: 0, id: 'c', function: { name: 'book_courier', arguments: input } }] })
  const phases: Array<[string, string, boolean]> = [
    [delta({ reasoning: 'Hm' }), 'Hm', false], [call('{"numb'), '{\\"numb', false], [call('{"number":"A-100"}') + delta({}, 'tool_calls'), 'input_request', true]
  ]
  for (const [answer, sign, isWhole] of phases) {
    const { baseUrl, requests } = await modelServer(t, request => {
      begin(request)
      if (requests.length > 1) request.response.end(`${event('Yes')}${last}`)
      else if (isWhole) request.response.end(answer)
      else request.response.write(answer)
    })
    const one = await chat(t, agentFrom({ OPENAI_BASE_URL: baseUrl }))
    one.send('first')
    await eventually(() => JSON.stringify(one.client.received).includes(sign))
    one.client.send({ type: 'chat_cancel' })
    t.match(await one.client.next('run_finished'), { data: { status: 'cancelled' } })
    one.send('second')
    t.match(await one.client.next('run_finished'), { data: { status: 'complete' } }, sign)
    const { messages } = requests[1].body
    const called = messages.flatMap(({ tool_calls: calls = [] }) => calls.map(call => (call as { id: string }).id))
    const answered = messages.flatMap(({ tool_call_id: id }) => id === undefined ? [] : [id])
    t.strictSame(answered, called, `${sign}: each call has an answer`)
    t.strictSame(found(messages, ({ content, tool_calls: calls }) => !content && calls === undefined), [], `${sign}: no message is empty`)
    t.equal(messages.at(-1)!.content, 'second')
    t.equal(one.log(), '')
  }
})

t.test('the language model maps the settings, messages and finish reasons of the AI SDK, and only streams', async t => {
  const { baseUrl, requests } = await modelServer(t, request => begin(request).end(requests.length > 1 ? last : `${event('Hi')}${delta({}, 'eos')}`))
  const model = chatCompletions({ baseUrl, model: 'tiny' })
  const prompt: Parameters<typeof model.doStream>[0]['prompt'] = [
    { role: 'user', content: [{ type: 'text', text: 'Hi' }, { type: 'file', mediaType: 'image/png', data: { type: 'data', data: 'AA==' } }] },
    { role: 'assistant', content: [{ type: 'reasoning', text: 'Hm' }] },
    {
      role: 'tool',
      content: [
        { type: 'tool-result', toolCallId: 'a', toolName: 'x', output: { type: 'text', value: 'one' } },
        { type: 'tool-result', toolCallId: 'b', toolName: 'x', output: { type: 'execution-denied' } },
        { type: 'tool-approval-response', approvalId: 'c', approved: true }
      ]
    }
  ]
  const partsOf = async (stream: ReadableStream<object>) => {
    const parts: object[] = []
    for await (const part of stream) parts.push(part)
    return parts
  }
  const tool = { type: 'function', name: 'x', inputSchema: { type: 'object' } } as const
  const { stream } = await model.doStream({ prompt, tools: [tool], toolChoice: { type: 'tool', toolName: 'x' }, maxOutputTokens: 5, stopSequences: ['.'] })
  const parts = await partsOf(stream)
  t.match(parts.at(-1), { type: 'finish', finishReason: { unified: 'other', raw: 'eos' } })
  t.match(requests[0].body, {
    messages: [{ role: 'user', content: 'Hi' }, { role: 'tool', tool_call_id: 'a', content: 'one' }, { tool_call_id: 'b', content: /denied/ }],
    tools: [{ type: 'function', function: { name: 'x' } }],
    tool_choice: { type: 'function', function: { name: 'x' } },
    max_tokens: 5,
    stop: ['.']
  })
  t.equal(requests[0].body.messages.length, 3)
  const second = await model.doStream({ prompt })
  t.match((await partsOf(second.stream)).at(-1), { finishReason: { unified: 'stop', raw: 'stop' } })
  t.equal(requests[1].body.tools, undefined)
  await t.rejects(async () => await model.doGenerate({ prompt }), /in one piece/)
})

const atOnce = scriptedAgent({ pause: async (_ms, signal) => signal.throwIfAborted() })

t.test('the script looks up the order, asks a question, quotes the message and says that it is a script', async t => {
  const one = await chat(t, atOnce)
  t.match((await one.app.inject('/api/agent')).json(), { name: /script/, is_scripted: true })
  one.send('Where is Z-987? 👩‍👩‍👧‍👦')
  const { data: question } = await one.client.next('input_request')
  t.match(one.of('tool_call'), [{ name: 'find_order', args: { number: 'Z-987' } }])
  t.match(one.of('tool_output'), [{ status: 'complete', output: { number: 'Z-987' } }])
  t.match(question, { component: 'buttons', schema: { anyOf: [{ const: 'express', title: /Express/ }, { const: 'standard' }, { const: 'pickup' }] } })
  const answer = (value: unknown) => one.client.send({ type: 'input_response', ref: String(value), data: { request_id: question!.request_id, value } })
  answer('by balloon')
  t.match(await one.client.next('error'), { data: { code: 'bad_value' } })
  answer('pickup')
  t.match(await one.client.next('run_finished'), { data: { status: 'complete' } })
  const [{ content }] = answers(one)
  t.match(content, 'scripted agent')
  t.match(content, '“Where is Z-987? 👩‍👩‍👧‍👦”')
  t.match(content, 'waits for you at the counter')
  t.ok(content.length > 1_000)
  t.notMatch(content, /[*_#`]{2}|^[-#>]/m)
})

t.test('the script quotes the first 300 characters of a long message, and splits none', async t => {
  const one = await chat(t, atOnce)
  for (const unit of ['x', '👍', '👩‍👩‍👧‍👦']) {
    one.send(unit.repeat(1_000))
    const { data } = await one.client.next('input_request')
    one.client.send({ type: 'input_response', data: { request_id: data!.request_id, value: 'pickup' } })
    await one.client.next('run_finished')
    const quoted = /“(.*)…”/s.exec(answers(one).at(-1)!.content)?.[1] ?? ''
    t.equal(quoted, unit.repeat(300))
  }
})

t.test('the script uses standard shipping without an answer, and fails when the run is over', async t => {
  const { signal } = new AbortController()
  const answer = async (code: string, shipping?: string) => {
    let text = ''
    const write = (token: string) => { text += token }
    const part = { write, end: async () => {} }
    const call = { id: 't', write () {}, call: async () => {}, progress: async () => {}, output: async () => {}, fail: async () => {} }
    const reply = {
      step () {},
      data () {},
      source () {},
      file () {},
      end: async () => {},
      reasoning: () => ({ ...part, write () {} }),
      addText: () => part,
      call: () => call
    }
    const ask = async ({ component }: { component: string }) => {
      if (component === 'buttons' && shipping !== undefined) return shipping
      throw Object.assign(new Error(code), { code })
    }
    await atOnce.answer({ signal, reply: () => reply, ask } as never, { id: 'm', content: 'Hi', userId: 'ada', data: {} }, [])
    return text
  }
  t.match(await answer('RT_ERR_NO_ANSWER'), 'in three days')
  t.match(await answer('RT_ERR_NO_ANSWER', 'express'), 'in three days', 'without an approval')
  await t.rejects(answer('RT_ERR_RUN_ENDED'), { code: 'RT_ERR_RUN_ENDED' })
})
