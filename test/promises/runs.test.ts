import { getEventListeners } from 'node:events'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import type { RealtimeOptions, Run, SavedMessage } from '../../lib/index.js'
import { all, ask, dataOf, finished, startChat, type Data } from '../chat.js'
import { Client, start } from '../harness.js'
import { gate, loopTurns } from '../waiting.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))

const never = new Promise<never>(() => {})
const endless = { async * [Symbol.asyncIterator] () { for (;;) yield 'token ' } }
const empty = { async * [Symbol.asyncIterator] () { for (;;) yield '' } }
const hanging = { async * [Symbol.asyncIterator] () { yield 'so far'; await never } }

/** Behaviour of a handler, and the expected end of its run and of its open parts. */
interface Case {
  handler: (run: Run) => unknown
  status: string
  /** Content of the last reply. */
  content?: string
  reply?: string
  tool?: string
  question?: string
  code?: string
  options?: RealtimeOptions
}

const short: RealtimeOptions = { timeouts: { run: 100 } }
const small: RealtimeOptions = { limits: { message: 10_000, run: 20_000 } }
const open = (run: Run) => {
  run.reply().write('so far')
  run.tool('search', {}, () => never)
  run.ask({ prompt: 'p' })
}

const cases: Record<string, Case> = {
  'throws at once': { handler: () => { throw new Error('secret') }, status: 'error', code: 'handler_failed' },
  'throws undefined': { handler: () => { throw undefined }, status: 'error', code: 'handler_failed' }, // eslint-disable-line no-throw-literal
  'is undefined': { handler: undefined as never, status: 'error', code: 'handler_failed' },
  'rejects with a reply, a tool and a question open': {
    handler: async run => {
      open(run)
      await loopTurns()
      throw new Error('secret')
    },
    status: 'error',
    content: 'so far',
    reply: 'error',
    tool: 'error',
    question: 'error',
    code: 'handler_failed'
  },
  hangs: {
    handler: run => {
      open(run)
      return never
    },
    options: short,
    status: 'interrupted',
    content: 'so far',
    reply: 'interrupted',
    tool: 'interrupted',
    question: 'interrupted',
    code: 'run_timeout'
  },
  'returns with a reply, a tool and a question open': { handler: open, status: 'complete', content: 'so far', reply: 'complete', tool: 'interrupted', question: 'interrupted' },
  'cancels its run at once': {
    handler: run => {
      open(run)
      run.cancel()
      run.cancel()
    },
    status: 'cancelled',
    content: 'so far',
    reply: 'cancelled',
    tool: 'cancelled',
    question: 'cancelled'
  },
  'cancels its run and throws': {
    handler: run => {
      run.cancel()
      throw new Error('secret')
    },
    status: 'cancelled'
  },
  'ends its reply twice and writes after that': {
    handler: async run => {
      const reply = run.reply()
      reply.write('text')
      await Promise.all([reply.end(), reply.end(), reply.fail(new Error('no'))])
      t.equal(reply.write('more'), false)
    },
    status: 'complete',
    content: 'text',
    reply: 'complete'
  },
  'fails its reply': {
    handler: async run => {
      const reply = run.reply()
      reply.write('text')
      await reply.fail(new Error('secret'))
      await reply.end()
    },
    status: 'complete',
    content: 'text',
    reply: 'error'
  },
  'continues after it returned': {
    handler: run => {
      const work = async () => {
        await loopTurns()
        const reply = run.reply()
        t.equal(reply.write('late'), false)
        await reply.end()
        for (const late of [run.stream(endless), run.tool('t', {}, () => 1), run.ask({ prompt: 'p' }), run.send({ type: 'late' })]) {
          await t.rejects(late, { code: 'RT_ERR_RUN_ENDED' })
        }
        run.stream(endless)
        run.send({ type: 'late' })
        run.cancel()
      }
      work()
    },
    status: 'complete'
  },
  'awaits nothing that it starts': {
    handler: run => {
      run.stream(hanging)
      run.tool('t', {}, async () => { throw new Error('secret') })
      run.tool('t', { n: 1n }, () => 1)
      run.ask({ prompt: 'p', schema: Type.Unsafe({ kind: 'none of TypeBox' }) })
      run.ask({ prompt: 'p' }, { timeout: NaN })
      run.send({ type: '' })
    },
    status: 'complete',
    tool: 'error'
  },
  'writes a number': { handler: run => run.reply().write(5 as never), status: 'error' },
  'streams from a source that throws': {
    handler: run => run.stream({ async * [Symbol.asyncIterator] () { yield 'so far'; throw new Error('secret') } }),
    status: 'error',
    content: 'so far',
    reply: 'error'
  },
  'streams from an array': { handler: run => run.stream(['a'] as never), status: 'error', code: 'handler_failed' },
  'streams a number, and streams from a source whose iterator throws': {
    handler: async run => {
      await t.rejects(run.stream({ async * [Symbol.asyncIterator] () { yield 5 as never } }), TypeError)
      await t.rejects(run.stream({ [Symbol.asyncIterator] () { throw new Error('no iterator') } } as never), { message: 'no iterator' })
    },
    status: 'complete'
  },
  'streams from a source that hangs': { handler: run => run.stream(hanging), options: short, status: 'interrupted', content: 'so far', reply: 'interrupted' },
  'streams from a source that never ends': { handler: run => run.stream(endless), options: small, status: 'error', reply: 'error', code: 'reply_too_long' },
  'streams from an endless source of empty texts': { handler: run => run.stream(empty), options: short, status: 'interrupted' },
  'streams a whole source': {
    handler: async run => {
      const source = new ReadableStream<string | { text: string }>({
        start (controller) {
          for (const part of ['a', { text: 'b' }, '']) controller.enqueue(part)
          controller.close()
        }
      })
      t.equal(await run.stream(source, { agent: 'a' }), 'ab')
    },
    status: 'complete',
    content: 'ab',
    reply: 'complete'
  },
  'has a tool that throws': {
    handler: async run => {
      await t.rejects(run.tool('t', {}, () => { throw new Error('secret') }), { message: 'secret' })
    },
    status: 'complete',
    tool: 'error'
  },
  'has a tool whose output is not JSON': {
    handler: async run => {
      t.equal(await run.tool('t', {}, () => 1n), 1n)
    },
    status: 'complete',
    tool: 'complete'
  },
  'has a tool whose output is too large': {
    handler: async run => {
      t.equal((await run.tool('t', {}, () => 'x'.repeat(10_000))).length, 10_000)
    },
    options: small,
    status: 'complete',
    tool: 'complete'
  },
  'has a tool whose progress is not JSON, is late or ends a reply': {
    handler: async run => {
      const reply = run.reply()
      reply.write('text')
      let late = (_value: unknown) => {}
      await run.tool('t', {}, async ({ progress }) => {
        progress(1n)
        await loopTurns()
        progress({ toJSON () { reply.end() } })
        await loopTurns()
        late = progress
      })
      late(1)
    },
    status: 'complete',
    content: 'text',
    reply: 'complete',
    tool: 'complete'
  },
  'writes more than limits.message': {
    handler: run => {
      const reply = run.reply()
      t.equal(reply.write('x'.repeat(7_000)), true)
      t.equal(reply.write('x'.repeat(3_000)), false)
      t.equal(run.signal.aborted, true)
      t.match(run.signal.reason, { code: 'RT_ERR_RUN_ENDED' })
      return never
    },
    options: small,
    status: 'error',
    content: 'x'.repeat(7_000),
    reply: 'error',
    code: 'reply_too_long'
  },
  'writes more than limits.run': {
    handler: async run => {
      for (let n = 0; n < 3; n++) {
        const reply = run.reply()
        reply.write('x'.repeat(7_000))
        await reply.end()
      }
    },
    options: small,
    status: 'error',
    content: '',
    reply: 'error',
    code: 'run_too_long'
  },
  'sends more than limits.run': {
    handler: async run => {
      for (let n = 0; n < 10; n++) await run.send({ type: 'app', data: 'x'.repeat(5_000) })
    },
    options: small,
    status: 'error',
    code: 'run_too_long'
  },
  'cancels its run, and cancels and replies again in an abort listener': {
    handler: run => {
      run.signal.addEventListener('abort', () => {
        run.cancel()
        t.equal(run.reply().write('late'), false)
      })
      run.reply().write('so far')
      run.cancel()
    },
    status: 'cancelled',
    content: 'so far',
    reply: 'cancelled'
  }
}

