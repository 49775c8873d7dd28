import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { build, type DemoOptions } from '../../examples/server.js'
import { MemoryBroker, errors, type Broker, type Envelope } from '../../lib/index.js'
import { spawnChild } from '../children.js'
import { Client, connect } from '../harness.js'
import { root } from '../root.js'
import { eventually, within } from '../waiting.js'

const program = join(root, 'dist/examples/server.js')
const notification = { type: 'notification', data: { title: 'Hi' } }

async function demo (t: Test, options?: DemoOptions) {
  const app = await build(options)
  t.teardown(() => app.close())
  const post = (url: string, payload?: string | object, type = 'application/json') =>
    app.inject({ method: 'POST', url, payload, headers: payload === undefined ? {} : { 'content-type': type } })
  const get = async (url: string) => (await app.inject(url)).json()
  return { app, post, get }
}

async function listening (t: Test, options?: DemoOptions) {
  const started = await demo(t, options)
  await started.app.listen({ host: '127.0.0.1', port: 0 })
  return { ...started, url: `ws://127.0.0.1:${(started.app.server.address() as AddressInfo).port}/ws` }
}

t.test('messages to a user, to all users and to a chat are answered with 202, an id and a timestamp', async t => {
  const { post } = await demo(t)
  const cases = [
    ['/api/users/user_123/messages', notification, 'u'],
    ['/api/broadcast', { type: 'system_announcement', message: 'Soon' }, 'b'],
    ['/api/chats/support/app_1/chat_1/user_123/messages', { type: 'chat_message', data: { content: 'Hello' } }, 'c']
  ] as const
  for (const [url, message, label] of cases) {
    const response = await post(url, message)
    t.equal(response.statusCode, 202, url)
    t.match(response.json(), { id: new RegExp(`^${label}\\.[a-z0-9]+\\.1$`), timestamp: /^\d{4}-.*Z$/ })
    t.strictSame(Object.keys(response.json()), ['id', 'timestamp'])
  }
})

t.test('ids of 128 characters are accepted, encoded or not, and longer ones are not', async t => {
  const { post } = await demo(t)
  for (const id of ['x'.repeat(128), '%7C'.repeat(128)]) t.equal((await post(`/api/users/${id}/messages`, notification)).statusCode, 202)
  t.equal((await post(`/api/users/${'x'.repeat(129)}/messages`, notification)).json().code, 'RT_ERR_INVALID_ID')
})

t.test('a bad message is answered with 400 and the reason', async t => {
  const { post } = await demo(t)
  const cases: Array<[string, string | object | undefined, RegExp]> = [
    ['/api/users/user_123/messages', {}, /type/],
    ['/api/users/user_123/messages', { type: 5 }, /type/],
    ['/api/users/user_123/messages', { type: 'notification', data: { titel: 'x' } }, /data\/title/],
    ['/api/users/user_123/messages', { type: 'notification', data: { title: 'x' }, extra: 1 }, /extra/],
    ['/api/users/user_123/messages', { type: 'connection_ack' }, /connection_ack/],
    ['/api/users/user_123/messages', 'null', /object/],
    ['/api/users/user_123/messages', undefined, /object/],
    ['/api/users/user%20123/messages', notification, /user 123/],
    ['/api/broadcast', { type: 'system_announcement' }, /message/],
    ['/api/broadcast', '{', /JSON/],
    ['/api/chats/notifications/a/b/c/messages', notification, /notifications/],
    ['/api/tasks', undefined, /body/],
    ['/api/tasks', {}, /title/],
    ['/api/tasks', { title: '' }, /title/],
    ['/api/tasks', { title: ' ' }, /title/],
    ['/api/tasks', { title: 7 }, /title/],
    ['/api/tasks', { title: 'x', user_id: 'a b' }, /user_id/]
  ]
  for (const [url, body, reason] of cases) {
    const response = await post(url, body)
    t.equal(response.statusCode, 400, `${url} ${JSON.stringify(body)}`)
    t.match(response.json(), { message: reason })
  }
})

t.test('a message that is too large is answered with 413', async t => {
  const { post } = await demo(t, { realtime: { limits: { message: 1000 } } })
  const large = (size: number) => ({ type: 'notification', data: { title: 'x'.repeat(size) } })
  t.match(await post('/api/broadcast', large(1000)), { statusCode: 413 })
  t.match((await post('/api/broadcast', large(1000))).json(), { code: 'RT_ERR_MESSAGE_TOO_LARGE' })
  t.equal((await post('/api/broadcast', large(70_000))).statusCode, 413)
})

t.test('a request that a page of another site can send without a preflight gets 415', async t => {
  const { app, post, get } = await demo(t)
  for (const url of ['/api/users/user_123/messages', '/api/broadcast', '/api/tasks', '/api/chats/a/b/c/d/messages']) {
    for (const type of ['text/plain', 'text/plain;charset=UTF-8', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      t.equal((await post(url, JSON.stringify(notification), type)).statusCode, 415, `${url} ${type}`)
    }
    const untyped = await app.inject({ method: 'POST', url, payload: Buffer.from(JSON.stringify(notification)) })
    t.equal(untyped.statusCode, 415, `${url} without a content type`)
  }
  t.match(await get('/api/stats'), { publications: 0 })
})

t.test('only requests with a loopback host are accepted, unless the demo is insecure', async t => {
  const { app } = await demo(t)
  const status = async (host: string) => (await app.inject({ url: '/api/stats', headers: { host } })).statusCode
  for (const host of ['localhost:8000', 'localhost', '127.0.0.1:8000', '[::1]:8000']) t.equal(await status(host), 200, host)
  for (const host of ['rebound.example:8000', 'localhost.example', '127.0.0.1.example']) t.equal(await status(host), 403, host)
  const { app: open } = await demo(t, { realtime: { insecure: true } })
  t.equal((await open.inject({ url: '/api/stats', headers: { host: 'demo.example' } })).statusCode, 200, 'an insecure demo accepts any host')
})

t.test('a new task is in the state of its user, and a task that cannot be pushed is not', async t => {
  const { post, get } = await demo(t)
  const response = await post('/api/tasks', { title: 'Write', client_ref: 'r1' })
  t.equal(response.statusCode, 201)
  t.match(response.json(), { task_id: /^.{8}$/, title: 'Write', client_ref: 'r1' })
  t.strictSame((await get('/api/users/user_123/state')).tasks, [response.json()])
  t.strictSame((await get('/api/users/user_456/state')).tasks, [], 'the state of another user')

  const broker: Broker = new MemoryBroker({ size: 1, ttl: 1000, lag: 1000, bytes: 1000 })
  broker.publish = async () => { throw new errors.BROKER('gone') }
  const broken = await demo(t, { realtime: { broker } })
  const failed = await broken.post('/api/tasks', { title: 'Write' })
  t.equal(failed.statusCode, 503)
  t.match(failed.json(), { code: 'RT_ERR_BROKER', message: /gone/ })
  t.strictSame((await broken.get('/api/users/user_123/state')).tasks, [])
})

t.test('a task with fail: true gets 503, and is not created', async t => {
  const { app, post, get } = await demo(t)
  const response = await post('/api/tasks', { title: 'Write', fail: true })
  t.equal(response.statusCode, 503)
  t.match(response.json(), { message: 'The server was asked to fail' })
  t.strictSame((await get('/api/users/user_123/state')).tasks, [])
  t.equal(app.ws.stats().publications, 0)
})

t.test('the state has the notifications and announcements of a user, and is bounded', async t => {
  const { post, get } = await demo(t)
  const { id } = (await post('/api/users/user_123/messages', notification)).json()
  await post('/api/users/user_123/messages', { type: 'order_shipped' })
  await post('/api/broadcast', { type: 'system_announcement', message: 'Soon' })
  const { messages } = await get('/api/users/user_123/state')
  t.match(messages, [{ ...notification, id }, { type: 'system_announcement', message: 'Soon' }])
  t.equal(messages.length, 2)

  for (let n = 0; n < 120; n++) await post('/api/tasks', { title: `${n}` })
  const { tasks } = await get('/api/users/user_123/state')
  t.equal(tasks.length, 100)
  t.equal(tasks.at(-1).title, '119')
  for (let n = 0; n < 100; n++) await post('/api/tasks', { title: 'x', user_id: `u${n}` })
  t.strictSame((await get('/api/users/user_123/state')).tasks, [], 'the state of the least recent user is dropped')
})

t.test('/api/stats returns the stats of the plugin', async t => {
  const { app, get } = await demo(t)
  t.strictSame(await get('/api/stats'), app.ws.stats())
})

t.test('the content security policy of the page allows only its own files', async t => {
  const { app } = await demo(t)
  const page = await app.inject('/')
  t.match(page.headers, { 'content-type': /^text\/html/, 'x-content-type-options': 'nosniff' })
  const policy = String(page.headers['content-security-policy'])
  t.match(policy, "default-src 'none'")
  t.notMatch(policy, 'unsafe')
  t.notMatch(page.body, /<script(?! type="module" src=)|<style|\son\w+=|\sstyle=|(src|href)="(https?:)?\/\//)
  for (const [path, type] of [['/page.js', /^text\/javascript/], ['/page.css', /^text\/css/]] as const) {
    t.match((await app.inject(path)).headers, { 'content-type': type, 'content-security-policy': policy })
  }
})

t.test('a plain WebSocket that only parses JSON and checks the type gets every message', async t => {
  const { post, url } = await listening(t)
  const seen = { acks: 0, notifications: [] as unknown[], tasks: [] as unknown[], announcements: [] as unknown[] }
  const socket = new WebSocket(`${url}/notifications/user_123`)
  t.teardown(() => socket.terminate())
  socket.onmessage = event => {
    const message = JSON.parse(event.data.toString()) as Envelope
    switch (message.type) {
      case 'connection_ack': return seen.acks++
      case 'notification': return seen.notifications.push(message.data)
      case 'task_update': return seen.tasks.push(message.data)
      case 'system_announcement': return seen.announcements.push(message.message)
    }
  }
  await eventually(() => seen.acks === 1)
  await post('/api/users/user_123/messages', notification)
  await post('/api/users/user_456/messages', { type: 'notification', data: { title: 'not for us' } })
  const task = (await post('/api/tasks', { title: 'Write', user_id: 'user_123' })).json()
  await post('/api/broadcast', { type: 'system_announcement', message: 'Soon' })
  await eventually(() => seen.announcements.length === 1)
  t.strictSame(seen, { acks: 1, notifications: [{ title: 'Hi' }], tasks: [task], announcements: ['Soon'] })
})

/** Subscribes to the figures of the server. */
async function watchFigures (client: Client): Promise<void> {
  client.send({ type: 'subscribe', data: { channels: [{ channel: 'dashboard:server' }] } })
  await client.next('subscribed')
}

t.test('a connection that does not watch the figures gets none', async t => {
  const { post, url } = await listening(t, { refresh: 1 })
  const other = await connect(t, `${url}/notifications/user_123`)
  const client = await connect(t, `${url}/support/app_1/chat_1/user_123`)
  await client.next('presence')
  await watchFigures(other)
  await other.next('stats_update')
  await other.next('stats_update')
  await other.next('stats_update')
  await post('/api/chats/support/app_1/chat_1/user_123/messages', { type: 'chat_message', data: { content: 'Hello' } })
  t.match(await client.next(), { type: 'chat_message', data: { content: 'Hello' } })
})

t.test('all users who watch the dashboard get the same figures, which are not in a history', async t => {
  const { app, url } = await listening(t, { refresh: 1 })
  const [client, other] = await Promise.all(['user_123', 'user_456'].map(user => connect(t, `${url}/notifications/${user}`)))
  await Promise.all([client, other].map(watchFigures))
  const first = await client.next('stats_update')
  t.match(first, { channel: 'dashboard:server', data: { connections: 2, users: 2 } })
  await other.until(() => other.received.some(({ id }) => id === first.id))
  t.strictSame(other.received.find(({ id }) => id === first.id), first)
  client.send({ type: 'unsubscribe', data: { channels: ['dashboard:server'] } })
  await client.next('unsubscribed')
  client.send({ type: 'subscribe', data: { channels: [{ channel: 'dashboard:server', since: first.id }] } })
  t.match(await client.next('subscribed'), { data: { recovered: false } })
  t.ok(app.ws.stats().publications < 100, 'figures are kept only until they are written')
})

/** Starts the demo as a separate process. */
async function run (t: Test, env: NodeJS.ProcessEnv = {}) {
  const child = spawnChild(process.execPath, [program], { env: { PATH: process.env.PATH, PORT: '0', ...env }, stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  let log = ''
  const listening = async () => {
    for await (const line of createInterface(child.stdout!)) {
      log += line
      const port = /listening at http:\/\/[^"]*:(\d+)/.exec(line)?.[1]
      if (port !== undefined) return port
    }
    throw new Error(`it ended before it listened: ${log}`)
  }
  const port = await within(listening(), 'the demo to listen')
  return { child, exited, log, url: `ws://127.0.0.1:${port}/ws/notifications/user_123` }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} closes the demo gracefully`, async t => {
    const { child, exited, url } = await run(t)
    const client = await connect(t, url)
    child.kill(signal)
    t.match(await client.close(), { code: 1012, reason: /^retry_ms=\d+$/ })
    t.strictSame(await exited, [0, null])
  })
}

t.test('a second signal ends the demo without waiting for a client that does not answer', async t => {
  const { child, exited, url } = await run(t)
  const deaf = await connect(t, url)
  const witness = await connect(t, url)
  deaf.socket.pause()
  child.kill('SIGTERM')
  await witness.close()
  t.equal(child.exitCode, null)
  child.kill('SIGINT')
  t.strictSame(await exited, [1, null])
})

t.test('another HOST opens the demo to other machines, and logs a warning', async t => {
  const { log, url } = await run(t, { HOST: '0.0.0.0' })
  t.match(log, 'Everyone who can reach 0.0.0.0 can connect as anyone')
  const client = new Client(url)
  t.teardown(() => client.socket.terminate())
  t.match(await client.next(), { type: 'connection_ack' })
})
