import t from 'tap'
import { all, ask, finished, startChat, tokens, Transcript, type as typeOut, typesOf } from '../chat.js'
import { as, Client, connect, start, authenticateByHeader } from '../harness.js'
import { eventually, gate, loopTurns } from '../waiting.js'
import type { Run } from '../../lib/index.js'

// A full run by hand has 1,000 answers of 2,000 tokens.
const { ANSWERS = '60', TOKENS = '300' } = process.env

const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))

t.test('a client that is cut off at random points of an answer and resumes shows the text that was written', async t => {
  const written = new Map<string, string>()
  const { url } = await start(t, {
    chat: {
      onMessage: async (run, { id }) => {
        const words = tokens(Number(TOKENS))
        written.set(id, words.join(''))
        await typeOut(run, words)
      }
    }
  })

  const answer = async (n: number) => {
    const id = `m${n}`
    const path = `${url}/ws/support/app/c${n}/u${n}`
    const transcript = new Transcript()
    const open = async () => {
      const client = new Client(`${path}${transcript.since === undefined ? '' : `?since=${transcript.since}`}`)
      await client.next('connection_ack')
      return client
    }
    const isDone = (client: Client) => transcript.take(client).statuses.size === 2 && ![...transcript.statuses.values()].includes('streaming')
    const length = () => [...transcript.texts.values()].reduce((sum, text) => sum + text.length, 0)
    let client = await open()
    client.send({ type: 'chat_message', ref: id, data: { content: 'q' } })
    for (let cuts = 0; cuts < 3; cuts++) {
      const at = length() + Math.random() * Number(TOKENS)
      await client.until(() => isDone(client) || length() >= at)
      client.socket.terminate()
      const { since } = transcript
      if (cuts > 0) {
        // A second cut, before the client has applied anything of the resumed part.
        const again = await open()
        again.socket.terminate()
      }
      t.equal(transcript.since, since)
      client = await open()
    }
    await client.until(() => isDone(client))
    client.socket.terminate()
    const { faults, texts } = transcript
    const [question, text] = texts.values()
    if (faults.length > 0 || text !== written.get(id) || question !== 'q') t.fail(`answer ${n}: ${faults.slice(0, 3)}, ${text.length} characters`)
  }

  let next = 0
  const worker = async () => { while (next < Number(ANSWERS)) await answer(next++) }
  await Promise.all(Array.from({ length: 12 }, worker))
  t.equal(written.size, Number(ANSWERS))
})

t.test('a second device that joins at any moment gets the answer so far in at most 3 frames, and then the rest', async t => {
  const words = tokens(400)
  const { chat, join } = await startChat(t)
  const first = await join()
  const run = chat.start(async run => { await typeOut(run, words) })
  const devices: Array<{ client: Client, transcript: Transcript, atJoin: number }> = []
  for (let n = 0; n < 8; n++) {
    await first.until(() => first.received.length > n * 40 || all(first, 'run_finished').length > 0)
    const client = await join()
    const atJoin = client.ack.data!.replayed
    await client.until(() => client.received.length > atJoin)
    devices.push({ client, transcript: new Transcript(), atJoin })
  }
  await run.finished
  for (const { client, transcript, atJoin } of devices) {
    await finished(client)
    t.ok(atJoin <= 3, `${atJoin} frames`)
    t.strictSame(transcript.take(client).faults, [])
    t.strictSame([...transcript.texts.values()], [words.join('')])
  }
})

