import t from 'tap'
import { openSource } from '../../../lib/chat/sources/source.js'
import { logSink } from '../../log-sink.js'
import { all, finished, startChat } from '../../chat.js'

const events = (text: string) => new Response(text, { headers: { 'content-type': 'text/event-stream' } })
const streamOf = (...chunks: unknown[]) => new ReadableStream<any>({
  start (controller) {
    for (const chunk of chunks) controller.enqueue(chunk)
    controller.close()
  }
})

t.test('run.stream takes a response of chat completions', async t => {
  const { chat, join } = await startChat(t)
  const client = await join()
  let text = ''
  chat.start(async run => {
    text = await run.stream(events('data: {"choices":[{"delta":{"reasoning_content":"Hm"}}]}\n\ndata: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'), { agent: 'm' })
  })
  t.match(await finished(client), [{ status: 'complete' }])
  t.equal(text, 'Hi')
  t.match(all(client, 'chat_part').filter(({ kind, status }) => kind === 'reasoning' && status !== 'streaming'), [{ text: 'Hm', agent: 'm' }])
  t.match(all(client, 'chat_message').at(-1), { content: 'Hi', status: 'complete' })
})

t.test('run.stream takes a result of the AI SDK', async t => {
  const { chat, join } = await startChat(t)
  const client = await join()
  let text = ''
  const result = {
    toUIMessageStream: () => streamOf(
      { type: 'text-start', id: '1' }, { type: 'text-delta', id: '1', delta: 'Let me see.' }, { type: 'text-end', id: '1' },
      { type: 'tool-input-available', toolCallId: 'c', toolName: 'find', input: {} }, { type: 'tool-output-available', toolCallId: 'c', output: 2 },
      { type: 'text-start', id: '1' }, { type: 'text-delta', id: '1', delta: 'Two.' }, { type: 'text-end', id: '1' })
  }
  chat.start(async run => { text = await run.stream(result) })
  t.match(await finished(client), [{ status: 'complete' }])
  t.equal(text, 'Let me see.\n\nTwo.')
  t.match(all(client, 'tool_output'), [{ call_id: 'c', output: 2 }])
})

t.test('the error of a model is that of the run: a text for users, the cause in the log, and no empty message', async t => {
  const failing = { toUIMessageStream: ({ onError }: any) => streamOf({ type: 'start' }, { type: 'error', errorText: onError(new Error('secret 1')) }) }
  for (const source of [() => failing, () => new Response('secret 1', { status: 500 })]) {
    const { lines, options } = logSink()
    const { chat, join } = await startChat(t, {}, {}, { logger: options })
    const client = await join()
    chat.start(run => run.stream(source()))
    chat.start(run => run.stream(source(), { onError: () => 'Try later.' }))
    t.match(await finished(client, 2), [{ error: { code: 'answer_failed', message: 'The model could not finish this answer' } }, { error: { message: 'Try later.' } }])
    t.strictSame(all(client, 'chat_message'), [])
    t.notMatch(JSON.stringify(client.received), 'secret')
    const logged = lines.filter(line => line.includes('a run failed'))
    t.equal(logged.length, 2)
    for (const line of logged) t.match(line, 'secret 1')
  }
})

t.test('a source without content leaves no message', async t => {
  const { chat, join } = await startChat(t)
  const client = await join()
  for (const source of [streamOf(), streamOf('', { text: '' })]) {
    chat.start(async run => { t.equal(await run.stream(source), '') })
    t.match(await client.next('run_finished'), { data: { status: 'complete' } })
  }
  t.strictSame(all(client, 'chat_message'), [])
})

t.test('the end of a run stops its source', async t => {
  const { chat } = await startChat(t)
  const stopped: string[] = []
  const hanging = (name: string) => new ReadableStream({ pull: () => new Promise(() => {}), cancel () { stopped.push(name) } })
  for (const source of [{ toUIMessageStream: () => hanging('result') }, new Response(hanging('response'), { headers: { 'content-type': 'text/event-stream' } }), hanging('texts')]) {
    const run = chat.start(run => {
      queueMicrotask(() => queueMicrotask(() => run.cancel()))
      return run.stream(source)
    })
    t.equal(await run.finished, 'cancelled')
  }
  await chat.start(() => {}).finished
  t.strictSame(stopped, ['result', 'response', 'texts'])
})

t.test('map turns the events of any source into pieces', async t => {
  const { chat, join } = await startChat(t)
  const client = await join()
  let text = ''
  chat.start(async run => {
    text = await run.stream(streamOf({ token: 'a' }, { ping: true }, { token: 'b' }, { tools: ['x', 'y'] }, { token: 'c' }), {
      map: event => event.tools?.map((name: string) => ({ kind: 'tool' as const, id: name, name, args: {}, output: 1 })) ?? event.token
    })
  })
  t.match(await finished(client), [{ status: 'complete' }])
  t.equal(text, 'ab\n\nc')
  t.match(all(client, 'tool_output'), [{ name: 'x' }, { name: 'y' }])
})

t.test('a value of another type is refused as a source', async t => {
  for (const wrong of [null, undefined, 5, {}, { body: 1 }]) t.throws(() => openSource(wrong as never), /^'stream' takes/)
})
