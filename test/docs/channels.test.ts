import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import realtime, { defineChannel, type RealtimeOptions } from '../../lib/index.js'
import { createClient, type ClientOptions } from '../../lib/client/index.js'
import { optionsSchema } from '../../lib/plugin-options.js'
import { redisBroker } from '../../lib/redis.js'
import { connect, start } from '../harness.js'
import { every } from '../every.js'
import { RedisServer, skipRedis } from '../redis-server.js'
import { eventually, gate } from '../waiting.js'
import { Declared, namesOf } from './declared.js'
import { Page, post, recorded } from './page.js'

const page = new Page('docs/channels.md')

Object.assign(globalThis, { WebSocket })
t.teardown(() => { delete (globalThis as { WebSocket?: unknown }).WebSocket })

type App = Awaited<ReturnType<typeof start>>['app']

/** Writes the snippet with the kind to a file for the imports of other snippets, and returns its exports. */
async function kindOf () {
  // Not in the folder of a subtest, which each further snippet empties.
  const file = `file://${page.write(t, 'board')}`
  const { board, members } = await import(file)
  return { board, members, replace: { "'./board.js'": `'${file}'` } }
}

/** A client at a server, closed with the test. */
function clientOf (t: Test, url: string, options: ClientOptions = {}) {
  const errors: unknown[] = []
  const client = createClient({ baseUrl: `${url}/ws`, userId: 'ada', backoff: () => 10, onError: error => errors.push(error), ...options })
  t.teardown(() => client.close())
  return Object.assign(client, { errors })
}

/** Cuts the connections of a user without a Close frame. */
function cut (app: App, userId: string): void {
  for (const connection of app.ws.connections(userId)) (connection as unknown as { terminate (): void }).terminate()
}

t.test('the snippets define a board, publish to it, and show and answer a move in a page', async t => {
  const { replace } = await kindOf()
  const { app, host } = await page.serve(t, 'server', { replace })
  const { lines, console } = recorded()
  const { client, move } = await page.run(t, 'page', { globals: { console }, replace: { ...replace, 'localhost:3000': host } })
  t.teardown(() => client.close())
  t.equal(await move('c1', 'done'), 1)
  t.match(await post(app, '/boards/b1/cards/c2/archive'), { id: /^k\./ })
  t.equal(await move('c1', 'todo'), 2)
  await eventually(() => lines.includes('ada moved c1 to todo'))
  t.strictSame(lines.filter(line => line !== 'connecting '), ['open ', 'ada moved c1 to done', 'the app moved c2 to archive', 'ada moved c1 to todo'])

  t.throws(() => app.ws.channel('boards' as 'board', 'b1'), { code: 'RT_ERR_UNKNOWN_KIND' })
  t.throws(() => app.ws.channel('board', 'b 1'), { code: 'RT_ERR_INVALID_ID' })
  await t.rejects(app.ws.channel('board', 'b1').send({ type: 'card_moved', data: {} } as never), { code: 'RT_ERR_INVALID_MESSAGE', message: /card/ })
})

t.test('the table of verdicts says what the client gets', async t => {
  const rows = page.table('## Who may subscribe', '| `authorize` | The client gets | `status` of its channel | Does the client try again? |')
  const never = new Promise<boolean>(() => {})
  const verdicts: Record<string, () => unknown> = {
    'returns `true`': () => true,
    'returns `false`': () => false,
    'returns `undefined`': () => undefined,
    'throws, or rejects': () => Promise.reject(new Error('secret')),
    'returns another value': () => 'yes',
    'takes longer than `timeouts.authenticate`': () => never
  }
  t.strictSame(rows.map(([verdict]) => verdict), Object.keys(verdicts))
  const asked: string[] = []
  const authorize = (_identity: unknown, { id }: { id: string }) => {
    asked.push(id)
    return verdicts[rows[Number(id)][0]]() as boolean
  }
  const { app, url } = await start(t, {
    authenticate: () => ({ userId: 'ada' }),
    authorize: (_identity, { kind }) => { if (kind !== 'notifications') throw new Error('it is for the routes') },
    timeouts: { authenticate: 300 },
    channels: { room: defineChannel({ authorize }) }
  })
  const raw = await connect(t, `${url}/ws/notifications/ada`)
  raw.send({ type: 'subscribe', ref: 's', data: { channels: rows.map((_row, n) => ({ channel: `room:${n}` })) } })
  await raw.next('ack')
  const answers = rows.map((_row, n) => raw.received.find(({ channel }) => channel === `room:${n}`)!)
  t.strictSame(answers.map(({ type, data }) => `\`${(data as { reason?: string }).reason ?? type}\``), rows.map(([, reason]) => reason))
  t.equal(app.ws.connections('ada').length, 1)

  asked.length = 0
  const client = clientOf(t, url)
  const channels = rows.map((_row, n) => client.channel('room', `${n}`))
  const times = (n: number) => asked.filter(id => id === `${n}`).length
  const isAgain = (row: string[]) => row[3].startsWith('yes')
  await eventually(() => rows.every((row, n) => isAgain(row) ? times(n) > 1 : ['open', 'closed'].includes(channels[n].status)))
  t.strictSame(rows.filter(row => !isAgain(row)).map((_row, n) => [times(n), `\`${channels[n].status}\``]), rows.filter(row => !isAgain(row)).map(row => [1, row[2]]))
  for (const [n, row] of rows.entries()) if (isAgain(row)) await eventually(() => `\`${channels[n].status}\`` === row[2])
})

