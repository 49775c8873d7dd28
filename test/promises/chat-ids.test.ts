import t from 'tap'
import { redisBroker } from '../../lib/redis.js'
import type { ChatOptions, RealtimeOptions, SavedMessage } from '../../lib/index.js'
import { all, ask, finished, startChat, type Data, type Started } from '../chat.js'
import { brokersOfNodes } from '../fake-nodes.js'
import { every } from '../every.js'
import { as, authenticateByHeader, connect, start } from '../harness.js'
import { RedisServer, skipRedis } from '../redis-server.js'

type Test = Parameters<typeof startChat>[0]
type Client = Awaited<ReturnType<Started['join']>>

/** Publications that a log keeps: few, so that messages leave it soon. */
const size = 4

/** Two servers of one app, by the place of their logs. */
const places: Record<string, { skip?: string | boolean, serve: (t: Test, chat: ChatOptions) => Promise<Started[]> }> = {
  'in memory': {
    async serve (t, chat) {
      const one = await startChat(t, chat, { history: { size }, limits: generous })
      return [one, one]
    }
  },
  'on two nodes': {
    serve: async (t, chat) => Promise.all(brokersOfNodes(2, size).map(broker => startChat(t, chat, { broker, limits: generous })))
  },
  'on two nodes with Redis': {
    skip: skipRedis,
    async serve (t, chat) {
      const { url } = await RedisServer.start(t)
      const broker = () => redisBroker({ url, history: { size }, chat: { size } })
      return Promise.all([1, 2].map(() => startChat(t, chat, { broker: broker(), limits: generous })))
    }
  }
}

const generous: RealtimeOptions['limits'] = { strikes: 10_000, rate: 10_000, burst: 10_000, runs: 1_000 }

/** Fills the log with other publications, and returns the ids of the messages that are still in it. */
async function evict ({ chat, join }: Started): Promise<string[]> {
  for (let n = 0; n < 50; n++) await chat.send({ type: 'filler', data: { n } })
  const late = await join()
  await ask(late, 'chat_cancel', { run_id: 'none' }, 1)
  return all(late, 'chat_message').map(({ message_id: id }) => id)
}

/** A chat of u1 that collects its saved messages. */
async function serveSaving (t: Test, serve: (typeof places)[string]['serve'], onSave = (_message: SavedMessage) => {}) {
  const saved: SavedMessage[] = []
  const servers = await serve(t, {
    onMessage: async (run, { content }) => { if (content !== 'silent') await run.reply().end() },
    save: message => {
      onSave(message)
      saved.push(message)
    }
  })
  return { servers, saved }
}

/** The authors of each message id: users, or the server. */
function authorsOf (messages: Data[]): Map<string, Set<string>> {
  const authors = new Map<string, Set<string>>()
  for (const { message_id: id, user_id: userId = 'the server' } of messages) authors.set(id, (authors.get(id) ?? new Set()).add(userId))
  return authors
}

for (const [place, { skip, serve }] of Object.entries(places)) {
  t.test(`no user can publish or save under the id of another user's message, in the log or not, ${place}`, { skip }, async t => {
    const { servers: [a, b], saved } = await serveSaving(t, serve)
    const [owner, guest, other, witness] = [await a.join('u1'), await b.join('u2'), await a.join('u3'), await b.join('u4')]
    for (const client of [owner, other]) t.equal(await ask(client, 'chat_message', { content: 'first', message_id: 'm1' }), 'ack')
    await finished(witness, 2)
    const replies = saved.filter(({ role }) => role === 'assistant').map(({ message_id: id }) => id)
    t.equal(replies.length, 2)
    t.ok(every(replies, id => id.includes('/')))
    const hostile = ['m1', 'u1/m1', 'u3/m1', '/m1', 'm1 u1', 'm1 u2', 'u1 m1', 'u1%2Fm1', 'u1\\m1', 'u1∕m1', 'm1\ud800', 'M1', 'm1\u0000', ' m1', 'x'.repeat(128)]

    const sendAll = async () => {
      for (const [user, client] of Object.entries({ u2: guest, u1: owner })) {
        for (const id of [...hostile, ...replies, ...replies.map(id => id.slice(1))]) {
          const before = client.received.length
          const answer = await ask(client, 'chat_message', { content: 'silent', message_id: id })
          const isFaulty = id.includes('/') || id.includes('\ud800')
          t.equal(answer, isFaulty ? 'bad_message' : 'ack', `${user}: ${JSON.stringify(id)}`)
          const errors = client.received.slice(before).filter(({ type }) => type === 'error').map(({ data }) => (data as { message: string }).message)
          t.equal(errors.length, isFaulty ? 1 : 0)
          t.match(errors, isFaulty ? [/slash|surrogate/] : [])
        }
      }
    }
    await sendAll()
    t.strictSame(await evict(a), [], 'the log has none of the messages')
    await sendAll()
    await finished(witness, 2)
    await witness.until(() => all(witness, 'run_started').length === all(witness, 'run_finished').length)
    for (const messages of [saved, all(witness, 'chat_message').filter(({ status }) => status !== 'streaming')]) {
      for (const [id, authors] of authorsOf(messages)) {
        const [author] = authors
        t.equal(authors.size, 1, JSON.stringify(id))
        t.equal(id.slice(0, id.indexOf('/') + 1), { u1: '', 'the server': '/' }[author] ?? `${author}/`)
      }
    }
    const ids = saved.filter(({ role }) => role === 'user').map(({ message_id: id }) => id)
    t.equal(new Set(ids).size, ids.length, 'a message that is sent again is saved once')
    t.equal(ids.length, 2 + 13 + 12, 'each new id is saved; m1 of the owner exists already')
  })

  t.test(`a message that is sent again appears once, on any server, and is accepted after a failed save, ${place}`, { skip }, async t => {
    const failing = new Set(['u2/m1'])
    const { servers: [a, b], saved } = await serveSaving(t, serve, ({ message_id: id }) => { if (failing.delete(id)) throw new Error('disk full') })
    const [here, there, witness] = [await a.join('u2'), await b.join('u2'), await a.join('u1')]
    const send = (client: Client, data = {}, ref?: string) => ask(client, 'chat_message', { content: 'silent', ...data }, ref)
    t.equal(await send(here, { message_id: 'm1' }), 'handler_failed')
    t.strictSame(saved, [])
    for (const client of [there, here, there]) t.equal(await send(client, { message_id: 'm1' }), 'ack')
    t.equal(await send(here, {}, 'm1'), 'ack', 'the ref serves as the id')
    await finished(witness)
    t.strictSame(await evict(a), [])
    for (const client of [there, here]) t.equal(await send(client, { message_id: 'm1' }), 'ack')
    t.equal(await send(witness, { message_id: 'm1' }), 'ack', 'the same id of another user is another message')
    await finished(witness, 2)
    t.strictSame(saved.map(({ message_id: id }) => id), ['u2/m1', 'm1'])
    t.strictSame(all(witness, 'chat_message').map(({ message_id: id }) => id), ['u2/m1', 'm1'])
  })

  t.test(`users with equal refs and message ids stop their own runs by them, and any run by its run id, ${place}`, { skip }, async t => {
    const [a, b] = await serve(t, { onMessage: run => new Promise(resolve => run.signal.addEventListener('abort', resolve)) })
    const [owner, guest, witness] = [await a.join('u1'), await b.join('u2'), await a.join('u4')]
    const ended = () => all(witness, 'run_finished').map(({ message_id: id }) => id)
    const send = (client: Client, id: string, ref: string) => ask(client, 'chat_message', { content: 'q', message_id: id }, ref)
    for (const client of [owner, guest]) for (const id of ['m1', 'm2', 'm3']) t.equal(await send(client, id, `r-${id}`), 'ack')
    await witness.until(() => all(witness, 'run_queued').length === 5 && all(witness, 'run_started').length === 1)
    const expected: string[] = []
    const stop = async (client: Client, data: object, id?: string) => {
      t.equal(await ask(client, 'chat_cancel', data, 1), 'ack')
      if (id !== undefined) expected.push(id)
      await witness.until(() => ended().length >= expected.length)
      t.strictSame(ended(), expected, JSON.stringify(data))
    }
    await stop(guest, { ref: 'm3' }, 'u2/m3')
    await stop(guest, { ref: 'r-m2' }, 'u2/m2')
    await stop(owner, { ref: 'm2' }, 'm2')
    for (const ref of ['m3', 'u1/m3', 'r-m3', '/m3']) await stop(guest, { ref })
    await stop(owner, { ref: 'u2/m1' }, 'u2/m1')
    const queued = all(witness, 'run_queued').find(({ message_id: id }) => id === 'm3')!
    await stop(guest, { run_id: queued.run_id }, 'm3')
    await stop(guest, {}, 'm1')
  })

  t.test(`a queued message is announced, also to clients that join later, and its run can be stopped by its run id, ${place}`, { skip }, async t => {
    const [a, b] = await serve(t, { onMessage: run => new Promise(resolve => run.signal.addEventListener('abort', resolve)) })
    const [first, second] = [await a.join('u1'), await b.join('u2')]
    await ask(first, 'chat_message', { content: 'q', message_id: 'm1' }, 'r1')
    await second.until(() => all(second, 'run_started').length === 1)
    await ask(second, 'chat_message', { content: 'q', message_id: 'm2' }, 'r2')
    await first.until(() => all(first, 'run_queued').length === 1)
    const [queued] = all(first, 'run_queued')
    t.strictSame(queued, { run_id: queued.run_id, ref: 'r2', message_id: 'u2/m2', user_id: 'u2' })
    const kept = await evict(a)
    t.ok(kept.includes('u2/m2'), 'the log keeps the message of a queued run')
    const late = await b.join('u3')
    await late.until(() => all(late, 'run_queued').length === 1)
    t.strictSame(all(late, 'run_queued'), [queued])
    await ask(late, 'chat_cancel', { run_id: queued.run_id })
    t.match((await finished(first))[0], { run_id: queued.run_id, message_id: 'u2/m2', status: 'cancelled' })
    t.equal(all(first, 'run_started').length, 1, 'the queued run never starts')
    await ask(late, 'chat_cancel', {})
    await finished(first, 2)
  })
}

t.test('two messages whose user id, channel and ref look equal when joined are both handled', async t => {
  const handled: string[] = []
  const [one, two] = await Promise.all(brokersOfNodes(2).map(broker => start(t, {
    broker,
    authenticate: authenticateByHeader,
    authorize: () => true,
    onMessage: { vote: (_message, { userId }) => { handled.push(userId) } }
  })))
  const a = await connect(t, `${one.url}/ws/notifications/bob`, as('ada'))
  const b = await connect(t, `${two.url}/ws/notifications/bob`, as('ada|user:bob'))
  t.equal(await ask(a, 'vote', {}, 'user:bob r'), 'ack')
  t.equal(await ask(b, 'vote', {}, 'r'), 'ack')
  t.strictSame(handled, ['ada', 'ada|user:bob'])
})

t.test('ids such as "m1" and "m1 u1" name different messages, for each user', async t => {
  const { join } = await startChat(t, { onMessage: () => {} })
  const [owner, guest] = [await join('u1'), await join('u2')]
  for (const id of ['m1', 'm1 u1', 'm1 u2', 'm1 u1 u1']) for (const client of [owner, guest]) t.equal(await ask(client, 'chat_message', { content: 'q', message_id: id }), 'ack')
  await finished(owner, 8)
  t.equal(all(owner, 'chat_message').length, 8)
})

t.test('an id that is empty, a number or too long, and a ref with a slash that serves as the id, are refused as bad_message', async t => {
  const { join } = await startChat(t, { onMessage: () => {} })
  for (const user of ['u1', 'u2']) {
    const client = await join(user)
    for (const [data, ref, expected] of [
      [{ message_id: '' }, 'r1', 'bad_message'], [{ message_id: 5 }, 'r2', 'bad_message'], [{}, 'a/b', 'bad_message'],
      [{ message_id: 'b' }, 'c/d', 'ack'], [{}, 7, 'ack'], [{}, 7, 'ack'], [{ message_id: 'y'.repeat(129) }, 'r3', 'bad_message'], [{}, 'z'.repeat(128), 'ack']
    ] as const) t.equal(await ask(client, 'chat_message', { content: 'q', ...data }, ref), expected, JSON.stringify([data, ref]).slice(0, 60))
    const ids = all(client, 'chat_message').slice(-4).map(({ message_id: id }) => id)
    const prefix = user === 'u1' ? '' : 'u2/'
    t.match(ids, [`${prefix}b`, /^\//, /^\//, prefix + 'z'.repeat(128)])
    t.equal(all(client, 'run_started').at(-1)!.message_id, ids[3])
  }
})
