import { Kind, Type, TypeRegistry } from '@sinclair/typebox'
import t from 'tap'
import { defineChannel, type Inbound, type RealtimeConnection } from '../../../lib/index.js'
import { errors } from '../../../lib/errors.js'
import type { Connection } from '../../../lib/server/connection/connection.js'
import { as, authenticateByHeader, connect, start } from '../../harness.js'
import { logSink } from '../../log-sink.js'
import { eventually, gate, loopTurns } from '../../waiting.js'

const path = '/ws/support/app/chat/u1'

t.test('a handler gets the message and its connection, and the client gets an answer', async t => {
  const heard: Array<[Inbound, RealtimeConnection]> = []
  const { url } = await start(t, {
    messages: { vote: Type.Object({ choice: Type.Integer() }) },
    onMessage: {
      vote: (message, connection) => { heard.push([message, connection]) },
      throws: () => { throw new Error('secret') },
      rejects: async () => { throw new Error('secret') },
      echoes: ({ data }, connection) => connection.send({ type: 'echo', data })
    }
  })
  const client = await connect(t, url + path)
  client.send({ type: 'vote', ref: 'r1', data: { choice: 1 } })
  t.match(await client.next(), { type: 'ack', ref: 'r1' })
  t.match(heard[0][0], { type: 'vote', data: { choice: 1 } })
  t.match(heard[0][1], { userId: 'u1', target: { kind: 'chat', workflow: 'support', appId: 'app', chatId: 'chat' } })
  t.equal(heard[0][1].id, client.ack.data!.connection_id)

  client.send({ type: 'throws', ref: 2 })
  t.match(await client.next(), { type: 'error', ref: 2, data: { code: 'handler_failed' } })
  client.send({ type: 'rejects' })
  const error = await client.next()
  t.match(error, { type: 'error', data: { code: 'handler_failed' } })
  t.notMatch(JSON.stringify(error), /secret/)
  client.send({ type: 'echoes', ref: 3, data: [1] })
  t.match(await client.next(), { type: 'echo', data: [1] })
  t.match(await client.next(), { type: 'ack', ref: 3 })
  client.send({ type: 'vote', ref: 4, data: { choice: 'a' } })
  t.match(await client.next(), { type: 'error', ref: 4, data: { code: 'bad_message', message: /choice/ } })
  client.send({ type: 'unheard', ref: 5 })
  t.match(await client.next(), { type: 'error', ref: 5, data: { code: 'unknown_type' } })
  client.send({ type: 'ping', ref: 6 })
  t.match(await client.next(), { type: 'pong', ref: 6 })
  t.equal(heard.length, 1)
})

t.test('messages are handled in order and one at a time, and none is lost beyond limits.queue', async t => {
  const order: number[] = []
  let running = 0
  let most = 0
  const { url } = await start(t, {
    limits: { queue: 2, rate: 1_000, burst: 1_000 },
    onMessage: {
      async work ({ data }) {
        most = Math.max(most, ++running)
        await loopTurns(3)
        order.push(data as number)
        running--
      }
    }
  })
  const client = await connect(t, url + path)
  const count = 200
  for (let n = 0; n < count; n++) client.send({ type: 'work', ref: n, data: n })
  for (let n = 0; n < count; n++) t.match(await client.next(), { type: 'ack', ref: n })
  t.strictSame(order, order.map((_, n) => n))
  t.equal(most, 1)
})

t.test('reading pauses when exactly limits.queue messages wait, and resumes when one less waits', async t => {
  const gates = [gate(), gate(), gate()]
  let handled = 0
  const { app, url } = await start(t, { limits: { queue: 2 }, onMessage: { work: () => gates[handled++].opened } })
  const client = await connect(t, url + path)
  const isPaused = () => (app.ws.connections('u1')[0] as Connection).isPaused
  client.send({ type: 'work' })
  await eventually(() => handled === 1)
  client.send({ type: 'work' })
  client.send({ type: 'ping' })
  await client.next('pong')
  t.equal(isPaused(), false, 'one is being handled, one waits')
  client.send({ type: 'work' })
  await eventually(isPaused)
  gates[0].open()
  await eventually(() => handled === 2)
  t.equal(isPaused(), false, 'one is being handled, one waits')
  for (const { open } of gates) open()
})

