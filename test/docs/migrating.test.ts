import { once } from 'node:events'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { connect } from '../harness.js'
import { RedisServer, skipRedis } from '../redis-server.js'
import { eventually } from '../waiting.js'
import { Page, post, recorded, refusal, type Served } from './page.js'

const page = new Page('docs/migrating.md')

/** Sets variables of the environment for one test. */
function setEnv (t: Test, values: Record<string, string>): void {
  Object.assign(process.env, values)
  t.teardown(() => { for (const name of Object.keys(values)) delete process.env[name] })
}

/** Gives the snippets of a page a WebSocket that sends these headers, as a browser sends cookies. */
function browserWith (t: Test, headers: Record<string, string> = {}): void {
  class BrowserSocket extends WebSocket {
    constructor (url: string, protocols: string[]) {
      super(url, protocols, { headers })
    }
  }
  Object.assign(globalThis, { WebSocket: BrowserSocket })
  t.teardown(() => { delete (globalThis as { WebSocket?: unknown }).WebSocket })
}

/** A token of a user, which the server of the snippet signs. */
function signedBy (app: Served['app'], userId: string): string {
  return (app as any).jwt.sign({ sub: userId }, { expiresIn: '1h' })
}

const addressOf = (host: string) => ({ 'http://localhost:3000': `http://${host}` })

t.test('the Socket.IO snippets push to a user, move a card for all members of a board, and refuse others', async t => {
  setEnv(t, { JWT_SECRET: 'a secret for this test' })
  browserWith(t)
  const { app, host, url } = await page.serve(t, 'socket-io-server')
  const [bob, eve] = await Promise.all(['bob', 'eve'].map(user => connect(t, `${url}/notifications/${user}?token=${signedBy(app, user)}`)))
  for (const client of [bob, eve]) client.send({ type: 'subscribe', data: { channels: [{ channel: 'board:roadmap' }] } })
  await bob.next('subscribed')
  t.match(await eve.next('unsubscribed'), { data: { reason: 'forbidden' } })
  t.equal(await refusal(t, `${url}/notifications/ada?token=${signedBy(app, 'eve')}`), 4403)

  const { lines, console } = recorded()
  const fetch = async () => ({ text: async () => signedBy(app, 'ada') })
  const { client } = await page.run(t, 'socket-io-client', { globals: { console, fetch }, replace: addressOf(host) })
  t.teardown(() => client.close())
  const moved = { move: { card: 'c1', column: 'done' }, by: 'ada' }
  t.match(await bob.next('card_moved'), { data: moved })
  await eventually(() => lines.includes(`moved ${JSON.stringify(moved)}`))
  t.equal(app.ws.connections('ada').length, 1)

  await post(app, '/users/ada/greet')
  await eventually(() => lines.includes('notification Hello'))
  await t.rejects(client.send('move_card', {}), { code: 'unknown_type' })
})

t.test('the snippet in place of the Redis adapter reaches users on another node', { skip: skipRedis }, async t => {
  setEnv(t, { REDIS_URL: (await RedisServer.start(t)).url })
  const [first, second] = [await page.serve(t, 'socket-io-redis'), await page.serve(t, 'socket-io-redis')]
  const ada = await connect(t, `${second.url}/notifications/ada`)
  await first.app.ws.sendToUser('ada', { type: 'notification', data: { title: 'Hello' } })
  t.match(await ada.next(), { data: { title: 'Hello' } })
})

t.test('the snippets in place of a map of sockets push, broadcast and confirm what was read, beside an old route', async t => {
  const { app, host, url } = await page.serve(t, 'by-hand-server')
  browserWith(t, { cookie: 'theme=dark; session=secret-1' })
  const { lines, console } = recorded()
  const { client } = await page.run(t, 'by-hand-client', { globals: { console }, replace: addressOf(host) })
  t.teardown(() => client.close())
  await eventually(() => lines.includes('read {"ids":["n1"]}'))
  await post(app, '/users/ada/greet')
  await eventually(() => lines.includes('Hello'))

  const bob = await connect(t, `${url}/notifications/bob`, { headers: { cookie: 'session=secret-2' } })
  await post(app, '/announce')
  t.match(await bob.next(), { type: 'system_announcement', message: 'Back in five minutes' })
  t.equal(await refusal(t, `${url}/notifications/bob`, { headers: { cookie: 'session=secret-1' } }), 4403)
  t.equal(await refusal(t, `${url}/notifications/bob`), 4401)

  const old = new WebSocket(`ws://${host}/live`)
  t.teardown(() => old.terminate())
  await once(old, 'open')
  old.send('as before')
  t.equal(String((await once(old, 'message'))[0]), 'as before')
})

