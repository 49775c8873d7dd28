import t from 'tap'
import { ChatLog } from '../../lib/chat/log/chat-log.js'
import { Chats, type ChatsParts } from '../../lib/chat/chats.js'
import type { ChatOptions, Inbound } from '../../lib/index.js'
import { Answers, type Answer } from '../../lib/server/inbound/answers.js'
import type { Refusal } from '../../lib/server/inbound/fault.js'
import type { Sender } from '../../lib/server/inbound/message-row.js'
import { gate, loopTurns } from '../waiting.js'
import { down, FakeContext } from './runs/context.js'

function setup (t: { teardown (action: () => unknown): void }, options: ChatOptions = {}, liveRuns = 100) {
  const context = new FakeContext()
  const channels: string[] = []
  const charged: number[] = []
  const chats = new Chats({
    options,
    limits: { ...context.limits, runs: 1, liveRuns, frame: 65_536, saveTime: 60_000 },
    publisher: {
      publish: (_kind: object, channel: string, message: never) => {
        channels.push(channel)
        return context.publish(message)
      }
    },
    timers: context.timers,
    log: context.log,
    flusher: { before: (action: () => void) => context.soon(action) }
  } as unknown as ChatsParts)
  t.teardown(() => { chats.close() })
  const rows = chats.kind.rows!
  const answers = new Answers()
  const log = new ChatLog('e', { size: 10, ttl: 1_000, lag: 1_000 })
  const controls: unknown[] = []
  const connection = (chatId = 'c', userId = 'u') => ({
    connection: {
      identity: { userId },
      charge: (bytes: number) => { charged.push(bytes) },
      control: (type: string, parts: object) => controls.push({ type, ...parts })
    },
    userId,
    channel: `chat:w/a/${chatId}/u`,
    log
  }) as unknown as Sender
  const handle = async (type: string, data?: object, ref?: string | number, from = connection()) => {
    const row = rows.get(type)!
    const message: Inbound = { type, data, ref }
    let error: unknown
    const run = async (isRetry: boolean): Promise<Answer> => {
      try {
        await row.handle(message, from, { isRetry, bytes: JSON.stringify(message).length })
        return {}
      } catch (thrown) {
        error = thrown
        return { fault: thrown as Refusal }
      }
    }
    const key = row.onceKey?.(message, from)
    const { fault } = await (key === undefined ? run(false) : answers.once(from.userId, key, run, row.mayRetry))
    if (fault !== undefined) throw error ?? fault
  }
  return { chats, channels, context, handle, rows, connection, log, controls, charged }
}

const address = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' }
const hang = () => new Promise(() => {})

t.test('chat_message is only handled when the option chat.onMessage is set', async t => {
  const types = (options: ChatOptions) => [...setup(t, options).rows.keys()].sort()
  t.strictSame(types({}), ['chat_cancel', 'chat_history', 'input_response'])
  t.strictSame(types({ onMessage: () => {}, loadHistory: () => [] }), ['chat_cancel', 'chat_history', 'chat_message', 'input_response'])
})

t.test('limits.liveRuns below the weight of the largest message throws RT_ERR_OPTIONS', async t => {
  t.throws(() => setup(t, {}, 15), { code: 'RT_ERR_OPTIONS', message: /'limits\.liveRuns' must be at least 16/ })
  t.doesNotThrow(() => setup(t, {}, 16))
})

t.test('a run that is refused leaves no active chat', async t => {
  const { chats, handle, connection } = setup(t, { onMessage: hang }, 16)
  for (let n = 0; n < 8; n++) chats.open({ ...address, chatId: `full${n}` }).start(hang)
  t.equal(chats.size, 8)
  t.throws(() => chats.open({ ...address, chatId: 'other' }).start(hang), { code: 'RT_ERR_CHAT_BUSY' })
  await t.rejects(handle('chat_message', { content: 'q' }, 'm', connection('another')), { code: 'chat_busy' })
  t.equal(chats.size, 8)
})

t.test('the weight of a run counts all fields of its message, not only content', async t => {
  const { handle, connection } = setup(t, { onMessage: hang }, 16)
  await handle('chat_message', { content: 'q', blob: 'x'.repeat(20_000) }, 'm', connection('a'))
  await t.rejects(handle('chat_message', { content: 'q', blob: 'x'.repeat(28_000) }, 'm', connection('b')), { code: 'chat_busy' })
})

t.test('10,000 chats leave no active chat once their runs are over', async t => {
  const { chats, handle, connection, context } = setup(t, { onMessage: run => run.reply().end(), save: () => {} })
  for (let n = 0; n < 10_000; n++) {
    chats.open({ ...address, chatId: `s${n}` }).start(() => {})
    if (n % 10 === 0) await handle('chat_message', { content: 'q' }, 'm', connection(`m${n}`))
  }
  await loopTurns(10)
  t.equal(chats.size, 0)
  t.equal(context.types.filter(type => type === 'run_finished').length, 11_000)
})

t.test('a chat whose runs failed, were refused, replaced or cancelled is not active any more', async t => {
  for (const concurrency of ['queue', 'replace'] as const) {
    const { chats, handle, context } = setup(t, { onMessage: hang, concurrency })
    context.answer = down
    await t.rejects(handle('chat_message', { content: 'q' }), { code: 'RT_ERR_BROKER' })
    context.answer = () => ({})
    for (const id of ['a', 'b']) await handle('chat_message', { content: 'q' }, id)
    t.equal(chats.size, 1)
    await handle('chat_cancel')
    t.equal(chats.size, 0)
  }
})

t.test('a message with a known id is handled once in its chat, even if another server handled it', async t => {
  const { handle, context, log, connection } = setup(t, { onMessage: () => {} })
  const count = () => context.types.filter(type => type === 'chat_message').length
  for (const [data, ref] of [[{ message_id: 'a' }, 'r'], [{ message_id: 'a' }, 's'], [{}, 'a']] as const) await handle('chat_message', { content: 'q', ...data }, ref)
  t.equal(count(), 1)
  await handle('chat_message', { content: 'q' }, 'a', connection('other'))
  t.equal(count(), 2, 'the id is new in another chat')
  log.append(JSON.stringify({ type: 'chat_message', data: { message_id: 'b', content: 'q', user_id: 'u' } }), 0)
  await handle('chat_message', { content: 'q' }, 'b')
  t.equal(count(), 2, 'another server has handled it')
  for (const ref of [5, 5, undefined]) await handle('chat_message', { content: 'q' }, ref)
  t.equal(count(), 5, 'a number is not an id')
})

t.test('a message that repeats one in the log starts a run, and is neither published nor saved again', async t => {
  const asked: string[] = []
  const saved: string[] = []
  const { handle, context, log, connection } = setup(t, {
    onMessage: (_, { id }) => { asked.push(id) },
    save: ({ message_id: id }) => { saved.push(id) }
  })
  const said = (data: object) => log.append(JSON.stringify({ type: 'chat_message', data: { role: 'user', ...data } }), 0)
  said({ message_id: 'a', content: 'q' })
  said({ message_id: 'bob/b', content: 'q' })
  await handle('chat_message', { content: 'q', repeats: 'a' }, 'a2')
  await handle('chat_message', { content: 'q', repeats: 'a' }, 'a2')
  await handle('chat_message', { content: 'q', repeats: 'b' }, 'b2', connection('c', 'bob'))
  t.strictSame(context.types, ['run_queued', 'run_started', 'run_finished', 'run_queued', 'run_started', 'run_finished'])
  t.strictSame([asked, saved], [['a2', 'bob/b2'], []])

  t.comment('its run is in the log: another server has handled it')
  log.append(JSON.stringify({ type: 'run_queued', data: { run_id: 'r', message_id: 'a3' } }), 0)
  await handle('chat_message', { content: 'q', repeats: 'a' }, 'a3')
  t.equal(asked.length, 2)

  t.comment('another text, or one that the log has no more, is a message like any other')
  await handle('chat_message', { content: 'other', repeats: 'a' }, 'a4')
  await handle('chat_message', { content: 'q', repeats: 'z' }, 'a5')
  t.strictSame(saved, ['a4', 'a5'])
  t.match(context.published.filter(({ type }) => type === 'chat_message'), [{ data: { content: 'other', repeats: 'a' } }, { data: { content: 'q', repeats: 'z' } }])
})

t.test('a message that was refused can be sent again, and two copies at once are handled once', async t => {
  const { handle, context } = setup(t, { onMessage: () => {} })
  context.answer = down
  const both = [handle('chat_message', { content: 'q' }, 'a'), handle('chat_message', { content: 'q' }, 'a')]
  for (const each of both) await t.rejects(each, { code: 'RT_ERR_BROKER' })
  context.answer = () => ({})
  await Promise.all([handle('chat_message', { content: 'q' }, 'a'), handle('chat_message', { content: 'q' }, 'a')])
  t.equal(context.types.filter(type => type === 'run_started').length, 1)
})

t.test('a cancel that arrives before its message is remembered if it names the message by a string', async t => {
  const { handle, context } = setup(t, { onMessage: hang })
  await handle('chat_cancel', { ref: 'a' })
  await handle('chat_cancel', { ref: 5 })
  await handle('chat_cancel', { run_id: 'b' })
  await handle('chat_message', { content: 'q', message_id: 'm' }, 'a')
  t.strictSame(context.types, ['chat_message', 'run_finished'])
  await handle('chat_message', { content: 'q' }, 5)
  t.equal(context.types.at(-1), 'run_started')
  await handle('chat_cancel', { ref: 5 })
  await handle('chat_message', { content: 'q' }, 'b')
  t.equal(context.types.at(-1), 'run_started')
})

t.test('the kind has a filter by identity only when chat.visible takes an identity', async t => {
  t.equal(setup(t).chats.kind.isSeen, undefined)
  t.equal(setup(t, { visible: () => false }).chats.kind.isSeen, undefined)
  const sees = setup(t, { visible: (_message, { userId }) => userId === 'v' }).chats.kind.isSeen!
  t.strictSame(['u', 'v'].map(userId => sees({ type: 'a' }, { userId })), [false, true])
})

t.test('the message ids of participants begin with their user ids, and those of the owner are as sent', async t => {
  const { handle, context, connection } = setup(t, { onMessage: () => {} })
  const ids = () => context.published.filter(({ type }) => type === 'chat_message').map(({ data }) => data.message_id)
  for (const userId of ['u', 'v', 'w']) await handle('chat_message', { content: 'q', message_id: 'm' }, 'r', connection('c', userId))
  t.strictSame(ids(), ['m', 'v/m', 'w/m'])
  for (const ref of [1, undefined]) await handle('chat_message', { content: 'q' }, ref)
  t.strictSame(ids().slice(3).map(id => id.indexOf('/')), [0, 0], 'an id of the server begins with a slash')
})

t.test('a cancel by ref applies to messages of the same user, whether it arrives before or after them', async t => {
  const { handle, context, connection } = setup(t, { onMessage: hang })
  const [owner, guest] = [connection(), connection('c', 'v')]
  const ends = () => context.published.filter(({ type }) => type === 'run_finished').map(({ data }) => data.message_id)
  await handle('chat_cancel', { ref: 'm' }, 1, guest)
  await handle('chat_message', { content: 'q', message_id: 'm' }, 'r', owner)
  t.strictSame(ends(), [])
  for (const ref of ['m', 'r', 'u/m', '/m']) await handle('chat_cancel', { ref }, 2, guest)
  t.strictSame(ends(), [], 'none of these is a message of the guest')
  await handle('chat_message', { content: 'q', message_id: 'm' }, 'r', guest)
  t.strictSame(ends(), ['v/m'], 'the cancel arrived before the message')
  await handle('chat_message', { content: 'q', message_id: 'n' }, 'r', guest)
  await handle('chat_cancel', { ref: 'v/n' }, 3, owner)
  t.strictSame(ends(), ['v/m', 'v/n'], "another user's message is named by its message_id")
  await handle('chat_cancel', { ref: 'r' }, 4, owner)
  t.strictSame(ends(), ['v/m', 'v/n', 'm'])
})

t.test('any participant of a chat can cancel a run of the app by its ref', async t => {
  const { chats, handle, connection } = setup(t)
  const run = chats.open(address).start(hang, { ref: 'greeting' })
  await handle('chat_cancel', { ref: 'greeting' }, 1, connection('c', 'v'))
  t.equal(await run.finished, 'cancelled')
})

t.test('a user cannot send the id of a message of the app while the log has that message', async t => {
  const { handle, context, log, connection } = setup(t, { onMessage: () => {} })
  log.append(JSON.stringify({ type: 'chat_message', data: { message_id: 'welcome', role: 'assistant', content: 'hi' } }), 0)
  log.append(JSON.stringify({ type: 'chat_delta', data: { message_id: 'growing', at: 0, text: 'hi' } }), 0)
  for (const id of ['welcome', 'growing']) await t.rejects(handle('chat_message', { content: 'q' }, id), { code: 'bad_message' })
  t.strictSame(context.types, [])
  await handle('chat_message', { content: 'q' }, 'welcome', connection('c', 'v'))
  t.match(context.published[0], { data: { message_id: 'v/welcome' } })
})

t.test('send publishes a visible message in the channel of the chat, and open refuses an invalid address', async t => {
  const { chats, channels, context } = setup(t, { visible: ({ type }) => type !== 'hidden' })
  await chats.open(address).send({ type: 'shown' })
  t.equal((await chats.open(address).send({ type: 'hidden' })).id, '')
  t.strictSame([channels, context.types], [['chat:w/a/c/u'], ['shown']])
  t.throws(() => chats.open({ ...address, chatId: 'a/b' }), { code: 'RT_ERR_INVALID_ID' })
})

t.test('the message that visible gets is the one that is sent', async t => {
  const asked: unknown[] = []
  const visible: ChatOptions['visible'] = ({ data }) => {
    asked.push((data as { agent: string }).agent)
    return asked.at(-1) === 'outer'
  }
  const { chats, context } = setup(t, { visible })
  const chat = chats.open(address)
  const data = (...agents: string[]) => ({ get agent () { return agents.shift() } })
  t.not((await chat.send({ type: 'app', data: data('outer', 'inner') })).id, '')
  t.equal((await chat.send({ type: 'app', data: data('inner', 'outer') })).id, '')
  t.strictSame(asked, ['outer', 'inner'])
  t.strictSame(context.published, [{ type: 'app', data: { agent: 'outer' } }])
  await t.rejects(chat.send({ type: 'app', data: () => {} }), { code: 'RT_ERR_INVALID_MESSAGE' })
})

t.test('close interrupts active runs and runs whose message is being saved, and later runs are refused', async t => {
  const { opened, open } = gate()
  const { chats, handle, context } = setup(t, { onMessage: hang, save: () => opened })
  const coming = handle('chat_message', { content: 'q' }, 'm')
  await loopTurns()
  const run = chats.open({ ...address, chatId: 'other' }).start(hang)
  const closed = chats.close()
  t.equal(await run.finished, 'interrupted')
  open()
  await Promise.all([coming, closed])
  t.match(context.published.at(-1), { type: 'run_finished', data: { ref: 'm', status: 'interrupted' } })
  t.throws(() => chats.open(address).start(hang), { code: 'RT_ERR_CLOSING' })
  await t.rejects(handle('chat_message', { content: 'q' }, 'n'), { code: 'RT_ERR_CLOSING' })
  t.equal(chats.size, 0)
  await setup(t).chats.close()
})

t.test('a page of the history goes to the connection that requested it, and is complete when it is empty', async t => {
  const message = { message_id: 'a', content: 'c', timestamp: '' }
  const { handle, controls } = setup(t, { loadHistory: (_target, before) => before === undefined ? [message] : [] })
  await handle('chat_history', undefined, 'r')
  await handle('chat_history', { before: 'a' })
  t.strictSame(controls, [
    { type: 'chat_history', ref: 'r', channel: 'chat:w/a/c/u', data: { messages: [message], is_complete: false } },
    { type: 'chat_history', ref: undefined, channel: 'chat:w/a/c/u', data: { messages: [], is_complete: true } }
  ])
})

t.test('a page of the history of exactly limits.message bytes is sent, and a larger one is refused', async t => {
  const { limits: { message: limit } } = new FakeContext()
  const pageOf = (content: string) => [{ message_id: 'a', content, timestamp: '' }]
  const room = limit - JSON.stringify(pageOf('')).length
  let content = 'x'.repeat(room)
  const { handle, controls } = setup(t, { loadHistory: () => pageOf(content) })
  await handle('chat_history')
  t.equal(controls.length, 1)
  content += 'x'
  await t.rejects(handle('chat_history'), { code: 'RT_ERR_MESSAGE_TOO_LARGE' })
  t.equal(controls.length, 1)
})

t.test('history is converted to JSON before visible gets it and before it is sent', async t => {
  const rows = () => [
    { message_id: 'a', content: 'one', timestamp: new Date(0), agent: { toJSON: () => 'outer' } },
    { message_id: 'b', content: 'two', timestamp: new Date(0), agent: Object('inner') }
  ] as never
  const asked: unknown[] = []
  const { handle, controls } = setup(t, {
    loadHistory: rows,
    visible: message => {
      asked.push((message.data as { agent?: string }).agent)
      return asked.at(-1) !== 'inner'
    }
  })
  await handle('chat_history')
  t.strictSame(asked, ['outer', 'inner'])
  t.strictSame(controls, [{
    type: 'chat_history',
    ref: undefined,
    channel: 'chat:w/a/c/u',
    data: { messages: [{ message_id: 'a', content: 'one', timestamp: '1970-01-01T00:00:00.000Z', agent: 'outer' }], is_complete: false }
  }])
  for (const [wrong, path] of [[() => {}, 'messages/0/x'], [5n, 'messages/0/x'], [new Map(), 'messages/0/x']] as const) {
    const { handle } = setup(t, { loadHistory: () => [{ message_id: 'a', content: '', timestamp: '', x: wrong }] as never })
    await t.rejects(handle('chat_history'), { code: 'RT_ERR_INVALID_MESSAGE', message: new RegExp(path) })
  }
})

t.test('a message that needs an option which is not set is refused, with the name of the option', async t => {
  const { chats, handle, connection } = setup(t)
  await t.rejects(handle('chat_history'), { code: 'unknown_type', message: /'chat\.loadHistory'/ })
  const { handle: refuse } = chats.kind.fallbacks!.get('chat_message')!
  t.throws(() => refuse({ type: 'chat_message' }, connection(), { isRetry: false, bytes: 10 }), { code: 'unknown_type', message: /'chat\.onMessage'/ })
  await t.rejects(chats.open(address).members(), { code: 'RT_ERR_NO_PRESENCE', message: /'chat\.presence'/ })
})

t.test('loadHistory must return an array of messages, and not of promises', async t => {
  const load = (history: unknown) => setup(t, { loadHistory: () => history as never }).handle('chat_history')
  for (const wrong of [undefined, {}]) await t.rejects(load(wrong), { message: "'chat.loadHistory' must return an array of messages" })
  await t.rejects(load([Promise.reject(new Error('not handled'))]), { message: /an array of promises: await Promise\.all/ })
})

t.test('a cancel by run_id applies to that run alone, and is not remembered', async t => {
  const { chats, handle } = setup(t, { onMessage: hang })
  const [first, second] = [1, 2].map(() => chats.open(address).start(hang))
  await handle('chat_cancel', { run_id: second.id, ref: 'a' })
  t.equal(await second.finished, 'cancelled')
  t.equal(first.signal.aborted, false)
  first.cancel()
  await handle('chat_message', { content: 'q' }, 'a')
  t.equal(chats.size, 1, 'the message is not cancelled')
})

t.test('an answer, and a cancel that names a run, do not wait for earlier messages', async t => {
  const { rows } = setup(t)
  const isUrgent = (type: string, data?: object) => rows.get(type)!.isUrgent!({ type, data })
  t.equal(isUrgent('input_response', { request_id: 'x' }), true)
  t.strictSame([{ run_id: 'x' }, { ref: 'a' }, { ref: 5 }, {}, undefined].map(data => isUrgent('chat_cancel', data)), [true, true, false, false, false])
})

t.test('the work that a closing server waits for is named', async t => {
  const { opened, open } = gate()
  const { chats, handle } = setup(t, { onMessage: () => {}, save: () => opened })
  const received = handle('chat_message', { content: 'q', message_id: 'm' }, 'r')
  await loopTurns()
  t.strictSame(chats.awaited(), [
    { field: 'saves', items: ['m'], text: 'chat.save of message', isOfApp: true }, { field: 'runs', items: [], text: 'the end of run', isOfApp: true }
  ])
  open()
  await received
  t.strictSame(chats.awaited().map(({ items }) => items), [[], []])
})
