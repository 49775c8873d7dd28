import t from 'tap'
import { Budget } from '../../lib/brokers/budget.js'
import { ActiveChat, type ActiveChatParts, type UserData } from '../../lib/chat/active-chat.js'
import type { ChatOptions, Run } from '../../lib/index.js'
import { runNameOf } from '../../lib/chat/runs/run-name.js'
import { movedClock } from '../clock.js'
import { gate, loopTurns } from '../waiting.js'
import { down, FakeContext } from './runs/context.js'

function setup (t: { teardown (action: () => unknown): void }, options: ChatOptions = {}, runs = 2, enter?: ActiveChatParts['enter']) {
  const context = new FakeContext()
  // The clock stands still: a save is slow only if a test says so.
  const { timers, pass } = movedClock(t)
  const state = { idle: 0 }
  const budget = new Budget(10)
  const conversation = new ActiveChat(context.target, {
    options,
    limits: { ...context.limits, runs, saveTime: 60_000 },
    timers,
    log: context.log,
    publish: message => context.publish(message),
    soon: action => context.soon(action),
    runs: budget,
    enter,
    onIdle: () => { state.idle++ }
  } as ActiveChatParts)
  t.teardown(() => conversation.end())
  return { context, conversation, state, budget, pass }
}

const hang = (name: string) => ({ userId: 'u', ref: name, handler: () => new Promise(() => {}) })
const user = (id: string): UserData => ({ message_id: id, role: 'user', content: id, status: 'complete' })

t.test('a chat executes its runs one at a time, in order, and is then idle', async t => {
  const { context, conversation, state } = setup(t)
  const gates = [gate(), gate()]
  const runs = gates.map(({ opened }, n) => conversation.start({ userId: 'u', ref: n, handler: () => opened }))
  t.strictSame(runs.map(({ state }) => state), ['going', 'waiting'])
  gates[0].open()
  await runs[0].finished
  t.strictSame(runs.map(({ state }) => state), ['over', 'going'])
  t.equal(state.idle, 0)
  gates[1].open()
  await runs[1].finished
  t.strictSame(context.types, ['run_started', 'run_queued', 'run_finished', 'run_started', 'run_finished'])
  t.equal(state.idle, 1)
})

t.test('a chat has room for one active run and limits.runs waiting ones, including runs whose message is being saved', async t => {
  const { opened, open } = gate()
  const { conversation } = setup(t, { save: () => opened })
  const rooms: boolean[] = []
  const look = () => rooms.push(conversation.lack(hang('next')) === undefined)
  look()
  conversation.start(hang('a'))
  look()
  conversation.start(hang('b'))
  look()
  const received = conversation.receive(user('c'), hang('c'))
  look()
  t.strictSame(rooms, [true, true, true, false])
  t.match(conversation.lack(hang('d')), { reason: '2 runs of this chat are already waiting', cure: /'limits\.runs'/ })
  const replacing = setup(t, { concurrency: 'replace' }, 0).conversation
  replacing.start(hang('a'))
  t.equal(replacing.lack(hang('b')), undefined, 'a run that replaces another one needs no room')
  open()
  await received
})

t.test('the runs of a user never weigh more than what is left of limits.liveRuns', async t => {
  const { conversation, budget } = setup(t, {}, 100)
  const heavy = { ...hang('heavy'), weight: 4 }
  conversation.start(heavy)
  t.equal(conversation.lack(hang('b')), undefined)
  t.match(conversation.lack(heavy), { reason: /no room/, cure: /'limits\.liveRuns'/ })
  conversation.start(hang('b'))
  t.ok(conversation.lack(hang('c')), 'the user has half of it')
  t.equal(conversation.lack({ ...hang('c'), userId: 'v' }), undefined, 'another user has room')
  t.equal(budget.heldBy('u'), 5)
  conversation.end()
  t.equal(budget.used, 0, 'a run that is over does not count')
})

t.test('the run of a message counts from the start of the save until the save fails or the run is over', async t => {
  const { opened, open } = gate()
  const { conversation, budget } = setup(t, { save: () => opened.then(() => { throw new Error('down') }) }, 100)
  const received = conversation.receive(user('a'), { ...hang('a'), weight: 3 })
  t.equal(budget.heldBy('u'), 3)
  open()
  await t.rejects(received, { message: 'down' })
  t.equal(budget.used, 0)

  const { conversation: other, budget: others, context } = setup(t, {}, 100)
  context.answer = down
  await t.rejects(other.receive(user('a'), { ...hang('a'), weight: 3 }))
  t.equal(others.used, 0, 'nor when it cannot be published')
  context.answer = () => ({ id: 'c.e.1', timestamp: '' })
  await other.receive(user('b'), hang('b'), 'cancelled')
  t.equal(others.used, 0, 'nor when it was cancelled before')
})

t.test('no waiting run begins when all runs are ended', async t => {
  for (const end of ['cancel', 'end'] as const) {
    const { context, conversation } = setup(t)
    for (const name of ['a', 'b', 'c']) conversation.start(hang(name))
    conversation[end]()
    t.strictSame(context.published.map(({ type, data }) => `${type} ${data.ref}`),
      ['run_started a', 'run_queued b', 'run_queued c', 'run_finished c', 'run_finished b', 'run_finished a'])
    t.equal(context.published[3].data.status, end === 'cancel' ? 'cancelled' : 'interrupted')
    t.equal(conversation.cancel(), false)
  }
})

t.test('a run is cancelled by its name or by its id', async t => {
  const { context, conversation } = setup(t)
  const [, second, third] = ['a', 'b', 'c'].map(name => conversation.start(hang(name)))
  t.strictSame([conversation.cancel({ runId: 'x' }), conversation.cancel(runNameOf('b', 'u', conversation.target)), conversation.cancel({ runId: third.id })], [false, true, true])
  t.strictSame([second.state, third.state], ['over', 'over'])
  t.strictSame(context.types, ['run_started', 'run_queued', 'run_queued', 'run_finished', 'run_finished'])
})

t.test('a message is saved, then published, then answered, and the chat is not idle meanwhile', async t => {
  const order: string[] = []
  const { opened, open } = gate()
  const { context, conversation, state } = setup(t, {
    save: async () => {
      await opened
      order.push('saved')
    }
  })
  const received = conversation.receive(user('m'), { userId: 'u', ref: 'm', handler: () => { order.push(...context.types) } })
  await loopTurns()
  t.equal(state.idle, 0)
  open()
  await received
  t.strictSame(order, ['saved', 'chat_message', 'run_started'])
  await loopTurns()
  t.ok(state.idle > 0)
})

t.test('a message whose run is ended during the save is published, and its run finishes without a start', async t => {
  const ends: Array<{ stop?: 'cancelled', end: (conversation: ActiveChat) => unknown, returned: unknown, status: string }> = [
    { end: conversation => conversation.cancel(runNameOf('m', 'u', conversation.target)), returned: true, status: 'cancelled' },
    { end: conversation => conversation.cancel(), returned: true, status: 'cancelled' },
    { end: conversation => conversation.end(), returned: undefined, status: 'interrupted' },
    { stop: 'cancelled', end: () => undefined, returned: undefined, status: 'cancelled' }
  ]
  for (const { stop, end, returned, status } of ends) {
    const { opened, open } = gate()
    const { context, conversation } = setup(t, { save: () => opened })
    const received = conversation.receive(user('m'), hang('m'), stop)
    t.equal(end(conversation), returned)
    open()
    await received
    t.strictSame(context.types, ['chat_message', 'run_finished'])
    t.equal(context.published[1].data.status, status)
  }
})

t.test('a message that cannot be saved or published is refused, and leaves the chat idle', async t => {
  const unsaved = setup(t, { save: () => { throw new Error('no') } })
  await t.rejects(unsaved.conversation.receive(user('m'), hang('m')), { message: 'no' })
  t.strictSame(unsaved.context.published, [])
  await loopTurns()
  t.ok(unsaved.state.idle > 0)
  const unpublished = setup(t)
  unpublished.context.answer = down
  await t.rejects(unpublished.conversation.receive(user('m'), hang('m')), { code: 'RT_ERR_BROKER' })
  t.equal(unpublished.state.idle, 1)
})

t.test('a message whose text was said before is announced, then answered, and refused when that cannot be stored', async t => {
  const { context, conversation } = setup(t, { save: () => { throw new Error('not saved again') } })
  await conversation.receive(undefined, { userId: 'u', messageId: 'm', handler: () => {} })
  t.strictSame(context.types, ['run_queued', 'run_started', 'run_finished'])
  await conversation.receive(undefined, hang('n'), 'cancelled')
  t.strictSame(context.types.slice(3), ['run_queued', 'run_finished'])
  const other = setup(t)
  other.context.answer = down
  await t.rejects(other.conversation.receive(undefined, hang('m')), { code: 'RT_ERR_BROKER' })
  t.strictSame(other.context.types, [], 'a run that was never announced has no end')
  t.equal(other.state.idle, 1)
})