t.test('a message whose handler exceeds timeouts.handler gets handler_timeout, and its connection closes with 1011', async t => {
  const { app, url } = await start(t, {
    timeouts: { handler: 400 },
    heartbeat: { interval: 100, timeout: 50 },
    limits: { queue: 1 },
    onMessage: { hang: () => new Promise(() => {}) }
  })
  const client = await connect(t, url + path)
  client.send({ type: 'hang', ref: 1 })
  t.match(await client.next(), { type: 'error', ref: 1, data: { code: 'handler_timeout' } })
  t.equal((await client.close()).code, 1011)
  await eventually(() => app.ws.stats().connections === 0)
})

t.test('a handler that exceeds timeouts.handler closes its connection also for another channel of the path', async t => {
  const { url } = await start(t, { timeouts: { handler: 50 }, onMessage: { hang: () => new Promise(() => {}) } })
  const client = await connect(t, `${url}/ws/notifications/u1`)
  client.send({ type: 'hang', ref: 1, channel: 'broadcast' })
  t.match(await client.next(), { type: 'error', ref: 1, data: { code: 'handler_timeout' } })
  t.equal((await client.close()).code, 1011)
})

const never = () => new Promise<never>(() => {})

t.test('a subscribe that waits behind a handler that exceeds timeouts.handler is answered like any other', async t => {
  const room = defineChannel({ authorize: () => true, onMessage: { hang: never } })
  const { url } = await start(t, { timeouts: { handler: 50 }, channels: { room } })
  const client = await connect(t, url + path)
  const subscribe = (ref: string, ...channels: string[]) =>
    client.send({ type: 'subscribe', ref, data: { channels: channels.map(channel => ({ channel })) } })
  subscribe('first', 'room:r')
  client.send({ type: 'hang', ref: 'hang', channel: 'room:r' })
  subscribe('again', 'room:r', 'room:other')
  client.send({ type: 'hang', ref: 'behind', channel: 'room:r' })
  client.send({ type: 'unsubscribe', ref: 'gone', data: { channels: ['room:r'] } })
  await client.until(() => client.received.some(({ ref }) => ref === 'gone'))
  const seen = client.received.slice(1).map(({ type, ref, channel, data }) => {
    const { code, reason } = (data ?? {}) as { code?: string, reason?: string }
    return [type, ref ?? channel, code ?? reason]
  })
  t.strictSame(seen, [
    ['subscribed', 'room:r', undefined], ['ack', 'first', undefined], ['subscribed', 'room:other', undefined],
    ['error', 'hang', 'handler_timeout'], ['unsubscribed', 'room:r', 'failed'],
    ['ack', 'again', undefined], ['error', 'behind', 'not_subscribed'], ['ack', 'gone', undefined]
  ])
})

t.test('messages that wait for a channel whose subscription ends are not handled, and reading goes on', async t => {
  const handled: unknown[] = []
  const room = defineChannel({ authorize: () => true, onMessage: { hang: never } })
  const { url } = await start(t, {
    limits: { queue: 3 }, timeouts: { handler: 50 }, channels: { room }, onMessage: { note: ({ ref }) => { handled.push(ref) } }
  })
  const client = await connect(t, url + path)
  client.send({ type: 'subscribe', data: { channels: [{ channel: 'room:r' }] } })
  client.send({ type: 'hang', ref: 0, channel: 'room:r' })
  for (let ref = 1; ref < 10; ref++) client.send({ type: 'note', ref, channel: 'room:r' })
  client.send({ type: 'note', ref: 10 })
  const refs = (type: string) => client.received.filter(envelope => envelope.type === type).map(({ ref }) => ref)
  await client.until(() => refs('error').length === 10)
  t.strictSame([refs('error'), refs('ack'), handled], [Array.from({ length: 10 }, (_, ref) => ref), [10], [10]])
  client.send({ type: 'note', ref: 11 })
  await client.until(() => refs('ack').length === 2)
})