t.test('a client that is 5,000 tokens behind gets the missing text in at most 3 frames', async t => {
  const { chat, join } = await startChat(t)
  const first = await join()
  const { opened, open } = gate()
  const words = tokens(5_100)
  chat.start(async run => {
    const reply = run.reply()
    for (const word of words.slice(0, 100)) {
      reply.write(word)
      await loopTurns()
    }
    await opened
    for (const word of words.slice(100)) {
      reply.write(word)
      await loopTurns()
    }
    await reply.end()
    await gate().opened
  })
  const transcript = new Transcript()
  await first.until(() => [...transcript.take(first).texts.values()][0]?.length === words.slice(0, 100).join('').length)
  first.socket.terminate()
  open()
  const other = await join()
  await other.until(() => all(other, 'chat_message').some(({ status }) => status === 'complete'))
  const again = await join('u1', transcript.since)
  await again.until(() => transcript.take(again).statuses.size === 1)
  t.ok(again.ack.data!.replayed <= 3, `${again.ack.data!.replayed} frames`)
  t.strictSame(transcript.faults, [])
  t.strictSame([...transcript.texts.values()], [words.join('')])
})

t.test('a long answer takes less memory than five copies of its text', async t => {
  const { app, chat, join } = await startChat(t)
  const client = await join()
  const count = 20_000
  const before = app.ws.stats().bytes
  let most = 0
  await chat.start(async run => {
    const reply = run.reply()
    for (let n = 0; n < count; n++) {
      reply.write('token ')
      await loopTurns()
      most = Math.max(most, app.ws.stats().bytes - before)
    }
  }).finished
  await finished(client)
  t.ok(most < 5 * count * 6, `${most} bytes for a text of ${count * 6}`)
  t.ok(app.ws.stats().bytes - before < 1.1 * count * 6)
})

t.test('a run is cancelled by run id, ref, message id, without an id or by its method, and keeps the text so far', async t => {
  const aborted: unknown[] = []
  const runs: Run[] = []
  const { join } = await startChat(t, {
    onMessage: async run => {
      runs.push(run)
      run.reply({ agent: 'a' }).write('so far')
      await new Promise<void>(resolve => run.signal.addEventListener('abort', () => {
        aborted.push(run.signal.reason)
        resolve()
      }))
    }
  })
  const client = await join()
  const ways: Array<[by: string, cancel: (runId: unknown) => unknown, answer: string | undefined]> = [
    ['run_id', runId => ask(client, 'chat_cancel', { run_id: runId }), 'ack'],
    ['ref', () => ask(client, 'chat_cancel', { ref: 'r-ref' }), 'ack'],
    ['message_id', () => ask(client, 'chat_cancel', { ref: 'm-message_id' }), 'ack'],
    ['all', () => ask(client, 'chat_cancel'), 'ack'],
    ['method', () => runs.at(-1)!.cancel(), undefined]
  ]
  for (const [by, cancel, answer] of ways) {
    const runId = async () => (await client.next('run_started')).data!.run_id
    t.equal(await ask(client, 'chat_message', { content: 'q', message_id: `m-${by}` }, `r-${by}`), 'ack')
    const id = await runId()
    await client.until(() => typesOf(client).at(-1) !== 'run_started')
    t.equal(await cancel(id), answer, by)
    t.match((await client.next('run_finished')).data, { run_id: id, ref: `r-${by}`, message_id: `m-${by}`, status: 'cancelled' }, by)
    t.match(all(client, 'chat_message').at(-1), { content: 'so far', status: 'cancelled', agent: 'a', run_id: id })
    t.equal(await runs.at(-1)!.finished, 'cancelled')
  }
  t.match(aborted, Array.from({ length: 5 }, () => ({ code: 'RT_ERR_RUN_ENDED' })))
  t.equal(await ask(client, 'chat_cancel', { ref: 'm-ref' }), 'ack', 'a cancel without a matching run is acknowledged')
})

t.test('the end of a connection does not cancel a run', async t => {
  const { opened, open } = gate()
  const { app, join } = await startChat(t, {
    onMessage: async run => {
      await opened
      t.equal(run.signal.aborted, false)
      run.reply().write('done')
    }
  })
  const client = await join()
  await ask(client, 'chat_message', { content: 'q' })
  client.socket.terminate()
  await eventually(() => app.ws.stats().connections === 0)
  open()
  const again = await join()
  t.match(await finished(again), [{ status: 'complete' }])
  t.match(all(again, 'chat_message'), [{ content: 'q' }, { content: 'done', status: 'complete' }])
})

t.test('a run that is cancelled before its start never starts', async t => {
  const begun: string[] = []
  const { opened, open } = gate()
  const { join } = await startChat(t, {
    onMessage: async (_run, { id }) => {
      begun.push(id)
      await opened
    }
  })
  const client = await join()
  await ask(client, 'chat_cancel', { ref: 'early' })
  await ask(client, 'chat_message', { content: 'q' }, 'early')
  t.match(await finished(client), [{ ref: 'early', status: 'cancelled' }])
  t.strictSame(begun, [])

  for (const ref of ['going', 'waiting', 'last']) await ask(client, 'chat_message', { content: 'q' }, ref)
  await ask(client, 'chat_cancel', { ref: 'waiting' })
  t.match((await finished(client, 2))[1], { ref: 'waiting', status: 'cancelled' })
  await ask(client, 'chat_cancel', {})
  t.strictSame((await finished(client, 4)).slice(2).map(({ ref, status }) => [ref, status]), [['last', 'cancelled'], ['going', 'cancelled']])
  t.strictSame(begun, ['going'])
  t.equal(all(client, 'run_started').length, 1)
  open()
})

t.test('a cancel that arrives while the message is being saved prevents its run', async t => {
  const [saving, saved] = [gate(), gate()]
  const save = () => {
    saving.open()
    return saved.opened
  }
  const { join } = await startChat(t, { onMessage: () => t.fail('the run started'), save })
  const [client, other] = [await join(), await join()]
  const answered = ask(client, 'chat_message', { content: 'q' }, 'm')
  await saving.opened
  await ask(other, 'chat_cancel')
  saved.open()
  t.equal(await answered, 'ack')
  t.match(await finished(client), [{ ref: 'm', status: 'cancelled' }])
  // On a busy machine the save takes long enough for the run to be announced.
  t.strictSame(typesOf(client).filter(type => type !== 'run_queued'), ['chat_message', 'run_finished'])
})

t.test('with either concurrency and with save, a question is answered, the other runs are cancelled, and each run ends once', async t => {
  for (const chat of [{ concurrency: 'replace' as const }, { save: () => loopTurns() }, {}]) {
    const { join } = await startChat(t, { ...chat, onMessage: run => run.ask({ prompt: 'go on?' }) })
    const client = await join()
    for (let n = 1; n <= 3; n++) {
      t.equal(await ask(client, 'chat_message', { content: 'q' }), 'ack')
      await client.until(() => all(client, 'input_request').length === (chat.concurrency === 'replace' ? n : 1))
    }
    t.equal(await ask(client, 'input_response', { request_id: all(client, 'input_request').at(-1)!.request_id }), 'ack')
    await client.until(() => all(client, 'run_finished').some(({ status }) => status === 'complete'))
    t.equal(await ask(client, 'chat_cancel'), 'ack')
    const ends = await finished(client, 3)
    t.strictSame(ends.map(({ status }) => status).sort(), ['cancelled', 'cancelled', 'complete'])
    t.equal(new Set(ends.map(({ run_id: id }) => id)).size, 3)
  }
})