/** Violations of the order: each part ends once, after its start and before the end of its run. */
function faultsOf (publications: Array<{ type: string, data: Data }>): string[] {
  const faults: string[] = []
  const openParts = new Set<string>()
  let going: string | undefined
  const begin = (id: string) => {
    if (openParts.has(id)) faults.push(`${id} begins twice`)
    openParts.add(id)
  }
  const end = (id: string) => { if (!openParts.delete(id)) faults.push(`${id} ends, and is not open`) }
  for (const { type, data } of publications) {
    if (type === 'run_started') {
      if (going !== undefined) faults.push(`${data.run_id} starts while ${going} is going`)
      going = data.run_id
    } else if (type === 'run_finished') {
      if (openParts.size > 0) faults.push(`${[...openParts]} open after the run`)
      going = undefined
    } else if (data.run_id !== undefined && data.run_id !== going) faults.push(`${type} of a run that is not going`)
    if (type === 'tool_call') begin(data.call_id)
    if (type === 'tool_output') end(data.call_id)
    if (type === 'input_request') begin(data.request_id)
    if (type === 'input_closed') end(data.request_id)
    if (type === 'chat_delta' || data.status === 'streaming') openParts.add(data.message_id)
    if (type === 'chat_message' && data.role === 'assistant' && data.status !== 'streaming') openParts.delete(data.message_id)
  }
  return faults
}

for (const [name, { handler, status, content, reply, tool, question, code, options }] of Object.entries(cases)) {
  t.test(`a run whose handler ${name} ends with status ${status}`, async t => {
    const { chat, join } = await startChat(t, {}, options)
    const client = await join()
    t.equal(await chat.start(handler).finished, status)
    // Remaining work of the handler is done when another run has ended.
    await finished(client)
    await loopTurns(5)
    await chat.start(() => {}).finished
    const [end] = await finished(client, 2)
    t.match(end, { status, ...(code !== undefined && { error: { code } }) })
    t.equal(all(client, 'run_finished').length, 2)
    t.strictSame(faultsOf(client.received.filter(({ id }) => id !== undefined).map(each => ({ type: each.type, data: dataOf(each) }))), [])
    const last = all(client, 'chat_message').filter(data => data.status !== 'streaming').at(-1)
    t.equal(last?.status, reply, 'the last reply')
    t.match(last?.content, reply === undefined ? undefined : content ?? String)
    t.equal(all(client, 'tool_output').at(-1)?.status, tool, 'the last tool')
    t.equal(all(client, 'input_closed').at(-1)?.reason, question, 'the last question')
    t.notMatch(JSON.stringify(client.received), 'secret', "no exception's text reaches a client")
  })
}

t.test('the next run starts when a run has ended, also when a handler cancels its own run', async t => {
  const { chat, join } = await startChat(t)
  const client = await join()
  let next: Run | undefined
  const first = chat.start(async run => {
    run.signal.addEventListener('abort', () => { next = chat.start(() => {}) })
    await loopTurns()
    run.cancel()
  })
  const second = chat.start(() => {})
  t.strictSame([await first.finished, await second.finished, await next!.finished], ['cancelled', 'complete', 'complete'])
  const ends = await finished(client, 3)
  t.strictSame(ends.map(({ run_id: id }) => id), [first.id, second.id, next!.id])
})

t.test('with concurrency replace, a run that is started while another is being replaced runs last', async t => {
  const { chat, join } = await startChat(t, { concurrency: 'replace' })
  const client = await join()
  let third: Run | undefined
  const first = chat.start(run => {
    run.signal.addEventListener('abort', () => { third = chat.start(() => 1) })
    return never
  })
  const second = chat.start(() => never)
  t.strictSame([await first.finished, await second.finished, await third!.finished], ['cancelled', 'cancelled', 'complete'])
  await finished(client, 3)
  t.equal(all(client, 'run_started').length, 2, 'the second run never starts')
})

const schema = Type.Object({ yes: Type.Boolean() })

t.test('when two devices answer a question at once, the first answer counts and the other gets input_closed', async t => {
  const answers: unknown[] = []
  const { join } = await startChat(t, { onMessage: async run => { answers.push(await run.ask({ prompt: 'go on?', schema, component: 'buttons' })) } })
  const [one, two] = [await join(), await join('u2')]
  await ask(one, 'chat_message', { content: 'q' })
  await two.until(() => all(two, 'input_request').length === 1)
  const [request] = all(two, 'input_request')
  t.match(request, { prompt: 'go on?', component: 'buttons', schema: { type: 'object', required: ['yes'] }, expires_at: undefined })
  const late = await join()
  await late.until(() => all(late, 'input_request').length === 1)

  const { request_id: id } = request
  for (const value of [{ yes: 'yes' }, undefined, null, 'x'.repeat(1_000), {}]) {
    t.equal(await ask(one, 'input_response', { request_id: id, value }), 'bad_value')
  }
  t.equal(all(one, 'input_closed').length, 0, 'the question stays open')
  const codes = await Promise.all([
    ask(one, 'input_response', { request_id: id, value: { yes: true } }), ask(two, 'input_response', { request_id: id, value: { yes: false } })
  ])
  t.strictSame(codes.sort(), ['ack', 'input_closed'])
  await finished(late)
  const [closed] = all(late, 'input_closed')
  t.match(closed, { request_id: id, reason: 'answered', value: answers[0], user_id: /^u[12]$/ })
  t.equal(answers.length, 1)
  t.equal(await ask(late, 'input_response', { request_id: id, value: { yes: true } }), 'input_closed')
})

t.test('an answer counts even when its client disconnects at once', async t => {
  const { join } = await startChat(t, { onMessage: run => run.ask({ prompt: 'p' }) })
  const [one, two] = [await join(), await join()]
  await ask(one, 'chat_message', { content: 'q' })
  await one.until(() => all(one, 'input_request').length === 1)
  one.send({ type: 'input_response', ref: 'a', data: { request_id: all(one, 'input_request')[0].request_id, value: 1 } })
  one.socket.close()
  t.match(await finished(two), [{ status: 'complete' }])
  t.match(all(two, 'input_closed'), [{ reason: 'answered', value: 1 }])
})

t.test('chat_cancel and input_response do not wait for earlier requests of the connection', async t => {
  const { opened: page, open: turnPage } = gate()
  const { opened: saved, open: letSave } = gate()
  const started: string[] = []
  let aborted = 0
  const { join } = await startChat(t, {
    onMessage: async (run, { id }) => {
      started.push(id)
      run.signal.addEventListener('abort', () => { aborted++ })
      await run.ask({ prompt: 'p' })
      await never
    },
    save: ({ message_id: id }) => id === 'slow' ? saved : undefined,
    loadHistory: async () => { await page; return [] }
  })
  const client = await join()
  client.send({ type: 'chat_message', ref: 'm1', data: { content: 'q' } })
  await client.until(() => all(client, 'input_request').length === 1)
  client.send({ type: 'chat_history', ref: 'h1' })
  t.equal(await ask(client, 'input_response', { request_id: all(client, 'input_request')[0].request_id, value: 1 }), 'ack')
  t.equal(await ask(client, 'chat_cancel', { ref: 'm1' }), 'ack')
  t.equal(aborted, 1)
  t.match(await finished(client), [{ status: 'cancelled' }])
  turnPage()

  client.send({ type: 'chat_message', ref: 'slow', data: { content: 'q' } })
  client.send({ type: 'chat_message', ref: 'behind', data: { content: 'q' } })
  t.equal(await ask(client, 'chat_cancel', { ref: 'slow' }), 'ack')
  t.equal(await ask(client, 'chat_cancel', { ref: 'behind' }), 'ack')
  letSave()
  t.match(await finished(client, 3), [{}, { ref: 'slow', status: 'cancelled' }, { ref: 'behind', status: 'cancelled' }])
  t.strictSame(started, ['m1'])
})

t.test('a question that gets no answer in time, or whose run is cancelled, rejects and is closed', async t => {
  const errors: unknown[] = []
  const { join } = await startChat(t, {
    onMessage: async (run, { content }) => {
      await run.ask({ prompt: 'p' }, { timeout: content === 'short' ? 20 : Infinity }).catch(error => errors.push(error.code))
    }
  })
  const client = await join()
  await ask(client, 'chat_message', { content: 'short' })
  await finished(client)
  await ask(client, 'chat_message', { content: 'endless' })
  await client.until(() => all(client, 'input_request').length === 2)
  await ask(client, 'chat_cancel', {})
  await finished(client, 2)
  t.strictSame(errors, ['RT_ERR_NO_ANSWER', 'RT_ERR_RUN_ENDED'])
  t.strictSame(all(client, 'input_closed').map(({ reason }) => reason), ['timeout', 'cancelled'])
  t.strictSame(all(client, 'input_request').map(({ expires_at: at }) => typeof at), ['string', 'undefined'])
})

t.test('a server that closes interrupts its runs, publishes their ends and saves all messages', async t => {
  const saved: SavedMessage[] = []
  const { app, chat, join } = await startChat(t, {
    save: async message => {
      await loopTurns()
      saved.push(message)
    },
    onMessage: run => {
      open(run)
      return never
    }
  })
  const client = await join()
  await ask(client, 'chat_message', { content: 'q' }, 'm')
  const waiting = chat.start(() => t.fail('the run started'))
  const before = client.received.length
  const coming = ask(client, 'chat_message', { content: 'late' }, 'late')
  await loopTurns()
  client.send({ type: 'ping' })
  await client.next('pong')
  const closing = app.close()
  t.equal((await client.close()).code, 1012)
  await closing
  t.equal(await coming, 'ack')
  // Whether the late message's run is announced depends on which is first, the save or the close.
  t.strictSame(client.received.slice(before).filter(({ id, type }) => id !== undefined && type !== 'run_queued').map(({ type }) => type).sort(),
    ['chat_message', 'chat_message', 'input_closed', 'run_finished', 'run_finished', 'run_finished', 'tool_output'].sort())
  t.strictSame(all(client, 'run_finished').map(({ status }) => status), ['interrupted', 'interrupted', 'interrupted'])
  t.match(all(client, 'chat_message').filter(({ role, status }) => role === 'assistant' && status !== 'streaming'), [{ content: 'so far', status: 'interrupted' }])
  t.equal(await waiting.finished, 'interrupted')
  t.strictSame(saved.map(({ content }) => content).sort(), ['late', 'q', 'so far'])
  t.throws(() => chat.start(() => {}), { code: 'RT_ERR_CLOSING' })
})

t.test('a run can start before a client connects, and a client can send a message before the ack', async t => {
  const { chat, join } = await startChat(t)
  const { opened, open } = gate()
  const run = chat.start(async run => {
    run.reply().write('hello')
    await opened
  }, { ref: 'greeting' })
  const client = await join()
  await client.until(() => all(client, 'chat_message').length === 1)
  t.match(client.received.slice(1), [
    { type: 'run_started', data: { ref: 'greeting', user_id: 'u1', run_id: run.id } }, { type: 'chat_message', data: { content: 'hello', status: 'streaming' } }
  ])
  open()
  await finished(client)

  const { url } = await start(t, { chat: { onMessage: run => run.stream((async function * () { yield 'hi' })()) } })
  const early = new Client(`${url}/ws/support/app/c1/u1`)
  early.socket.once('open', () => early.send({ type: 'chat_message', ref: 'm', data: { content: 'q' } }))
  await finished(early)
  t.equal(all(early, 'chat_message').at(-1)!.content, 'hi')
})

t.test('a run leaves no abort listener behind', async t => {
  const { chat } = await startChat(t, {}, { timeouts: { run: 60_000 } })
  let signal: AbortSignal | undefined
  await chat.start(async run => {
    signal = run.signal
    await run.stream((async function * () { for (let n = 0; n < 50; n++) yield 'token' })())
    await run.tool('t', {}, async () => {})
    await run.ask({ prompt: 'p' }, { timeout: 5 }).catch(() => {})
  }).finished
  t.equal(getEventListeners(signal!, 'abort').length, 0)
})

t.test('no rejection is left unhandled', async t => t.strictSame(unhandled, []))