t.test('an urgent message waits for a subscribe to its channel, and for no other message', async t => {
  const [decided, saved] = [gate<undefined>(), gate()]
  const { url } = await start(t, {
    authenticate: authenticateByHeader,
    authorize: (_identity, { kind }) => kind === 'chat' ? decided.opened : undefined,
    chat: { onMessage () {}, save: () => saved.opened }
  })
  const client = await connect(t, `${url}/ws/notifications/u1`, as('u1'))
  const channel = 'chat:w/a/c/u1'
  client.send({ type: 'subscribe', data: { channels: [{ channel }] } })
  client.send({ type: 'chat_cancel', ref: 'cancel', channel, data: { ref: 'unknown' } })
  client.send({ type: 'ping' })
  t.match(await client.next(), { type: 'pong' })
  decided.open(undefined)
  t.match(await client.next(), { type: 'subscribed', channel })
  t.match(await client.next(), { type: 'ack', ref: 'cancel' })
  client.send({ type: 'chat_message', ref: 'message', channel, data: { content: 'q' } })
  client.send({ type: 'chat_cancel', ref: 'again', channel, data: { ref: 'unknown' } })
  t.match(await client.next(), { type: 'ack', ref: 'again' })
  saved.open()
  t.match(await client.next('ack'), { ref: 'message' })
})

t.test('a message that is being handled when the server closes is answered', async t => {
  let finish = () => {}
  const { app, url } = await start(t, { onMessage: { slow: () => new Promise<void>(resolve => { finish = resolve }) } })
  const client = await connect(t, url + path)
  client.send({ type: 'slow', ref: 1 })
  client.send({ type: 'slow', ref: 2 })
  client.send({ type: 'ping', ref: 3 })
  await client.next('pong')
  const closing = app.close()
  await loopTurns()
  finish()
  t.match(await client.next(), { type: 'ack', ref: 1 })
  t.equal((await client.close()).code, 1012)
  await closing
})

t.test('a client gets its answers also if the logger throws', async t => {
  const throws = () => { throw new Error('of the app') }
  const { app, url } = await start(t, { onMessage: { throws }, onDisconnect: throws }, {
    logger: { level: 'error', stream: { write () {} }, serializers: { err () { throw new Error('of the serializer') } } }
  })
  const client = await connect(t, url + path)
  client.send({ type: 'throws', ref: 1 })
  t.match(await client.next(), { type: 'error', ref: 1 })
  client.send({ type: 'ping', ref: 2 })
  t.match(await client.next(), { type: 'pong', ref: 2 })
  client.socket.close()
  await eventually(() => app.ws.stats().connections === 0)
})

t.test('bad messages close a connection, and messages that the server cannot check do not', async t => {
  TypeRegistry.Set('Throwing', () => { throw new Error('of the check') })
  t.teardown(() => TypeRegistry.Delete('Throwing'))
  const { lines, options } = logSink()
  const { url } = await start(t, {
    limits: { strikes: 2 },
    messages: { odd: Type.Unsafe({ [Kind]: 'Throwing' }) },
    onMessage: { odd () {} }
  }, { logger: options })
  const client = await connect(t, url + path)
  for (let ref = 0; ref < 4; ref++) {
    client.send({ type: 'odd', ref, data: 1 })
    t.match(await client.next('error'), { ref, data: { code: 'handler_failed' } })
  }
  t.equal(lines.filter(line => line.includes('of the check')).length, 4, 'the log has the error of the app')
  client.send({ type: 'nobody', ref: 5 })
  client.send('not JSON')
  t.match(await client.next('error'), { ref: 5, data: { code: 'unknown_type' } })
  t.match(await client.next('error'), { data: { code: 'bad_json' } })
  t.equal((await client.close()).code, 4400)
  t.ok(lines.some(line => line.includes('bad_messages') && line.includes('bad_json')), 'the log has the last fault')
})

t.test('a client whose handler exceeds the quota of the user gets over_quota', async t => {
  const { url } = await start(t, { onMessage: { store () { throw new errors.OVER_QUOTA('u1', 9) } } })
  const client = await connect(t, url + path)
  client.send({ type: 'store', ref: 1 })
  t.match(await client.next(), { type: 'error', ref: 1, data: { code: 'over_quota', message: /try again later/ } })
})