t.test('a message that is sent again starts no second run', async t => {
  const begun: string[] = []
  const { join } = await startChat(t, { onMessage: (_run, { id }) => { begun.push(id) } })
  const client = await join()
  t.equal(await ask(client, 'chat_message', { content: 'q', message_id: 'm1' }, 'a'), 'ack')
  t.equal(await ask(client, 'chat_message', { content: 'q', message_id: 'm1' }, 'a'), 'ack', 'the same frame')
  t.equal(await ask(client, 'chat_message', { content: 'q', message_id: 'm1' }, 'b'), 'ack', 'in another frame')
  const again = await join()
  t.equal(await ask(again, 'chat_message', { content: 'q', message_id: 'm1' }, 'a'), 'ack', 'on another connection')
  t.equal(await ask(again, 'chat_message', { content: 'q' }, 'm1'), 'ack', 'as a ref')
  t.equal(await ask(again, 'chat_message', { content: 'q' }, 5), 'ack')
  t.equal(await ask(again, 'chat_message', { content: 'q' }, 5), 'ack', 'a number as ref does not identify the message')
  t.equal(begun.length, 3)
  t.equal(all(again, 'chat_message').length, 3)

  const both = await Promise.all([ask(client, 'chat_message', { content: 'q' }, 'once'), ask(again, 'chat_message', { content: 'q' }, 'once')])
  t.strictSame(both, ['ack', 'ack'])
  t.equal(begun.length, 4, 'two devices that send it at once start one run')
})

t.test('a message beyond limits.runs is refused with chat_busy, and the accepted messages run one after the other', async t => {
  const { opened, open } = gate()
  const { chat, join } = await startChat(t, { onMessage: () => opened }, { limits: { runs: 2 } })
  const client = await join()
  for (const expected of ['ack', 'ack', 'ack', 'chat_busy']) t.equal(await ask(client, 'chat_message', { content: 'q' }), expected)
  t.throws(() => chat.start(() => {}), { code: 'RT_ERR_CHAT_BUSY' })
  open()
  await finished(client, 3)
  t.strictSame(typesOf(client).filter(type => type !== 'chat_message'),
    ['run_started', 'run_queued', 'run_queued', 'run_finished', 'run_started', 'run_finished', 'run_started', 'run_finished'], 'the runs start one after the other')
  t.equal(await ask(client, 'chat_message', { content: 'q' }), 'ack')
})

t.test('with concurrency replace, a new run cancels the run before it', async t => {
  const { join } = await startChat(t, { concurrency: 'replace', onMessage: run => run.ask({ prompt: 'p' }) })
  const client = await join()
  for (const ref of ['a', 'b', 'c']) await ask(client, 'chat_message', { content: 'q' }, ref)
  await ask(client, 'chat_cancel', { ref: 'c' })
  t.strictSame((await finished(client, 3)).map(({ ref, status }) => [ref, status]), [['a', 'cancelled'], ['b', 'cancelled'], ['c', 'cancelled']])
  t.strictSame(typesOf(client).filter(type => type.startsWith('run')), ['run_started', 'run_finished', 'run_started', 'run_finished', 'run_started', 'run_finished'])
})

t.test('a message in a shared chat has the user_id of its author, and a client cannot forge its author, role, run or status', async t => {
  const seen: unknown[] = []
  const { join } = await startChat(t, { onMessage: (run, { userId }) => { seen.push(userId, run.userId, run.target.userId) } })
  const [owner, guest] = [await join('u1'), await join('u2')]
  const forged = { content: 'q', role: 'assistant', agent: 'planner', user_id: 'u1', run_id: 'r', status: 'streaming', colour: 'red' }
  t.equal(await ask(guest, 'chat_message', { ...forged, message_id: 'm1' }), 'ack')
  await finished(owner)
  const [message] = all(owner, 'chat_message')
  t.strictSame(message, { message_id: 'u2/m1', role: 'user', content: 'q', status: 'complete', user_id: 'u2', colour: 'red' })
  t.strictSame(seen, ['u2', 'u2', 'u1'])
  t.match(all(owner, 'run_started'), [{ user_id: 'u2', message_id: 'u2/m1' }])
  t.equal(await ask(owner, 'chat_message', { content: 'other', message_id: 'm1' }), 'ack')
  t.match(all(owner, 'chat_message'), [{ message_id: 'u2/m1', content: 'q' }, { message_id: 'm1', content: 'other', user_id: 'u1' }], 'the same id of another user is another message')
})

t.test('a client can reach only the chat of its connection', async t => {
  const { url } = await start(t, { authenticate: authenticateByHeader, chat: { onMessage: run => run.ask({ prompt: 'p' }), loadHistory: () => [] } })
  const mine = await connect(t, `${url}/ws/support/app/c1/u1`, as('u1'))
  const theirs = await connect(t, `${url}/ws/support/app/c1/u2`, as('u2'))
  const notifications = await connect(t, `${url}/ws/notifications/u2`, as('u2'))
  await ask(mine, 'chat_message', { content: 'q' }, 'm')
  await mine.until(() => all(mine, 'input_request').length === 1)
  const [{ request_id: id, run_id: runId }] = all(mine, 'input_request')
  t.equal(await ask(theirs, 'input_response', { request_id: id, value: 1 }), 'input_closed')
  for (const data of [{ run_id: runId }, { ref: 'm' }, {}]) t.equal(await ask(theirs, 'chat_cancel', data), 'ack')
  for (const [type, data] of [['chat_message', { content: 'q' }], ['chat_cancel', {}], ['input_response', { request_id: id }], ['chat_history', {}]] as const) {
    t.equal(await ask(notifications, type, data), 'unknown_type')
  }
  t.strictSame(typesOf(mine), ['chat_message', 'run_started', 'input_request'])
  t.strictSame(typesOf(theirs), [])
})

t.test('malformed messages are refused with bad_message, and oversized ones with too_big or close code 1009', async t => {
  const { url } = await start(t, {
    chat: { onMessage: run => run.ask({ prompt: 'p' }), loadHistory: () => [] },
    limits: { strikes: 1_000, rate: 1_000, burst: 1_000 }
  })
  const client = await connect(t, `${url}/ws/support/app/c1/u1`)
  let deep: unknown = 1
  for (let n = 0; n < 100; n++) deep = [deep]
  const wrong: Array<[string, unknown]> = [
    ['chat_message', undefined], ['chat_message', null], ['chat_message', []], ['chat_message', { content: 5 }], ['chat_message', { content: 'c', message_id: {} }],
    ['chat_message', { content: 'c', message_id: 'x'.repeat(129) }], ['chat_message', { content: 'c', message_id: 'a b/c' }], ['chat_message', { content: 'c', deep }], ['chat_message', { content: 'c', status: 'x' }],
    ['chat_cancel', 'all'], ['chat_cancel', { run_id: [] }], ['chat_cancel', { ref: { toString: 'x' } }], ['input_response', { value: 1 }],
    ['input_response', { request_id: '' }], ['chat_history', { before: {} }], ['chat_history', []]
  ]
  for (const [type, data] of wrong) t.equal(await ask(client, type, data as object), 'bad_message', `${type} ${JSON.stringify(data)?.slice(0, 60)}`)
  client.send('{"type":"chat_message","ref":"p","data":{"content":"c","__proto__":{"role":"x"}}}')
  await client.until(() => client.received.some(({ ref }) => ref === 'p'))
  t.match(client.received.filter(({ ref }) => ref === 'p'), [{ type: 'error', data: { code: 'bad_message', message: 'a key is __proto__' } }])
  for (const id of ['__proto__', 'constructor', 'a b', '😀']) {
    t.equal(await ask(client, 'input_response', { request_id: id, value: deep === 1 ? 0 : 1 }), 'input_closed')
    t.equal(await ask(client, 'chat_cancel', { run_id: id }), 'ack')
    t.equal(await ask(client, 'chat_message', { content: 'q', message_id: id }), 'ack')
  }
  t.equal(await ask(client, 'chat_cancel', {}), 'ack')
  t.strictSame((await finished(client, 4)).map(({ status }) => status), Array(4).fill('cancelled'))
  t.equal(await ask(client, 'chat_message', { content: 'x'.repeat(70_000) }), 'too_big')
  client.send({ type: 'chat_message', data: { content: 'x'.repeat(140_000) } })
  t.equal((await client.close()).code, 1009)
})

t.test('no rejection is left unhandled', async t => t.strictSame(unhandled, []))
