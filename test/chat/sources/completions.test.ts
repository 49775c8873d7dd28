import t from 'tap'
import { CompletionParts, isResponse } from '../../../lib/chat/sources/completions.js'
import type { AnswerPart, ModelResponse } from '../../../lib/index.js'

const headers = { 'content-type': 'text/event-stream; charset=utf-8' }
const events = (...data: unknown[]) => data.map(each => `data: ${typeof each === 'string' ? each : JSON.stringify(each)}\n\n`).join('')
const delta = (delta: object, more: object = {}) => ({ choices: [{ index: 0, delta, ...more }] })
const stop = delta({}, { finish_reason: 'stop' })
const respond = (...data: unknown[]) => new Response(events(...data), { headers })

/** Parts until the end or the error. */
async function read (response: ModelResponse): Promise<{ parts: AnswerPart[], error?: string }> {
  const completion = new CompletionParts(response)
  const parts: AnswerPart[] = []
  try {
    for (let next = await completion.next(); next.done !== true; next = await completion.next()) parts.push(next.value)
    return { parts }
  } catch (error) {
    return { parts, error: (error as Error).message }
  }
}

t.test('reasoning, text, refusals and the usage', async t => {
  t.strictSame(await read(respond(
    delta({ role: 'assistant', content: '' }), delta({ reasoning_content: 'Hm' }), delta({ reasoning: 'm.' }), delta({ content: 'He' }), delta({ content: 'llo' }),
    delta({ refusal: 'no', content: null }), stop, { choices: [], usage: { total_tokens: 3 } }, '[DONE]', delta({ content: 'late' })
  )), {
    parts: [
      { kind: 'reasoning', text: 'Hm' }, { kind: 'reasoning', text: 'm.' }, { text: 'He' }, { text: 'llo' }, { text: 'no' },
      { kind: 'metadata', value: { finishReason: 'stop', usage: { total_tokens: 3 } } }
    ]
  })
  t.strictSame(await read(respond(delta({ content: 'a' }), stop)), { parts: [{ text: 'a' }] }, 'without [DONE]')
  t.strictSame(await read(respond(delta({ content: 'a' }), delta({}, { finish_reason: 'length' }), '[DONE]')),
    { parts: [{ text: 'a' }, { kind: 'metadata', value: { finishReason: 'length', usage: undefined } }] })
})

t.test('tool calls: their arguments as they grow, and then whole', async t => {
  const call = (index: number, text: string, more = {}) => delta({ tool_calls: [{ index, ...more, function: { arguments: text, ...'id' in more && { name: 'find' } } }] })
  t.match(await read(respond(
    call(0, '', { id: 'a' }), call(0, '{"q":'), call(0, '1}'), call(1, '', { id: 'b' }), call(2, '{"', { id: 'c' }), delta({}, { finish_reason: 'tool_calls' }), '[DONE]'
  )), {
    parts: [
      { kind: 'tool', id: 'a', name: 'find', text: '' }, { id: 'a', text: '{"q":' }, { id: 'a', text: '1}' }, { id: 'b', name: 'find' }, { id: 'c', text: '{"' },
      { kind: 'tool', id: 'a', args: { q: 1 } }, { id: 'b', args: {} }, { id: 'c', error: { code: 'invalid_input' } }, { kind: 'metadata', value: { finishReason: 'tool_calls' } }
    ]
  })
  t.match(await read(respond(call(0, '{}', { id: 'a' }), call(0, '[1]', { id: 'b' }), stop)),
    { parts: [{ id: 'a' }, { id: 'a', args: {} }, { id: 'b', text: '[1]' }, { id: 'b', args: [1] }] }, 'a server that numbers all of them 0')
  t.match(await read(respond(call(0, '{"q":', { id: 'a' }), call(0, '1}', { id: '' }), stop)),
    { parts: [{ id: 'a' }, { id: 'a', text: '1}' }, { id: 'a', args: { q: 1 } }] }, 'a server that sends empty ids with the further pieces')
  t.match(await read(respond(delta({ tool_calls: [{}] }), stop)), { parts: [{ id: 'call-0', name: 'tool', text: '' }, { id: 'call-0', args: {} }] })
})

t.test('a failure is an error: by status, by content type, within the stream, and an early end', async t => {
  for (const [response, error, parts = []] of [
    [new Response('{"error":{"message":"slow down"}}', { status: 429, headers: { 'content-type': 'application/json' } }), /the model answered 429: .*slow down/],
    [Response.json({ choices: [] }), /'application\/json' instead of 'text\/event-stream', set stream: true/],
    [new Response(null, { headers }), /answered with/],
    [new Response(null), /with ''/],
    [respond(delta({ content: 'a' }), { error: { message: 'overloaded' } }), /the model failed: overloaded/, [{ text: 'a' }]],
    [respond({ error: 'overloaded' }), /the model failed: overloaded/],
    [respond({ error: { code: 5 } }), /the model failed: {"code":5}/],
    [respond(delta({ content: 'a' })), /broke off/, [{ text: 'a' }]],
    [respond(delta({ content: 'a' }), '[DONE]'), /broke off/, [{ text: 'a' }]],
    [respond(), /sent nothing/],
    [respond(stop, '[DONE]'), /sent nothing/],
    [respond(delta({ content: 'a' }), '{"choices'), /JSON/, [{ text: 'a' }]]
  ] as Array<[Response, RegExp, AnswerPart[]?]>) {
    const read_ = await read(response)
    t.match(read_.error, error)
    t.strictSame(read_.parts, parts)
  }
})

t.test('the body is cancelled after the end, and when the reader stops', async t => {
  const cancelled: string[] = []
  const body = (name: string, text: string) => new Response(new ReadableStream({
    start (controller) { controller.enqueue(new TextEncoder().encode(text)) },
    cancel () { cancelled.push(name) }
  }), { headers })
  t.match(await read(body('done', events(delta({ content: 'a' }), stop, '[DONE]'))), { parts: [{ text: 'a' }] })
  t.strictSame(await new CompletionParts(body('before', '')).return(), { done: true, value: undefined })
  const reading = new CompletionParts(body('during', events(delta({ content: 'a' }))))
  await reading.next()
  const next = reading.next()
  await reading.return()
  t.strictSame(cancelled, ['done', 'before', 'during'])
  await t.rejects(next, /broke off/)
  await t.resolves(new CompletionParts({ body: null } as Response).return())
})

t.test('a response is known by its members', async t => {
  t.equal(isResponse(new Response('')), true)
  t.equal(isResponse(new ReadableStream()), false)
  t.equal(isResponse({}), false)
})