t.test('the snippet of a test passes', async t => {
  await page.passes(t, 'by-hand-test')
})

t.test('the snippet beside a Python service publishes for that service only, and accepts its tokens', async t => {
  setEnv(t, { JWT_SECRET: 'a secret for this test', PUBLISH_KEY: 'a key for this test' })
  const { app, host, url } = await page.serve(t, 'python-gateway')
  const [ada, bob] = await Promise.all(['ada', 'bob'].map(user => connect(t, `${url}/notifications/${user}?token=${signedBy(app, user)}`)))
  t.equal(await refusal(t, `${url}/notifications/ada`), 4401)
  const publish = (path: string, message: object, key = 'a key for this test') => fetch(`http://${host}/publish${path}`, {
    method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` }, body: JSON.stringify(message)
  })

  const sent = await publish('/users/ada/messages', { type: 'notification', data: { title: 'From Python' } })
  const { id } = await sent.json() as { id: string }
  t.match(await ada.next(), { data: { title: 'From Python' }, id })
  await publish('/broadcast', { type: 'said', data: { from: 'ada', text: 'Good morning' } })
  for (const client of [ada, bob]) t.match(await client.next(), { type: 'said', data: { text: 'Good morning' } })

  const wrong = await publish('/users/ada/messages', { type: 'notification', data: {} })
  t.match([wrong.status, await wrong.json()], [400, { code: 'RT_ERR_INVALID_MESSAGE' }])
  for (const key of ['', 'a key for that test', 'a longer key for this test']) t.equal((await publish('/broadcast', { type: 'said' }, key)).status, 401)
})

t.test('the snippet beside a Python service does not start without its secret and its key', async t => {
  setEnv(t, { JWT_SECRET: 'a secret for this test' })
  await t.rejects(page.run(t, 'python-gateway'), { message: 'Set JWT_SECRET and PUBLISH_KEY' })
})

t.test('the snippet that passes messages on to a Python service tells the client when that failed', async t => {
  const requests: unknown[] = []
  let isUp = true
  const fetch = async (url: string, { body }: RequestInit) => {
    requests.push([url, JSON.parse(String(body))])
    return { ok: isUp, status: isUp ? 200 : 502 }
  }
  const { url } = await page.serve(t, 'python-inbound', { globals: { fetch } })
  const ada = await connect(t, `${url}/notifications/ada`)
  ada.send({ type: 'say', ref: 's1', data: 'Good morning' })
  t.match(await ada.next(), { type: 'ack', ref: 's1' })
  t.same(requests, [['http://localhost:8000/said', { user_id: 'ada', data: 'Good morning' }]])
  isUp = false
  ada.send({ type: 'say', ref: 's2', data: 'Good evening' })
  t.match(await ada.next(), { type: 'error', ref: 's2', data: { code: 'handler_failed' } })
})

t.test('the snippets of a moved service answer, broadcast, and say who left, but not at a restart', async t => {
  const { app, host, url } = await page.serve(t, 'python-moved')
  browserWith(t)
  const bob = await connect(t, `${url}/notifications/bob`)
  const eve = await connect(t, `${url}/notifications/eve`)
  const { lines, console } = recorded()
  const { client } = await page.run(t, 'python-client', { globals: { console }, replace: addressOf(host) })
  t.teardown(() => client.close())
  t.match(await bob.next(), { type: 'said', data: { from: 'ada', text: 'Good morning' } })
  await eventually(() => lines.includes('said {"from":"ada","text":"Good morning"}'))

  bob.send({ type: 'say', ref: 's1', data: 'Hello' })
  t.match(await bob.next('heard'), { data: 'Hello' })
  eve.socket.close()
  t.match(await bob.next('left'), { data: { user_id: 'eve' } })
  await eventually(() => lines.includes('left {"user_id":"eve"}'))

  await app.close()
  t.match(await bob.close(), { code: 1012 })
  t.equal(bob.received.filter(({ type }) => type === 'left').length, 1)
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })
