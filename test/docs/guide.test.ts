import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { WebSocket } from 'ws'
import { closeCodes } from '../../lib/index.js'
import { optionsSchema } from '../../lib/plugin-options.js'
import { connect, start } from '../harness.js'
import { eventually } from '../waiting.js'
import { Page, post, recorded, type Running } from './page.js'

const page = new Page('docs/guide.md')

/** Runs a snippet with a client of its own, at the server of a test. The client is closed with the test. */
async function runClient (t: Parameters<Page['run']>[0], name: string, port: number, { globals, replace }: Running = {}): Promise<any> {
  const local = globalThis as { WebSocket?: unknown }
  const { WebSocket: own } = local
  local.WebSocket = WebSocket
  const module = await page.run(t, name, { globals, replace: { 'http://localhost:3000': `http://127.0.0.1:${port}`, ...replace } })
  t.teardown(() => {
    module.client.close()
    local.WebSocket = own
  })
  return module
}

t.test('the snippet that pushes to a user reaches that user', async t => {
  const { app, url } = await page.mount(t, 'push')
  const client = await connect(t, `${url}/notifications/ada`)
  t.same(await post(app, '/users/ada/orders/o1/ship'), { shipped: 'o1' })
  t.match(await client.next(), { type: 'task_update', action: 'shipped', data: { task_id: 'o1' } })
})

t.test('the page of a push gets its message', async t => {
  const { app, port } = await start(t)
  const { lines, console } = recorded()
  const { client } = await runClient(t, 'push-client', port, { globals: { console } })
  await client.connected()
  const { timestamp } = await app.ws.sendToUser('ada', { type: 'task_update', action: 'shipped', data: { task_id: 'o1' } })
  await eventually(() => lines.length === 1)
  t.same(lines, [`${timestamp} shipped o1`])
})

t.test('the snippet that broadcasts reaches everybody', async t => {
  const { app, url } = await page.mount(t, 'broadcast')
  const clients = await Promise.all(['ada', 'bob'].map(user => connect(t, `${url}/notifications/${user}`)))
  const { id } = await post(app, '/maintenance')
  for (const client of clients) t.match(await client.next(), { type: 'system_announcement', message: /maintenance/, id })
})

t.test('the snippet of an optimistic UI shows a task at once, confirms it once, and takes it back on failure', async t => {
  let user: string | undefined = 'ada'
  const { host, url } = await page.mount(t, 'optimistic', { userOf: () => user })
  let request = (path: string, init: RequestInit): unknown => fetch(`http://${host}${path}`, init)
  const { tasks, addTask, onMessage } = await page.run(t, 'optimistic-client', {
    globals: { fetch: (path: string, init: RequestInit) => request(path, init) }
  })
  const client = await connect(t, `${url}/notifications/ada`)

  const added = addTask('Buy milk')
  t.same([...tasks.values()], [{ title: 'Buy milk', isPending: true }])
  await added
  const { data } = await client.next('task_update')
  const shown = [[data.task_id, { title: 'Buy milk', isPending: false }]]
  t.same([...tasks], shown, 'the HTTP response confirms it')
  onMessage({ type: 'task_update', action: 'created', data })
  t.same([...tasks], shown, 'the message changes nothing more')

  user = undefined
  await t.rejects(addTask('Without a credential'), { message: 'HTTP 401' })
  request = () => Promise.reject(new TypeError('fetch failed'))
  await t.rejects(addTask('Never sent'), { message: 'fetch failed' })
  t.equal(tasks.size, 1)
})

t.test('the snippet with a handler handles each message once, sent with the client or without it', async t => {
  const { host, url } = await page.serve(t, 'on-message')
  const client = await connect(t, `${url}/notifications/user_123`)
  const lines = await page.browse(t, 'on-message-client', host)
  t.match(await client.next(), { type: 'marked_read', data: { ids: ['n1', 'n2'] } })
  await eventually(() => lines.length === 1)
  t.match(lines[0], /^done [\da-f-]{36}$/)
  // The same frame again, as after a lost connection.
  const ref = lines[0].slice('done '.length)
  client.send({ type: 'mark_read', ref, data: { ids: ['n1', 'n2'] } })
  t.match(await client.next(), { type: 'ack', ref })
  client.send({ type: 'no_such_type', ref: 7 })
  t.match(await client.next(), { type: 'error', ref: 7, data: { code: 'unknown_type' } })

  const sent = recorded()
  await runClient(t, 'send', Number(host.split(':')[1]), { globals: { console: sent.console } })
  t.same(sent.lines, ['done'])
  t.match(await client.next(), { type: 'marked_read', data: { ids: ['n1', 'n2'] } })
})