t.test('a renewed credential is decided about again, and only the channel ends', async t => {
  let role = 'member'
  const { url } = await start(t, {
    authenticate: () => ({ userId: 'ada', role }),
    renew: () => ({ userId: 'ada', role: 'guest' }),
    channels: { room: defineChannel({ authorize: identity => (identity as unknown as { role: string }).role === 'member' }) }
  })
  const client = await connect(t, `${url}/ws/notifications/ada`)
  client.send({ type: 'subscribe', data: { channels: [{ channel: 'room:r1' }] } })
  await client.next('subscribed')
  role = 'guest'
  client.send({ type: 'renew', ref: 'r', data: { token: 'x' } })
  t.match(await client.next('unsubscribed'), { channel: 'room:r1', data: { reason: 'forbidden' } })
  await client.until(() => client.received.some(({ type, ref }) => type === 'ack' && ref === 'r'))
  t.equal(client.closed, undefined)
})

t.test('the snippet with presence lists who reads a board, with their data, and no auditor', async t => {
  const { app, host } = await page.serve(t, 'presence')
  const [ada, auditor] = ['ada', 'auditor'].map(userId => clientOf(t, `http://${host}`, { userId }).channel('board', 'b1'))
  ada.presence.update({ cursor: 'c1' })
  await eventually(() => auditor.presence.members[0]?.connections[0].data !== undefined)
  const members = (await app.inject('/boards/b1/members')).json()
  t.match(members, [{ userId: 'ada', connections: [{ id: /./, data: { cursor: 'c1' } }] }])
  t.equal(members.length, 1)
})

t.test('the snippet with authorizeAll decides about several channels', async t => {
  const { board } = await page.run(t, 'authorize-all')
  const asked: string[][] = []
  const { authorizeAll } = board
  const counting = { ...board, authorize: () => { throw new Error('it is not called') } }
  counting.authorizeAll = (identity: never, ids: string[]) => {
    asked.push(ids)
    return authorizeAll(identity, ids)
  }
  const { url } = await start(t, { channels: { board: counting } })
  const client = clientOf(t, url)
  const channels = ['ada-1', 'ada-2', 'bob-1'].map(id => client.channel('board', id))
  await eventually(() => channels.every(({ status }) => status === 'open' || status === 'closed'))
  t.strictSame(channels.map(({ status }) => status), ['open', 'open', 'closed'])
  t.strictSame(asked, [['ada-1', 'ada-2', 'bob-1']])
  t.equal(await board.authorize({ userId: 'ada' }, { kind: 'board', id: 'ada-1' }), true)
  t.equal(await board.authorize({ userId: 'ada' }, { kind: 'board', id: 'bob-1' }), false)
})

t.test('the snippet that removes a user ends the subscription, and reopen() is refused', async t => {
  const { board, replace } = await kindOf()
  const { default: memberships } = await page.run(t, 'remove', { replace })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(realtime, { channels: { board } })
  await app.register(memberships)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const client = clientOf(t, `http://127.0.0.1:${(app.server.address() as { port: number }).port}`)
  const channel = client.channel('board', 'b1')
  const got: string[] = []
  channel.on('*', ({ type }) => got.push(type))
  await eventually(() => channel.status === 'open')
  const response = await app.inject({ method: 'DELETE', url: '/boards/b1/members/ada' })
  t.strictSame(response.json(), { removed: 'ada' })
  await app.ws.channel('board', 'b1').send({ type: 'card_moved', data: { card: 'c1', to: 'done', by: 'bob' } } as never)
  await eventually(() => channel.status === 'closed')
  t.match(channel.closed, { reason: 'removed' })
  channel.reopen()
  await eventually(() => channel.status === 'closed')
  t.match(channel.closed, { reason: 'forbidden' })
  t.strictSame(got, [])
  t.equal(client.status, 'open')
})

t.test('the snippet with two histories: one recovers the missed messages, and the other says that some were missed', async t => {
  const { app, url } = await start(t, { channels: await page.run(t, 'history') })
  const client = clientOf(t, url)
  const log: string[] = []
  for (const kind of ['board', 'pointers']) {
    const channel = client.channel(kind, 'x')
    channel.on('moved', data => log.push(`${kind} ${data}`))
    channel.onResume(({ recovered }) => log.push(`${kind} ${recovered}`))
    await eventually(() => channel.status === 'open')
    await app.ws.channel(kind, 'x').send({ type: 'moved', data: 1 })
  }
  await eventually(() => log.length === 2)
  t.strictSame(log.splice(0), ['board 1', 'pointers 1'])
  cut(app, 'ada')
  for (const kind of ['board', 'pointers']) await app.ws.channel(kind, 'x').send({ type: 'moved', data: 2 })
  await eventually(() => log.length === 3)
  t.strictSame(log.sort(), ['board 2', 'board true', 'pointers false'])
})

t.test('messages of clients go where the page says, and fail as it says', async t => {
  const handled: string[] = []
  const slow = gate()
  t.teardown(() => slow.open())
  let hangs = true
  const options: RealtimeOptions = {
    timeouts: { handler: 300 },
    onMessage: { note: ({ channel }) => { handled.push(`note ${channel}`) } },
    channels: {
      room: defineChannel({
        authorize: () => true,
        onMessage: {
          fail: () => { throw new Error('secret') },
          hang: () => hangs ? slow.opened : undefined,
          count: (_message, { channel }) => { handled.push(`count ${channel.id}`) }
        }
      })
    }
  }
  const { url } = await start(t, options)
  const raw = await connect(t, `${url}/ws/notifications/bob`)
  raw.send({ type: 'count', channel: 'room:r1', ref: 1 })
  t.match(await raw.next('error'), { ref: 1, data: { code: 'not_subscribed' } })

  const client = clientOf(t, url)
  const channel = client.channel('room', 'r1')
  await channel.send('note')
  await t.rejects(channel.send('nothing'), { code: 'unknown_type' })
  await t.rejects(channel.send('fail'), { code: 'handler_failed' })
  t.equal(channel.status, 'open')
  const statuses: string[] = []
  channel.onStatus(status => statuses.push(status))
  const hanging = channel.send('hang')
  const behind = channel.send('count')
  await client.channel('room', 'r2').send('count')
  await t.rejects(hanging, { code: 'handler_timeout' })
  hangs = false
  await behind
  t.strictSame(handled, ['note room:r1', 'count r2', 'count r1'])
  t.strictSame(statuses, ['waiting', 'connecting', 'open'])
  t.equal(client.status, 'open')
})

t.test('the snippets with an answer show a price', async t => {
  const { app, host } = await page.serve(t, 'answers')
  const { lines, console } = recorded()
  const { client } = await page.run(t, 'request', { globals: { console }, replace: { 'localhost:3000': host } })
  t.teardown(() => client.close())
  t.strictSame(lines, ['4 euros'])
  t.equal(app.ws.stats().connections, 1)
})

t.test('an answer is sent with the fields that its schema allows', async t => {
  const { board } = await kindOf()
  const ok = { ...board, onMessage: { move_card: () => ({ version: 1, secret: 'x' }) } }
  const wrong = { ...board, onMessage: { move_card: () => ({ version: 'x' }) } }
  const { url } = await start(t, { channels: { ok, wrong }, onMessage: { quiet: () => 'not sent' } })
  const client = clientOf(t, url, { userId: 'ada' })
  t.strictSame(await client.channel('ok', 'b1').request('move_card', { card: 'c1', to: 'done' }), { version: 1 })
  await t.rejects(client.channel('wrong', 'b1').request('move_card', { card: 'c1', to: 'done' }), { code: 'handler_failed' })
  t.equal(await client.request('quiet'), undefined)
})

t.test('a repeated message whose answer is gone gets answer_lost', async t => {
  const text = 'x'.repeat(100 * 1024)
  const { url } = await start(t, { onMessage: { load: () => text }, answers: { load: Type.String() } })
  const client = await connect(t, `${url}/ws/notifications/ada`)
  for (const ref of ['a', 'b', 'c']) {
    client.send({ type: 'load', ref })
    await client.until(() => client.received.some(envelope => envelope.ref === ref))
  }
  client.send({ type: 'load', ref: 'c' })
  t.match(await client.until(() => client.received.filter(({ ref }) => ref === 'c')[1]), { type: 'ack', data: text })
  client.send({ type: 'load', ref: 'a' })
  t.match(await client.next('error'), { ref: 'a', data: { code: 'answer_lost' } })
})

t.test('while Redis is away subscriptions stay and new ones wait, and if it has lost its data all are decided about again', { skip: skipRedis }, async t => {
  const redis = await RedisServer.start(t)
  const asked: string[] = []
  const { app, url } = await start(t, {
    broker: redisBroker({ url: redis.url }),
    timeouts: { connect: 1_000 },
    channels: { board: defineChannel({ authorize: ({ userId }) => { asked.push(userId); return true } }) }
  })
  const [ada, bob] = ['ada', 'bob'].map(userId => clientOf(t, url, { userId }))
  const channel = ada.channel('board', 'b1')
  const resumes: boolean[] = []
  const got: unknown[] = []
  channel.onResume(({ recovered }) => resumes.push(recovered))
  channel.on('moved', data => got.push(data))
  await Promise.all([bob.connected(), eventually(() => channel.status === 'open')])
  const board = app.ws.channel('board', 'b1')
  await board.send({ type: 'moved', data: 1 })
  await eventually(() => got.length === 1)

  await redis.kill()
  await t.rejects(board.send({ type: 'moved', data: 2 }), { code: /RT_ERR_(BROKER|UNCONFIRMED)/ })
  await t.rejects(board.remove('ada'), { code: /RT_ERR_(BROKER|UNCONFIRMED)/ })
  const [sameChannel, other] = [bob.channel('board', 'b1'), bob.channel('board', 'b2')]
  await eventually(() => [sameChannel, other].every(({ status }) => status === 'waiting'))
  t.equal(channel.status, 'open')

  asked.length = 0
  await redis.restart({ isEmpty: true })
  await eventually(() => [sameChannel, other].every(({ status }) => status === 'open'))
  await eventually(async () => {
    await board.send({ type: 'moved', data: 3 }).catch(() => {})
    return resumes.length > 0 && got.includes(3)
  })
  t.ok(every(resumes, recovered => !recovered), 'Redis may be seen without and with the new log')
  t.ok(asked.includes('ada'))
  t.equal(got.includes(2), false)
})

const { properties } = optionsSchema

t.test('the table of limits has their defaults', async t => {
  for (const [name, value] of page.table('## Limits', '| Limit | Default | Beyond it |')) {
    const [section, option] = name.replaceAll('`', '').split('.')
    const { properties: options } = properties[section as 'limits'] as unknown as { properties: Record<string, { default: number }> }
    t.equal(value, `\`${options[option].default}\``, name)
  }
})

t.test('the table of fields has all fields of a definition, and says which are required', async t => {
  const { patternProperties } = properties.channels as unknown as {
    patternProperties: Record<string, { properties: object, required: string[] }>
  }
  const [{ properties: fields, required }] = Object.values(patternProperties)
  const rows = page.table('## Fields of a kind', '| Field | Default | Meaning |')
  t.strictSame(rows.map(([cell]) => namesOf([[cell]])[0]).sort(), Object.keys(fields).sort())
  t.strictSame(rows.filter(([, value]) => value === 'required').map(([cell]) => namesOf([[cell]])[0]), required)
})

t.test('the table of members has all members of a channel of the server', async t => {
  t.strictSame(namesOf(page.table('## Register it and publish', '| Member | Meaning |')), new Declared('fastify-realtime').membersOf('Channel'))
})

t.test('names of kinds that the page calls taken are refused', async t => {
  const [, names] = /^The names (.*) are taken\.$/m.exec(page.text)!
  const channels = (name: string) => ({ channels: { [name]: defineChannel({ authorize: () => true }) } })
  for (const [, name] of names.matchAll(/`(\w+)`/g)) await t.rejects(start(t, channels(name)), { code: 'RT_ERR_OPTIONS', message: /reserved/ })
  for (const name of ['Board', '1board', 'a'.repeat(33), 'my-board']) await t.rejects(start(t, channels(name)), { code: 'RT_ERR_OPTIONS', message: /is not a name/ })
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })
