import t from 'tap'
import type { ChatOptions, SavedMessage } from '../../lib/index.js'
import { all, ask, finished, startChat, type Data } from '../chat.js'
import { eventually, loopTurns } from '../waiting.js'

/** A run of two agents. Each writes a reply, calls a tool and streams a text. */
const chatter: ChatOptions['onMessage'] = async run => {
  const work = async (agent: string) => {
    const reply = run.reply({ agent })
    reply.write(`${agent} begins`)
    await loopTurns()
    reply.write(', goes on')
    await loopTurns()
    await run.tool('search', { of: agent }, async ({ progress }) => {
      progress(agent)
      await loopTurns()
      return agent
    }, { agent })
    await reply.end()
    await run.stream((async function * () { yield agent })(), { agent })
  }
  await Promise.all([work('inner'), work('outer')])
}

const isOuter = (message: { data?: unknown }) => (message.data as Data).agent !== 'inner'

t.test('messages that visible hides from all users are saved but not published', async t => {
  const saved: SavedMessage[] = []
  const { join } = await startChat(t, {
    onMessage: chatter, visible: isOuter, save: message => { saved.push(message) }, loadHistory: () => saved
  })
  const client = await join()
  await ask(client, 'chat_message', { content: 'q' }, 'm')
  await finished(client)
  const late = await join()
  await finished(late)
  await ask(late, 'chat_history', {})
  for (const each of [client, late]) t.notMatch(JSON.stringify(each.received), 'inner')
  t.match(JSON.stringify(client.received), 'outer begins, goes on')
  t.match(all(late, 'chat_history')[0].messages.map(({ agent }: Data) => agent), [undefined, 'outer', 'outer'])
  t.strictSame(saved.map(({ agent }) => agent).sort(), ['inner', 'inner', 'outer', 'outer', undefined], 'hidden messages are saved too')
})

t.test('a user never gets a message that visible hides from them, live, late or on resume, and another user gets it', async t => {
  const saved: SavedMessage[] = []
  const { join } = await startChat(t, {
    onMessage: chatter,
    visible: (message, { userId }) => userId === 'u1' || isOuter(message),
    save: message => { saved.push(message) },
    loadHistory: () => saved
  })
  const [owner, guest] = [await join('u1'), await join('u2')]
  const started = ask(owner, 'chat_message', { content: 'q' }, 'm')
  const middle = [await join('u2'), await join('u2', '0')]
  await started
  await finished(owner)
  const late = await join('u2')
  await guest.until(() => all(guest, 'run_finished').length === 1)
  const ids = guest.received.flatMap(({ id }) => id ?? [])
  const resumed = await Promise.all(ids.map(since => join('u2', since)))
  await ask(late, 'chat_history', {})
  await ask(owner, 'chat_history', {})
  for (const each of [guest, late, ...middle]) {
    await finished(each)
    t.notMatch(JSON.stringify(each.received), 'inner')
    t.match(JSON.stringify(each.received), 'outer begins, goes on')
  }
  for (const each of resumed) {
    await ask(each, 'chat_cancel', {})
    t.notMatch(JSON.stringify(each.received), 'inner')
  }
  t.match(JSON.stringify(owner.received), 'inner begins, goes on')
  t.equal(all(owner, 'chat_history')[0].messages.length, 5)
  t.equal(all(late, 'chat_history')[0].messages.length, 3)
})

t.test('visible gets the role of a reply from its first delta on, and hides the message when it throws or returns a promise', async t => {
  const shown = (role: string) => role !== 'note'
  for (const visible of [
    ({ data }: { data?: unknown }) => shown((data as Data).role),
    ({ data }: { data?: unknown }, _identity: unknown) => shown((data as Data).role),
    ({ data }: { data?: unknown }) => {
      if ((data as Data).role === 'note') throw new Error('secret')
      return true
    },
    async () => true
  ] as Array<ChatOptions['visible']>) {
    const { chat, join } = await startChat(t, { visible })
    const client = await join()
    await chat.start(async run => {
      const reply = run.reply({ role: 'note' })
      for (let n = 0; n < 5; n++) {
        reply.write('private')
        await loopTurns()
      }
    }).finished
    t.equal((await chat.send({ type: 'chat_message', data: { content: 'private', role: 'note' } })).id === '', visible!.length < 2)
    await ask(client, 'chat_cancel', {})
    t.notMatch(JSON.stringify(client.received), 'private')
  }
})

t.test('messages are saved whole and in order, and a message whose save fails is answered with handler_failed', async t => {
  const saved: SavedMessage[] = []
  const targets: unknown[] = []
  const { join } = await startChat(t, {
    save: async (message, target) => {
      await loopTurns()
      if (message.content === 'wrong') throw new Error('secret')
      saved.push(message)
      targets.push(target)
    },
    loadHistory: async (_target, before) => {
      const end = before === undefined ? saved.length : saved.findIndex(({ message_id: id }) => id === before)
      return saved.slice(Math.max(0, end - 2), end)
    },
    onMessage: async (run, { content }) => {
      const reply = run.reply({ agent: 'a' })
      for (const word of [content, '!']) {
        reply.write(word)
        await loopTurns()
      }
    }
  })
  const client = await join()
  t.equal(await ask(client, 'chat_message', { content: 'wrong' }, 'm0'), 'handler_failed')
  t.equal(await ask(client, 'chat_message', { content: 'one', colour: 'red' }, 'm1'), 'ack')
  t.equal(await ask(client, 'chat_message', { content: 'two', timestamp: 'forged' }, 'm2'), 'ack')
  await finished(client, 2)
  t.notMatch(JSON.stringify(client.received), /wrong|secret/)
  await eventually(() => saved.length === 4)
  t.match(saved, [
    { message_id: 'm1', role: 'user', content: 'one', status: 'complete', user_id: 'u1', colour: 'red', timestamp: /Z$/ },
    { message_id: String, role: String, content: /^(one!|two)$/, status: 'complete', timestamp: /Z$/ },
    { content: String },
    { content: 'two!', agent: 'a', role: 'assistant', run_id: String }
  ])
  t.strictSame(targets[0], { workflow: 'support', appId: 'app', chatId: 'c1', userId: 'u1' })

  const ids = saved.map(({ message_id: id }) => id)
  t.equal(await ask(client, 'chat_history', undefined, 'h1'), 'ack')
  t.equal(await ask(client, 'chat_history', { before: ids[2] }, 'h2'), 'ack')
  t.equal(await ask(client, 'chat_history', { before: ids[0] }, 'h3'), 'ack')
  t.equal(await ask(client, 'chat_history', { before: ids[0] }, 'h3'), 'ack', 'a repeated request is answered again')
  t.strictSame(all(client, 'chat_history').map(({ messages, is_complete: isComplete }) => [messages.map((each: Data) => each.message_id), isComplete]),
    [[ids.slice(2), false], [ids.slice(0, 2), false], [[], true], [[], true]])
  const [first] = all(client, 'chat_history')
  t.strictSame(first.messages, JSON.parse(JSON.stringify(saved.slice(2))))
  const at = client.received.findIndex(({ type }) => type === 'chat_history')
  t.match(client.received.slice(at, at + 2), [{ type: 'chat_history', ref: 'h1' }, { type: 'ack', ref: 'h1' }])
})

t.test('chat_history is an unknown type without loadHistory, and fails when loadHistory throws or returns nothing or too much', async t => {
  const { join } = await startChat(t)
  t.equal(await ask(await join(), 'chat_history'), 'unknown_type')
  const tooMuch = () => Array(20).fill({ message_id: 'm', content: 'x'.repeat(1_000), timestamp: '' })
  for (const loadHistory of [() => undefined, () => { throw new Error('secret') }, tooMuch]) {
    const { join } = await startChat(t, { loadHistory: loadHistory as never }, { limits: { message: 10_000 } })
    const client = await join()
    t.equal(await ask(client, 'chat_history'), 'handler_failed')
    t.notMatch(JSON.stringify(client.received), 'secret')
  }
})
