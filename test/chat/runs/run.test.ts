import { mock } from 'node:test'
import t from 'tap'
import { LiveRun, weightOf } from '../../../lib/chat/runs/run.js'
import { runNameOf } from '../../../lib/chat/runs/run-name.js'
import { errors, type Run } from '../../../lib/index.js'
import { movedClock } from '../../clock.js'
import { found } from '../../every.js'
import { eventually, gate, loopTurns } from '../../waiting.js'
import { down, FakeContext } from './context.js'

function setup (handler: (run: Run) => unknown = () => {}, context = new FakeContext()) {
  const run = new LiveRun(context, { userId: 'u', ref: 7, messageId: 'm', handler })
  return { context, run }
}

t.test('a run publishes its start, calls its handler and publishes its end, once', async t => {
  const { context, run } = setup(() => { t.equal(run.state, 'going') })
  t.equal(run.state, 'waiting')
  await run.begin()
  await run.begin()
  t.strictSame(context.published, [
    { type: 'run_started', data: { run_id: run.id, ref: 7, message_id: 'm', user_id: 'u' } }, { type: 'run_finished', data: { run_id: run.id, ref: 7, message_id: 'm', status: 'complete' } }
  ])
  t.strictSame([run.state, await run.finished, run.signal.aborted], ['over', 'complete', false])
  t.strictSame(context.over, [run])
  t.equal(run.target, context.target)
})

t.test('a run that waits is announced once it is stored, and can be announced again after a failure', async t => {
  const { context, run } = setup()
  const stored = gate()
  context.answer = () => Promise.reject(new Error('away'))
  await t.rejects(run.announceFirst(), { message: 'away' })
  context.answer = () => stored.opened
  let isStored = false
  const announced = run.announceFirst().then(() => { isStored = true })
  await loopTurns()
  t.equal(isStored, false)
  stored.open()
  await announced
  await run.announceFirst()
  t.strictSame(context.types, ['run_queued', 'run_queued'], 'the failed one, and one that is stored')
})

t.test('the limit of a run is exact to the byte', async t => {
  const written: boolean[] = []
  const { context, run } = setup(run => {
    for (const length of [5_000, 5_000, 5_000, 5_000]) written.push(run.reply().write('x'.repeat(length)))
    context.turn()
    t.equal(run.signal.aborted, false, 'its publication does not count again')
    written.push(run.reply().write('x'))
  })
  await run.begin()
  t.strictSame([written, await run.finished], [[true, true, true, true, false], 'error'])
})

t.test('a run is named by its id, by its message and by its ref', async t => {
  const { run } = setup()
  t.strictSame([run.id, 'm', ''].map(runId => run.goesBy({ runId })), [true, false, false])
  t.strictSame(['m', 7, '7', 'n', '', run.id].map(ref => run.goesBy(runNameOf(ref, 'u', run.target))), [true, true, true, false, false, false])
})

t.test('a waiting run is announced once, and never after it has started or ended', async t => {
  const { context, run } = setup()
  run.announce()
  run.announce()
  await run.begin()
  const about = { run_id: run.id, ref: 7, message_id: 'm' }
  t.strictSame(context.published.map(({ type, data }) => [type, data]), [
    ['run_queued', { ...about, user_id: 'u' }], ['run_started', { ...about, user_id: 'u' }], ['run_finished', { ...about, status: 'complete' }]
  ])
  for (const act of [(late: LiveRun) => late.begin(), (late: LiveRun) => late.end('cancelled'), (late: LiveRun) => late.abandon()]) {
    const { context, run } = setup()
    await act(run)
    run.announce()
    t.equal(context.types.includes('run_queued'), false)
  }
})

t.test('run_queued is not published when it is not visible', async t => {
  const { context, run } = setup()
  context.isHidden = ({ type }) => type === 'run_queued'
  run.announce()
  const { run: other } = setup(undefined, context)
  await other.announceFirst()
  await run.begin()
  t.strictSame(context.types, ['run_started', 'run_finished'])
})

t.test('a run that is ended before it begins never begins', async t => {
  const { context, run } = setup(() => t.fail('it began'))
  run.end('cancelled')
  await run.begin()
  t.strictSame(context.types, ['run_finished'])
  t.equal(run.signal.aborted, true)
})

t.test('a run that is ended while its start is being stored never calls its handler', async t => {
  const { opened, open } = gate()
  const context = new FakeContext()
  const deliver = context.deliver.bind(context)
  context.deliver = (message: Parameters<typeof deliver>[0]) => {
    deliver(message)
    return opened as never
  }
  const { run } = setup(() => t.fail('it began'), context)
  const begun = run.begin()
  run.cancel()
  open()
  await begun
  t.strictSame(context.types, ['run_started', 'run_finished'])
})

t.test('a run that ends closes its open parts, publishes its end, aborts its signal, and then lets the next run begin', async t => {
  const order: string[] = []
  const context = new FakeContext()
  const deliver = context.deliver.bind(context)
  context.deliver = message => {
    order.push(message.type)
    deliver(message)
  }
  context.onOver = () => { order.push('next') }
  const { run } = setup(run => {
    run.reply().write('a')
    run.tool('t', {}, () => new Promise(() => {}))
    run.ask({ prompt: 'p' })
    run.signal.addEventListener('abort', () => order.push('abort'))
    return new Promise(() => {})
  }, context)
  run.begin()
  run.cancel()
  run.end('error')
  t.strictSame(order, ['run_started', 'chat_message', 'tool_output', 'input_closed', 'run_finished', 'abort', 'next'])
  t.equal(run.questions.size, 0)
})

t.test('written text is published before the next publication of the run', async t => {
  const { context, run } = setup(async run => {
    const reply = run.reply()
    reply.write('one')
    await run.send({ type: 'app' })
    reply.write('two')
    await run.tool('t', {}, () => { reply.write('three') })
    reply.write('four')
    run.ask({ prompt: 'p' })
  })
  await run.begin()
  t.strictSame(context.types, [
    'run_started', 'chat_delta', 'app', 'chat_delta', 'tool_call', 'chat_delta', 'tool_output', 'chat_delta', 'input_request',
    'chat_message', 'input_closed', 'run_finished'
  ])
})

t.test('parts of a run that are not visible are not published, but saved, and work the same', async t => {
  const context = new FakeContext()
  context.isHidden = ({ type, data }) => type === 'run_started' || (data as { agent?: string })?.agent === 'inner'
  const { run } = setup(async run => {
    await run.reply({ agent: 'inner' }).end()
    t.equal(await run.tool('t', {}, ({ progress }) => { progress(1); return 5 }, { agent: 'inner' }), 5)
    t.equal((await run.send({ type: 'app', data: { agent: 'inner' } })).id, '')
  }, context)
  await run.begin()
  context.turn()
  t.strictSame(context.types, ['run_finished'])
  t.equal(context.saved.length, 1)
})

t.test('a run that takes too long is interrupted with run_timeout', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { context, run } = setup(() => new Promise(() => {}))
  run.begin()
  mock.timers.tick(59_999)
  t.equal(run.state, 'going')
  mock.timers.tick(1)
  t.equal(await run.finished, 'interrupted')
  t.match(context.published.at(-1), { data: { status: 'interrupted', error: { code: 'run_timeout' } } })
})

t.test('a run that publishes more than limits.run ends with run_too_long', async t => {
  const { context, run } = setup(async run => {
    for (let n = 0; n < 5; n++) await run.tool('t', 'x'.repeat(6_000), () => {})
  })
  await run.begin()
  t.match(context.published.at(-1), { data: { status: 'error', error: { code: 'run_too_long', message: /'limits\.run'/ } } })
  t.equal(context.types.filter(type => type === 'tool_call').length, context.types.filter(type => type === 'tool_output').length)
  const sent = setup(async run => {
    await run.send({ type: 'app', data: 1 })
    await run.send({ type: 'app', data: 'x'.repeat(30_000) })
  })
  sent.context.publish = message => { sent.context.published.push(message as never); return { id: '', timestamp: '' } }
  await sent.run.begin()
  t.strictSame(sent.context.types, ['run_started', 'app', 'run_finished'], 'the message that exceeds the limit is not sent')
})

t.test('the message that visible gets is the one that is sent', async t => {
  const context = new FakeContext()
  const asked: unknown[] = []
  context.isHidden = message => {
    if (message.type === 'app') asked.push(message.data)
    return false
  }
  let reads = 0
  const { run } = setup(async run => {
    await run.send({ type: 'app', data: { get agent () { return reads++ === 0 ? 'outer' : 'inner' } } })
    await run.send({ type: 'app', data: { toJSON: () => ({ agent: 'outer' }) } })
    for (const data of [{ on: () => {} }, 5n, { get agent () { throw new Error('of the app') } }]) await t.rejects(run.send({ type: 'app', data }), { code: 'RT_ERR_INVALID_MESSAGE' })
  }, context)
  await run.begin()
  t.strictSame(asked, [{ agent: 'outer' }, { agent: 'outer' }])
  t.strictSame(context.published.filter(({ type }) => type === 'app').map(({ data }) => data), asked)
})

t.test('a source yields to the event loop, and pauses while the broker does not answer', async t => {
  const { opened, open } = gate()
  let taken = 0
  const context = new FakeContext()
  context.limits.message = context.limits.run = 10_000_000
  const { run } = setup(async run => {
    await run.stream((async function * () { for (; taken < 300; taken++) yield 'x'.repeat(1_024) })())
  }, context)
  const begun = run.begin()
  const turn = async () => {
    await loopTurns()
    context.turn()
  }
  await turn()
  t.ok(taken <= 17, `${taken} parts in a turn`)
  context.answer = () => opened
  for (let n = 0; n < 20; n++) await turn()
  t.ok(taken >= 64 && taken < 120, `${taken} parts while the broker does not answer`)
  context.answer = () => ({})
  open()
  for (let n = 0; n < 60; n++) await turn()
  await begun
  t.equal(await run.finished, 'complete')
  t.equal(context.published.at(-2)!.data.content.length, 300 * 1_024)
})

t.test('a source is stopped when its run is over', async t => {
  let told = 0
  const source = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}), return: () => Promise.reject(new Error(`told ${++told}`)) }) }
  const { run } = setup(run => run.stream(source))
  const begun = run.begin()
  await Promise.resolve()
  run.cancel()
  await begun
  t.equal(told, 1)
})

t.test('a run whose start cannot be stored ends with an error', async t => {
  const context = new FakeContext()
  const deliver = context.deliver.bind(context)
  context.deliver = message => message.type === 'run_started' ? Promise.reject(new Error('down')) as never : deliver(message)
  const { run } = setup(() => t.fail('it began'), context)
  await run.begin()
  t.equal(await run.finished, 'error')
  const { run: other, context: itsContext } = setup(async run => { await t.rejects(run.send({ type: 'app' }), { code: 'RT_ERR_BROKER' }) })
  itsContext.answer = down
  await other.begin()
  t.equal(await other.finished, 'complete')
})

t.test('a run that is over has no timers, however it ended', async t => {
  const { timers, planned } = movedClock(t)
  const ends: Array<(run: LiveRun, open: () => void) => void> = [(_run, open) => open(), run => run.cancel(), run => run.abandon(), run => run.end('error')]
  for (const end of ends) {
    const { opened, open } = gate()
    const { run } = setup(() => opened, Object.assign(new FakeContext(), { timers }))
    run.begin()
    t.equal(planned.size, 1, 'the timer of the run')
    run.ask({ prompt: '?' }, { timeout: 1_000 }).catch(() => {})
    t.equal(planned.size, 2, 'and the timer of the question')
    end(run, open)
    await run.finished
    t.equal(planned.size, 0)
    t.equal(run.questions.size, 0)
  }
})

t.test('parts of a run belong to its latest reply, or begin one that the next plain reply continues', async t => {
  const context = new FakeContext()
  const run = new LiveRun(context, {
    userId: 'u',
    handler: async run => {
      run.reasoning().write('hm')
      await run.stream((async function * () { yield 'text' })())
      const reply = run.reply({ agent: 'b' })
      reply.write('b')
      await run.source({ url: 'u' })
      await run.file({ url: 'data:,', media_type: 'text/plain' })
      await run.data('n', 1)
      await run.step()
    }
  })
  await run.begin()
  t.match(context.saved, [
    { content: 'text', parts: [{ kind: 'reasoning', text: 'hm' }, { kind: 'text' }] },
    { agent: 'b', content: 'b', parts: [{ kind: 'text' }, { kind: 'source' }, { kind: 'file' }, { kind: 'data' }, { kind: 'step' }] }
  ])
  t.equal(context.saved.length, 2)
})

t.test('a run weighs one for each begun 4 KiB of its message, and at least one', async t => {
  t.strictSame([0, 1, 4_096, 4_097, 8_192, 8_193].map(weightOf), [1, 1, 1, 2, 2, 3])
})

t.test('an abandoned run publishes nothing more', async t => {
  const { context, run } = setup(async run => {
    run.reply().write('text')
    await new Promise(() => {})
  })
  run.begin()
  run.abandon()
  context.turn()
  t.strictSame([context.types, await run.finished, run.signal.aborted], [['run_started'], 'interrupted', true])
})

t.test('a reply with another agent or role does not continue the one that parts have begun', async t => {
  for (const [options, count] of [[{}, 1], [{ role: 'assistant' }, 1], [{ role: 'system' }, 2], [{ agent: 'b' }, 2]] as const) {
    const { context, run } = setup(async run => {
      run.reasoning().write('hm')
      run.reply(options).write('text')
    })
    await run.begin()
    t.equal(context.saved.length, count, JSON.stringify(options))
  }
})

t.test('parts of a run belong to the latest reply that is open', async t => {
  const { context, run } = setup(async run => {
    const first = run.reply({ agent: 'a' })
    first.write('first')
    const second = run.reply({ agent: 'b' })
    second.write('second')
    await second.end()
    await run.step()
    await first.end()
    await run.step()
  })
  await run.begin()
  const kinds = context.saved.map(({ agent, parts }) => [agent, parts?.map(({ kind }: { kind: string }) => kind)])
  t.strictSame(kinds, [['b', undefined], ['a', ['text', 'step']], [undefined, ['step']]])
})

t.test('an unhandled rejection of a part is logged, unless the run is over', async t => {
  const { context, run } = setup(async run => {
    run.tool('t', {}, () => { throw new Error('of the tool') })
    await new Promise(() => {})
  })
  const warned: string[] = []
  Object.assign(context.log, { warn: (_fields: object, text: string) => warned.push(text) })
  run.begin()
  await eventually(() => warned.length > 0)
  t.match(warned, [`realtime: Part of the run ${run.id} failed, and nothing handles the rejection: of the tool`])
  run.cancel()
  run.send({ type: 'app' })
  await loopTurns()
  t.equal(warned.length, 1)
})

t.test('a run whose message was not stored publishes its end only if it was announced', async t => {
  const silent = setup()
  silent.run.refuse()
  t.strictSame([silent.context.types, await silent.run.finished], [[], 'interrupted'])
  const { context, run } = setup()
  run.announce()
  run.refuse()
  t.equal(await run.finished, 'error')
  t.match(context.published, [{ type: 'run_queued' }, { type: 'run_finished', data: { status: 'error', error: { code: 'handler_failed' } } }])
})