t.test('a message that is sent again with its ref after its connection was lost is handled once', async t => {
  const { opened, open } = gate()
  const ran: string[] = []
  const { app, url } = await start(t, {
    authenticate: authenticateByHeader,
    onMessage: {
      async pay ({ ref }, { userId }) {
        ran.push(`${userId} ${ref}`)
        await opened
      },
      fail () {
        ran.push('fail')
        throw new Error('the first time')
      }
    }
  })
  const [path1, path2] = ['u1', 'u2'].map(user => `${url}/ws/notifications/${user}`)
  const first = await connect(t, path1, as('u1'))
  first.send({ type: 'pay', ref: 'r1' })
  await eventually(() => ran.length === 1)
  first.socket.terminate()
  await eventually(() => !app.ws.isOnline('u1'))

  const second = await connect(t, path1, as('u1'))
  second.send({ type: 'pay', ref: 'r1' })
  second.send({ type: 'ping' })
  await second.next('pong')
  open()
  t.match(await second.next(), { type: 'ack', ref: 'r1' }, 'a repetition waits for the end of the running handler')
  second.send({ type: 'pay', ref: 'r1' })
  t.match(await second.next(), { type: 'ack', ref: 'r1' }, 'a later repetition gets the same answer')
  t.strictSame(ran.splice(0), ['u1 r1'])

  for (let n = 0; n < 2; n++) {
    second.send({ type: 'fail', ref: 'r2' })
    t.match(await second.next(), { type: 'error', ref: 'r2', data: { code: 'handler_failed' } })
  }
  t.strictSame(ran.splice(0), ['fail'], 'a repetition of a failed message gets the same error')

  for (let n = 0; n < 2; n++) {
    second.send({ type: 'pay', ref: 7 })
    t.match(await second.next(), { type: 'ack', ref: 7 })
  }
  t.strictSame(ran.splice(0), ['u1 7', 'u1 7'], 'messages with the same number as ref are all handled')

  const other = await connect(t, path2, as('u2'))
  other.send({ type: 'pay', ref: 'r1' })
  t.match(await other.next(), { type: 'ack', ref: 'r1' })
  const chat = await connect(t, `${url}/ws/w/a/c/u1`, as('u1'))
  chat.send({ type: 'pay', ref: 'r1' })
  t.match(await chat.next(), { type: 'ack', ref: 'r1' })
  t.strictSame(ran, ['u2 r1', 'u1 r1'], 'the same ref of another user or another channel is another message')
})

t.test('a message that was waiting when the connection was lost is handled when it is sent again', async t => {
  const { opened, open } = gate()
  const ran: unknown[] = []
  const { app, url } = await start(t, { onMessage: { slow: ({ ref }) => { ran.push(ref); return opened } } })
  const first = await connect(t, url + path)
  for (const ref of ['r1', 'r2']) first.send({ type: 'slow', ref })
  first.send({ type: 'ping' })
  await first.next('pong')
  first.socket.terminate()
  await eventually(() => !app.ws.isOnline('u1'))
  const second = await connect(t, url + path)
  for (const ref of ['r1', 'r2']) second.send({ type: 'slow', ref })
  open()
  for (const ref of ['r1', 'r2']) t.match(await second.next(), { type: 'ack', ref })
  t.strictSame(ran, ['r1', 'r2'])
})

t.test('a frame over limits.frame gets too_big with its ref and is no strike, and one over twice the limit closes with 1009', async t => {
  const heard: unknown[] = []
  const { url } = await start(t, { limits: { frame: 1_000, strikes: 2 }, onMessage: { n: ({ data }) => { heard.push(data) } } })
  const client = await connect(t, url + path)
  t.match(client.ack.data.limits, { frame: 1_000, rate: 20, burst: 40 })
  for (const ref of ['a', 7, 'b']) {
    client.send({ type: 'n', ref, data: 'x'.repeat(1_500) })
    t.match(await client.next(), { type: 'error', ref, data: { code: 'too_big', message: /1000/ } })
  }
  client.send('x'.repeat(1_001))
  const unread = await client.next('error')
  t.strictSame([unread.ref, unread.data.code], [undefined, 'too_big'])
  const text = 'x'.repeat(1_000 - JSON.stringify({ type: 'n', ref: 1, data: '' }).length)
  client.send({ type: 'n', ref: 1, data: text })
  t.match(await client.next(), { type: 'ack', ref: 1 })
  t.strictSame(heard, [text])
  client.send('x'.repeat(2_001))
  t.equal((await client.close()).code, 1009)
})