t.test('a message that is not visible is answered nevertheless', async t => {
  const { context, conversation } = setup(t, { visible: ({ type }) => type !== 'chat_message' })
  await conversation.receive(user('m'), { userId: 'u', ref: 'm', handler: () => {} })
  t.strictSame(context.types, ['run_started', 'run_finished'])
})

t.test('with concurrency replace, a new run cancels the active one and starts', async t => {
  const { context, conversation, state } = setup(t, { concurrency: 'replace' })
  const runs = ['a', 'b'].map(name => conversation.start(hang(name)))
  t.equal(state.idle, 0, 'the chat is not idle between the two')
  t.strictSame(runs.map(({ state }) => state), ['over', 'going'])
  t.strictSame(context.types, ['run_started', 'run_finished', 'run_started'])
})

t.test('settled resolves when every run is over and every message is saved', async t => {
  const { opened, open } = gate()
  const saved: string[] = []
  const { conversation } = setup(t, {
    save: async ({ content }) => {
      await opened
      saved.push(content)
    }
  })
  conversation.start({
    ...hang('a'),
    handler: (run: Run) => {
      run.reply().write('text')
      return new Promise(() => {})
    }
  })
  conversation.end()
  let isSettled = false
  const settled = conversation.settled().then(() => { isSettled = true })
  await loopTurns()
  t.equal(isSettled, false)
  open()
  await settled
  t.strictSame(saved, ['text'])
  await conversation.settled()
})

t.test('the questions of a chat are those of its active run', async t => {
  const { conversation } = setup(t)
  t.equal(conversation.question('q'), undefined)
  const run = conversation.start({ ...hang('a'), handler: (run: Run) => run.ask({ prompt: 'p' }) })
  const [[id, question]] = run.questions
  t.equal(conversation.question(id), question)
  t.equal(conversation.question('other'), undefined)
})

t.test('a reply that cannot be saved is logged', async t => {
  const { context, conversation } = setup(t, { save: () => { throw new Error('no') } })
  conversation.save(user('m'))
  await loopTurns()
  t.strictSame(context.logged, ['realtime: a message was not saved'])
})

t.test('with several servers a run whose message is saved at once is registered once, and not again after its end', async t => {
  const entered: unknown[] = []
  const enter = (run: unknown) => {
    entered.push(run)
    return { registered: Promise.resolve(), take: async () => {}, end: async () => {} }
  }
  const { conversation, pass } = setup(t, { save: () => {} }, 2, enter as never)
  await conversation.receive(user('a'), { userId: 'u', ref: 'a', handler: () => {} })
  await conversation.settled()
  // A slow save registers it after 5 ms.
  pass(10)
  t.equal(entered.length, 1)
})

t.test('with several servers a run waits for its turn, and releases it once its end is stored or given up', async t => {
  const { opened, open } = gate()
  const order: string[] = []
  const turn = (run: { told: unknown }) => ({
    registered: Promise.resolve(),
    take: () => opened,
    end: async () => { order.push(run.told instanceof Promise ? await run.told.then(() => 'told', () => 'given up') : 'told') }
  })
  const { context, conversation, state } = setup(t, {}, 2, turn as never)
  const run = conversation.start({ userId: 'u', handler: () => { order.push('works') } })
  await conversation.receive(user('m'), { userId: 'u', messageId: 'm', handler: () => { context.answer = () => { throw new Error('closing') } } })
  t.strictSame([run.state, order], ['waiting', []])
  open()
  await loopTurns(5)
  t.strictSame(order, ['works', 'told', 'given up'])
  t.ok(state.idle > 0)
})

t.test('the cancel of another message does not stop a run whose message is being saved', async t => {
  const { opened, open } = gate()
  const { context, conversation } = setup(t, { save: () => opened })
  const received = conversation.receive(user('m'), hang('m'))
  t.equal(conversation.cancel({ runId: 'another' }), false)
  open()
  await received
  t.strictSame(context.types, ['chat_message', 'run_started'])
})

t.test('the runs and the saves that a chat waits for are named', async t => {
  const { opened, open } = gate()
  const turn = () => ({ registered: Promise.resolve(), take: async () => {}, end: () => opened })
  const { conversation } = setup(t, { save: () => opened }, 2, turn as never)
  const run = conversation.start({ userId: 'u', handler: (run: Run) => run.reply().end() })
  await run.finished
  t.strictSame(conversation.awaited, { runs: [run.id], saves: conversation.awaited.saves })
  t.equal(conversation.awaited.saves.length, 1)
  open()
  await conversation.settled()
  t.strictSame(conversation.awaited, { runs: [], saves: [] })
})