t.test('users see the message of an error of an answer, and of no other error', async t => {
  const errorOf = async (thrown: unknown) => {
    const { context, run } = setup(() => { throw thrown })
    await run.begin()
    return context.published.at(-1)!.data.error
  }
  t.strictSame(await errorOf(new errors.ANSWER_FAILED('the model is overloaded')), { code: 'answer_failed', message: 'the model is overloaded' })
  t.strictSame(await errorOf(new Error('secret')), { code: 'handler_failed', message: 'the server could not finish this run' })
})

t.test('whether a part is visible is decided by its beginning', async t => {
  const context = new FakeContext()
  const begun: Array<Record<string, unknown>> = []
  context.isHidden = ({ type, data }) => {
    begun.push({ type, ...data as object })
    return false
  }
  const { run } = setup(async run => {
    run.reply({ agent: 'b' }).write('text')
    await run.tool('find', { q: 1 }, () => {}, { id: 'c', agent: 'b' })
    run.ask({ prompt: 'Which?', callId: 'c' }).catch(() => {})
  }, context)
  await run.begin()
  const { id } = run
  t.strictSame(found(begun, ({ type }) => !/^run_/.test(`${type}`)), [
    { type: 'chat_message', message_id: begun[1].message_id, run_id: id, agent: 'b', role: 'assistant', content: '', status: 'streaming' },
    { type: 'tool_call', call_id: 'c', run_id: id, name: 'find', args: { q: 1 }, agent: 'b' },
    { type: 'input_request', request_id: begun[3].request_id, run_id: id, prompt: 'Which?', schema: undefined, component: undefined, call_id: 'c' }
  ])
})

t.test('a reply with more than limits.message ends its run with reply_too_long', async t => {
  const { context, run } = setup(run => { run.reply().write('x'.repeat(10_001)) })
  await run.begin()
  t.match(context.published.at(-1), { type: 'run_finished', data: { status: 'error', error: { code: 'reply_too_long', message: /'limits\.message'/ } } })
})

t.test('a source is stopped as soon as its text exceeds a limit', async t => {
  let taken = 0
  let isStopped = false
  async function * source () {
    try {
      for (; taken < 1_000; taken++) yield 'x'.repeat(1_000)
    } finally {
      isStopped = true
    }
  }
  const { run } = setup(run => run.stream(source()))
  run.begin()
  t.equal(await run.finished, 'error')
  await loopTurns()
  t.ok(taken < 12, `${taken} pieces`)
  t.ok(isStopped)
})

t.test('a source of empty pieces yields to the event loop, too, and leaves no message', async t => {
  let taken = 0
  const { context, run } = setup(run => run.stream((async function * () { for (; taken < 1_500; taken++) yield '' })()))
  run.begin()
  for (const most of [513, 1_026, 1_500]) {
    await loopTurns()
    t.ok(taken > most - 513 && taken <= most, `${taken} pieces`)
    context.turn()
  }
  t.equal(await run.finished, 'complete')
  t.strictSame([context.types, context.saved], [['run_started', 'run_finished'], []])
})

t.test('a run that is over refuses tools, questions, messages and sources, and starts none of them', async t => {
  const { context, run } = setup()
  await run.begin()
  const begun: string[] = []
  const calls = [
    run.tool('t', {}, () => { begun.push('tool') }), run.ask({ prompt: '?' }), run.send({ type: 'app' }),
    run.stream((async function * () { begun.push('source') })())
  ]
  for (const call of calls) await t.rejects(call, { code: 'RT_ERR_RUN_ENDED' })
  t.strictSame([context.types, begun], [['run_started', 'run_finished'], []])
})

t.test('the publications of a run are wanted until the run is abandoned', async t => {
  const context = new FakeContext()
  const wanted: Array<() => boolean> = []
  Object.assign(context, { deliver: (_message: unknown, isWanted: () => boolean) => { wanted.push(isWanted) } })
  const { run } = setup(() => new Promise(() => {}), context)
  run.begin()
  t.strictSame(wanted.map(isWanted => isWanted()), [true])
  run.abandon()
  t.strictSame(wanted.map(isWanted => isWanted()), [false], 'another server publishes its end')
})