t.test('a handler gets the messages of both routes, and a handler that throws leaves the connection open', async t => {
  const kinds: string[] = []
  const { url } = await start(t, {
    onMessage: {
      note: (_message, { target }) => { kinds.push(target.kind) },
      fail: () => { throw new Error('a secret') }
    }
  })
  const notifications = await connect(t, `${url}/ws/notifications/ada`)
  const chat = await connect(t, `${url}/ws/support/shop/c1/ada`)
  for (const client of [notifications, chat]) {
    client.send({ type: 'note', ref: 1 })
    await client.next('ack')
  }
  t.same(kinds, ['notifications', 'chat'])
  notifications.send({ type: 'fail', ref: 2 })
  const { data } = await notifications.next('error')
  t.equal(data!.code, 'handler_failed')
  t.notMatch(JSON.stringify(data), /secret/)
  notifications.send({ type: 'note', ref: 3 })
  t.match(await notifications.next(), { type: 'ack', ref: 3 })
})

t.test('the snippet with types of its own checks messages in both directions', async t => {
  const { app, url } = await page.serve(t, 'own-types')
  const client = await connect(t, `${url}/notifications/user_123`)
  await post(app, '/ship')
  t.match(await client.next(), { type: 'order_shipped', data: { order_id: 'o1', carrier: 'post' } })
  await t.rejects(app.ws.sendToUser('user_123', { type: 'order_shipped', data: { order_id: 1, carrier: 'post' } } as any), { code: 'RT_ERR_INVALID_MESSAGE', message: /order_id/ })
  client.send({ type: 'rate_order', ref: 'r1', data: { order_id: 'o1', stars: 5 } })
  t.match(await client.next(), { type: 'ack', ref: 'r1' })
  client.send({ type: 'rate_order', ref: 'r2', data: { order_id: 'o1', stars: 6 } })
  t.match(await client.next(), { type: 'error', ref: 'r2', data: { code: 'bad_message' } })
})

t.test('a schema with an unknown format, and a type without a schema under strict, are refused as the page says', async t => {
  await t.rejects(start(t, { messages: { at: Type.String({ format: 'no-such-format' }) } }), { code: 'RT_ERR_OPTIONS' })
  const { app } = await start(t, { strict: true, messages: { at: Type.String({ format: 'date-time' }) } })
  await t.rejects(app.ws.sendToUser('ada', { type: 'other' }), { code: 'RT_ERR_INVALID_MESSAGE' })
  await app.ws.sendToUser('ada', { type: 'at', data: new Date() } as any)
})

t.test('each row of the table of JSON values holds', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, `${url}/ws/notifications/ada`)
  const date = new Date(0)
  const cycle: unknown[] = []
  cycle.push(cycle)
  let calls = 0
  const withToJson = { toJSON: () => { return { calls: ++calls } } }
  const rows: Record<string, Array<{ sent: unknown, received?: unknown }>> = {
    'a `Date`': [{ sent: date, received: date.toISOString() }],
    'an object with `toJSON`': [{ sent: withToJson, received: { calls: 1 } }],
    '`NaN` or `Infinity`': [{ sent: NaN, received: null }, { sent: Infinity, received: null }],
    'a property that is `undefined`': [{ sent: { a: undefined, b: 1 }, received: { b: 1 } }],
    'a function, a symbol or a `BigInt`': [{ sent: () => {} }, { sent: Symbol('s') }, { sent: 1n }],
    '`undefined` in an array': [{ sent: [undefined] }],
    'a cycle, or more than 500 nested levels': [{ sent: cycle }, { sent: nested(510) }],
    'a `Map`, a `Set`, a promise or another object without content in JSON': [new Map(), new Set(), Promise.resolve(), new URLSearchParams()].map(sent => ({ sent }))
  }
  const documented = page.table('## JSON values in a message', '| You send | The client gets |')
  t.same(documented.map(([value]) => value), Object.keys(rows))
  for (const [value, result] of documented) {
    for (const { sent, received } of rows[value]) {
      const [sending] = await Promise.allSettled([app.ws.sendToUser('ada', { type: 'value', data: { sent } })])
      t.equal(result.includes('`RT_ERR_INVALID_MESSAGE`'), received === undefined, value)
      const outcome = sending.status === 'rejected' ? sending.reason.code : (await client.next('value')).data
      t.same(outcome, received === undefined ? 'RT_ERR_INVALID_MESSAGE' : { sent: received }, value)
    }
  }
})

function nested (levels: number): object {
  return levels === 0 ? {} : { inner: nested(levels - 1) }
}

t.test('the snippet that resumes gets missed messages, and loads its state when some are lost', async t => {
  // The client reports each outage there.
  t.capture(globalThis.console, 'error')
  const { app, port } = await start(t, { history: { size: 2 } })
  const { lines, console } = recorded()
  const { client } = await runClient(t, 'resume', port, { globals: { console, fetch: async () => new Response('loaded') } })
  t.same(lines.splice(0), ['state loaded'])
  const cut = async (count: number) => {
    app.ws.disconnectUser('ada', closeCodes.TOO_SLOW.code)
    for (let id = 1; id <= count; id++) await app.ws.sendToUser('ada', { type: 'task_update', data: { task_id: id } })
  }

  await cut(2)
  await eventually(() => lines.length === 3)
  t.same(lines.splice(0), ['recovered true', 'update 1', 'update 2'])
  await cut(3)
  await eventually(() => lines.length === 2)
  t.same(lines.splice(0), ['recovered false', 'state loaded'])

  client.close()
  await app.ws.sendToUser('ada', { type: 'task_update', data: { task_id: 4 } })
  client.reopen()
  await eventually(() => lines.length === 2)
  t.same(lines.splice(0), ['recovered true', 'update 4'])
})

t.test('a client with since=0 starts with all messages in the history, and its ack says whether these are all', async t => {
  const { app, port } = await start(t, { history: { size: 2 } })
  for (const count of [2, 1]) {
    for (let id = 1; id <= count; id++) await app.ws.sendToUser('ada', { type: 'task_update', data: { task_id: id } })
    const { ack } = await connect(t, `ws://127.0.0.1:${port}/ws/notifications/ada?since=0`)
    t.match(ack.data, { recovered: count === 2, replayed: 2 })
  }
})

t.test('the snippet that shows who is online counts a user once', async t => {
  const log = new PassThrough()
  const { app, url } = await page.serve(t, 'online', {
    replace: { 'Fastify()': 'Fastify({ logger: { stream: log } })' },
    globals: { log }
  })
  let written = ''
  log.on('data', chunk => { written += chunk })
  const count = (message: string) => written.split(message).length - 1
  const online = async (id: string) => (await app.inject(`/users/${id}/online`)).json()

  const first = await connect(t, `${url}/notifications/ada`)
  const second = await connect(t, `${url}/support/shop/c1/ada`)
  t.equal(count('came online'), 1)
  t.match(await online('ada'), { online: true, connections: [{ userId: 'ada' }, { userId: 'ada' }] })
  t.same(await online('bob'), { online: false, connections: [] })
  const stats = (await app.inject('/stats')).json()
  t.match(stats, { connections: 2, users: 1 })
  t.same(page.table('## See who is online', '| Figure | Meaning |').map(([name]) => name).sort(), Object.keys(stats).map(name => `\`${name}\``).sort())

  first.socket.close()
  await eventually(() => app.ws.connections('ada').length === 1)
  t.equal(count('went offline'), 0)
  second.socket.close()
  await eventually(() => count('went offline') === 1)
  t.same(await online('ada'), { online: false, connections: [] })
})

t.test('the snippet that closes connections does so with 4403 and 4401', async t => {
  const { app, url } = await page.mount(t, 'close')
  const ada = await connect(t, `${url}/notifications/ada`)
  const bob = await connect(t, `${url}/notifications/bob`)
  t.same(await post(app, '/users/ada/ban'), { closed: 1 })
  t.equal((await ada.close()).code, 4403)
  t.same(await post(app, '/users/bob/logout'), { closed: 1 })
  t.equal((await bob.close()).code, 4401)
  t.throws(() => app.ws.disconnectUser('ada', 4999), { code: 'RT_ERR_UNKNOWN_CLOSE_CODE' })
})

t.test('the snippet that compresses negotiates permessage-deflate', async t => {
  const { url } = await page.serve(t, 'compression')
  t.match((await connect(t, `${url}/notifications/ada`)).socket.extensions, /permessage-deflate/)
})

t.test('the snippet with a WebSocket route of its own echoes, up to its limit', async t => {
  const { host } = await page.serve(t, 'own-route')
  const socket = new WebSocket(`ws://${host}/echo`)
  t.teardown(() => socket.terminate())
  await once(socket, 'open')
  socket.send('hello')
  t.equal(String((await once(socket, 'message'))[0]), 'hello')
  socket.send('x'.repeat(128 * 1024 + 1))
  t.equal((await once(socket, 'close'))[0], 1009)
})

t.test('each option that the page names exists', async t => {
  for (const [, section, name] of page.text.matchAll(/`(limits|timeouts|history|heartbeat|chat)\.(\w+)`/g)) {
    t.hasProp(optionsSchema.properties[section as 'limits'].properties, name, `${section}.${name}`)
  }
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })
