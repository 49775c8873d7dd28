import type { Socket as NetSocket } from 'node:net'
import Fastify from 'fastify'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import realtime, { type RealtimeOptions } from '../../../lib/index.js'
import { createClient, type ClientOptions, type RealtimeClient, type Resume, type WebSocketConstructor } from '../../../lib/client/index.js'
import { bundle, launch, skipBrowser } from '../../chromium.js'
import { every } from '../../every.js'
import { start } from '../../harness.js'
import { eventually, gate } from '../../waiting.js'
import { FakeLocks } from '../fake-locks.js'
import { OlderSocket } from '../older-socket.js'

const count = (n: number) => Array.from({ length: n }, (_, at) => `${at}`)

/** A tab: its client, and the messages and resumes that it received. */
interface Tab {
  client: RealtimeClient
  titles: string[]
  resumes: Resume[]
}

t.test('tabs share one connection', async t => {
  const locks = new FakeLocks()
  Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { locks } })
  t.teardown(() => { Reflect.deleteProperty(globalThis, 'navigator') })

  function openTab (t: Test, url: string, options: ClientOptions = {}): Tab {
    const client = createClient({ baseUrl: `${url}/ws`, userId: 'u1', WebSocket: WebSocket as WebSocketConstructor, share: true, backoff: () => 20, ...options })
    t.teardown(() => client.close())
    const tab: Tab = { client, titles: [], resumes: [] }
    client.on('notification', data => { tab.titles.push(data!.title) })
    client.onResume(resume => tab.resumes.push(resume))
    return tab
  }

  async function open (t: Test, tabs: number, options: RealtimeOptions = {}, ofClient: ClientOptions = {}) {
    const opened: string[] = []
    const { app, url } = await start(t, { ...options, onConnect: ({ id }) => { opened.push(id) } })
    const all: Tab[] = []
    // One after another, so that the first one leads.
    for (let n = 0; n < tabs; n++) {
      all.push(openTab(t, url, ofClient))
      await all[n].client.connected()
    }
    return {
      app,
      url,
      opened,
      tabs: all,
      notify: async (...titles: string[]) => { for (const title of titles) await app.ws.sendToUser('u1', { type: 'notification', data: { title } }) },
      heard: (length: number, of = all) => eventually(() => of.every(({ titles }) => titles.length >= length))
    }
  }

  t.test('three tabs have one socket, and each tab gets each message once and in order', async t => {
    const { app, opened, tabs, notify, heard } = await open(t, 3)
    await notify(...count(300))
    await heard(300)
    for (const { titles } of tabs) t.strictSame(titles, count(300))
    t.equal(opened.length, 1)
    for (const { client } of tabs) client.close()
    await eventually(() => app.ws.stats().connections === 0 && locks.size === 0)
  })

  t.test('a message of a tab is handled once, and that tab gets the answer', async t => {
    const said: unknown[] = []
    const { tabs, opened } = await open(t, 2, { onMessage: { vote: ({ data }) => { said.push(data) }, fails () { throw new Error('secret') } } })
    await Promise.all(tabs.map(({ client }, at) => client.send('vote', at)))
    t.strictSame(said.sort(), [0, 1])
    for (const { client } of tabs) await t.rejects(client.send('fails'), { code: 'handler_failed' })
    // More messages than the burst of a connection.
    await Promise.all(tabs.flatMap(({ client }, at) => count(30).map(n => client.send('vote', `${at}.${n}`))))
    t.equal(new Set(said).size, 62)
    t.equal(said.length, 62)
    t.equal(opened.length, 1)
  })

  t.test('a tab that joins later gets only later messages', async t => {
    const { url, tabs, notify, heard } = await open(t, 1)
    await notify('before')
    await heard(1)
    const late = openTab(t, url)
    await late.client.connected()
    await notify('after')
    await heard(1, [late])
    await heard(2)
    t.strictSame([tabs[0].titles, late.titles, late.resumes], [['before', 'after'], ['after'], []])
  })

  t.test('a reopened tab gets up to 200 missed messages from the leader, and recovered: false after more', async t => {
    const { tabs: [leader, other], notify, heard } = await open(t, 2)
    await notify('first')
    await heard(1)
    for (const [missed, recovered] of [[200, true], [201, false]] as const) {
      const before = { ofLeader: leader.titles.length, own: other.titles.length }
      other.client.close()
      await notify(...count(missed))
      await heard(before.ofLeader + missed, [leader])
      other.client.reopen()
      await other.client.connected()
      t.strictSame(other.resumes.splice(0), [{ recovered }], `${missed} messages`)
      await notify(`after ${missed}`)
      await eventually(() => other.titles.at(-1) === `after ${missed}`)
      t.equal(other.titles.length, before.own + (recovered ? missed : 0) + 1)
    }
  })

  t.test('only the leader renews the credential of the shared connection', async t => {
    const { tabs, url } = await open(t, 1, { authenticate: () => ({ userId: 'u1', expiresAt: Date.now() + 60_000 }) })
    const late = openTab(t, url)
    await late.client.connected()
    const [leader, follower] = [tabs[0], late].map(({ client }) => client.ack!.expires_in_ms)
    t.ok(leader! > 0)
    t.equal(follower, undefined)
  })

  t.test('a credential that the leader has renewed starts no renewal in another tab', async t => {
    const authenticate = () => ({ userId: 'u1', expiresAt: Date.now() + 500 })
    const renew = () => ({ userId: 'u1', expiresAt: Date.now() + 60_000 })
    const { tabs, notify, heard } = await open(t, 2, { authenticate, renew }, { getToken: () => 'token' })
    const heardBy = tabs.map(({ client }) => {
      const types: string[] = []
      client.on('*', ({ type }) => { types.push(type) })
      return types
    })
    await eventually(() => heardBy[0].includes('renewed'))
    await notify('fence')
    await heard(1)
    t.strictSame(heardBy.map(types => types.includes('renewed')), [true, false])
  })

  t.test('when the leader is closed another tab leads, and no message is lost', async t => {
    const { app, opened, tabs, notify, heard } = await open(t, 3)
    for (let n = 0; n < 2; n++) {
      await notify(`${n}.0`, `${n}.1`)
      tabs[n].client.close()
      await notify(`${n}.2`)
      const left = tabs.slice(n + 1)
      await heard(n * 3 + 3, left)
    }
    t.strictSame(tabs[2].titles, ['0.0', '0.1', '0.2', '1.0', '1.1', '1.2'])
    t.strictSame(tabs[2].resumes, [{ recovered: true }, { recovered: true }])
    t.equal(opened.length, 3)
    tabs[2].client.close()
    await eventually(() => app.ws.stats().connections === 0)
  })

  t.test('all tabs reconnect after a lost connection, and no message is lost', async t => {
    const { app, opened, tabs, notify, heard } = await open(t, 3)
    for (let n = 0; n < 5; n++) {
      await notify(`${n}.0`)
      app.ws.connections('u1')[0].close(1013)
      await notify(`${n}.1`)
      await heard(n * 2 + 2)
      await Promise.all(tabs.map(({ client }) => client.connected()))
    }
    for (const { titles, resumes } of tabs) {
      t.strictSame(titles, ['0.0', '0.1', '1.0', '1.1', '2.0', '2.1', '3.0', '3.1', '4.0', '4.1'])
      t.ok(every(resumes, ({ recovered }) => recovered))
    }
    t.equal(opened.length, 6)
  })

  t.test('a tab that reconnects after the others gets the messages that it missed', async t => {
    const { app, url, opened, notify } = await open(t, 1, {}, { backoff: () => 1 })
    const late = openTab(t, url, { backoff: () => 300 })
    await late.client.connected()
    await notify('0')
    await eventually(() => late.titles.length === 1)
    app.ws.connections('u1')[0].close(1013)
    await eventually(() => opened.length === 2 && late.client.status === 'waiting')
    await notify('1', '2')
    await eventually(() => late.titles.length === 3)
    t.strictSame(late.titles, ['0', '1', '2'])
    t.strictSame(late.resumes, [{ recovered: true }])
    t.equal(opened.length, 2)
  })

  t.test('a close code with the action stop closes all tabs', async t => {
    const { app, opened, tabs } = await open(t, 2)
    app.ws.connections('u1')[0].close(4403, 'no')
    await eventually(() => tabs.every(({ client }) => client.status === 'closed') && locks.size === 0)
    for (const { client } of tabs) t.strictSame(client.closed, { code: 4403, reason: 'no', name: 'FORBIDDEN' })
    t.equal(opened.length, 1)
  })

  t.test('a suspended leader is replaced, and follows the new leader when it runs again', async t => {
    const { app, tabs, notify, heard } = await open(t, 2)
    locks.steal()
    await notify('a')
    await heard(1)
    await eventually(() => app.ws.connections('u1').length === 1)
    await notify('b')
    await heard(2)
    for (const { titles } of tabs) t.strictSame(titles, ['a', 'b'])
  })

  t.test('a leader that does not answer is replaced', async t => {
    const { app, url } = await start(t)
    const suspended = locks.request(`fastify-realtime 2 ${url}/ws/notifications/u1`, {}, () => new Promise(() => {}))
    const replaced = t.rejects(suspended, { message: 'AbortError' })
    const { client } = openTab(t, url)
    await client.connected()
    t.equal(app.ws.connections('u1').length, 1)
    await replaced
  })

  t.test('a leader that waits for its next attempt connects at once when another tab joins', async t => {
    const { app, url, tabs } = await open(t, 1, {}, { backoff: () => 60_000 })
    app.ws.connections('u1')[0].close(1013)
    await eventually(() => tabs[0].client.status === 'waiting')
    const other = openTab(t, url)
    await Promise.all([other.client.connected(), tabs[0].client.connected()])
    t.equal(app.ws.connections('u1').length, 1)
  })

  t.test('an error of the WebSocket constructor is reported once, and the tab tries again', async t => {
    const reported: unknown[] = []
    let made = 0
    const { client } = openTab(t, 'ws://a.example', {
      WebSocket: class { constructor () { made++; throw new SyntaxError('no') } } as unknown as WebSocketConstructor,
      onError: error => reported.push(error)
    })
    await eventually(() => made > 2 && client.status === 'waiting')
    t.match(reported, [{ name: 'SyntaxError' }])
    t.equal(reported.length, 1)
  })

  t.test('a tab that may not use locks has its own connection', async t => {
    locks.isRefusing = true
    t.teardown(() => { locks.isRefusing = false })
    const { opened, notify, heard } = await open(t, 1)
    await notify('a')
    await heard(1)
    t.equal(opened.length, 1)
  })

  t.test('a frame that is too big is refused on the tab that sent it, and all tabs reconnect', async t => {
    const heard: unknown[] = []
    const go = gate()
    const { tabs } = await open(t, 3, {
      limits: { frame: 10_000 },
      onMessage: { async n ({ data }) { await go.opened; heard.push((data as { size: number }).size) } }
    }, { WebSocket: OlderSocket, onError: () => {} })
    const sizes = [10, 200, 30_000]
    const sent = tabs.map(({ client }, at) => client.send('n', { size: sizes[at], text: 'x'.repeat(sizes[at]) }).then(() => 'handled', ({ code }) => code))
    t.equal(await sent[2], 'too_big')
    go.open()
    t.strictSame(await Promise.all(sent), ['handled', 'handled', 'too_big'])
    t.strictSame(heard.sort(), [10, 200])
    await Promise.all(tabs.map(({ client }) => client.connected()))
  })

  t.test('every tab refuses a frame beyond the limit of the server, and the connection stays open', async t => {
    const { tabs, opened } = await open(t, 2, { limits: { frame: 10_000 } })
    for (const { client } of tabs) await t.rejects(client.send('n', 'x'.repeat(10_000)), { code: 'too_big' })
    t.equal(opened.length, 1)
  })

  t.test('a tab with since in its URL has a connection of its own', async t => {
    const { opened, url } = await open(t, 1)
    const other = openTab(t, url, { url: `${url}/ws/notifications/u1?since=0` })
    await other.client.connected()
    t.equal(opened.length, 2)
  })
})

t.test('without locks each client has a socket of its own', async t => {
  Object.defineProperty(globalThis, 'navigator', { configurable: true, value: {} })
  t.teardown(() => { Reflect.deleteProperty(globalThis, 'navigator') })
  const { app, url } = await start(t)
  const clients = count(2).map(() => createClient({ baseUrl: `${url}/ws`, userId: 'u1', WebSocket: WebSocket as WebSocketConstructor, share: true }))
  t.teardown(() => { for (const client of clients) client.close() })
  await Promise.all(clients.map(client => client.connected()))
  t.equal(app.ws.connections('u1').length, 2)
})

const script = `
  import { createClient } from '../../lib/client/index.ts'
  const client = createClient({ userId: 'u1', share: true, backoff: () => 50 })
  const seen = { titles: [], resumes: [] }
  client.on('notification', ({ title }) => { seen.titles.push(title) })
  client.onResume(({ recovered }) => { seen.resumes.push(recovered) })
  Object.assign(window, { client, seen })
`

interface Seen {
  titles: string[]
  resumes: boolean[]
}

t.test('pages in a browser share one connection', { skip: skipBrowser }, async t => {
  const code = await bundle(script)
  const browser = await launch(t)

  async function open (t: Test, pages: number, options: RealtimeOptions = {}) {
    const opened: string[] = []
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(realtime, { ...options, onConnect: ({ id }) => { opened.push(id) } })
    app.get('/', async (_request, reply) => reply.type('text/html').send('<script type="module" src="/page.js"></script>'))
    app.get('/page.js', async (_request, reply) => reply.type('text/javascript').send(code))
    const sockets = new Set<NetSocket>()
    app.server.on('connection', (socket: NetSocket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const context = await browser.newContext()
    t.teardown(() => context.close())
    const openPage = async () => {
      const page = await context.newPage()
      page.on('pageerror', error => t.fail(error))
      await page.goto(url)
      await page.evaluate('client.connected()')
      return page
    }
    return {
      app,
      opened,
      openPage,
      pages: await Promise.all(Array.from({ length: pages }, openPage)),
      dropAll: () => { for (const socket of sockets) socket.destroy() },
      notify: async (...titles: string[]) => { for (const title of titles) await app.ws.sendToUser('u1', { type: 'notification', data: { title } }) }
    }
  }

  const seen = (page: Page) => page.evaluate<Seen>('seen')
  const heard = (page: Page, n: number) => page.waitForFunction(`seen.titles.length >= ${n}`)

  t.test('three pages that open together have one connection, and each gets each message once and in order', async t => {
    const { app, opened, pages, notify } = await open(t, 3)
    t.equal(app.ws.connections('u1').length, 1)
    t.equal(opened.length, 1)
    await notify(...count(500))
    for (const page of pages) {
      await heard(page, 500)
      t.strictSame((await seen(page)).titles, count(500))
    }
    for (const page of pages) await page.evaluate('client.close()')
    await eventually(() => app.ws.stats().connections === 0)
    t.match(await pages[0].evaluate('navigator.locks.query()'), { held: { length: 0 }, pending: { length: 0 } })
  })

  t.test('a message of each page is handled once', async t => {
    const said: unknown[] = []
    const { pages, app } = await open(t, 3, { onMessage: { vote: ({ data }) => { said.push(data) } } })
    await Promise.all(pages.map((page, at) => page.evaluate(`client.send('vote', ${at})`)))
    t.strictSame(said.sort(), [0, 1, 2])
    t.equal(app.ws.connections('u1').length, 1)
  })

  t.test('a page that joins later gets only later messages', async t => {
    const { pages, openPage, notify } = await open(t, 1)
    await notify('before')
    await heard(pages[0], 1)
    const late = await openPage()
    await notify('after')
    await heard(late, 1)
    t.strictSame(await seen(late), { titles: ['after'], resumes: [] })
  })

  t.test('when leaders are closed during a stream of messages, the other pages lose and repeat none', async t => {
    const handled: unknown[] = []
    const { app, pages, opened, openPage, notify } = await open(t, 1, { onMessage: { vote: ({ data }) => { handled.push(data) } } })
    // Opened one after the other, so that they lead in this order.
    for (let n = 1; n < 4; n++) pages.push(await openPage())
    const sent: string[] = []
    const done = new AbortController()
    const stream = (async () => {
      while (!done.signal.aborted) {
        await notify(`${sent.push(`${sent.length}`) - 1}`)
        // Delay between messages.
        await new Promise(resolve => setTimeout(resolve, 2))
      }
    })()
    const last = pages[3]
    await last.evaluate('window.votes = []; window.voting = setInterval(() => votes.push(client.send("vote", votes.length)), 100)')
    for (const page of pages.slice(0, 3)) {
      const { length } = sent
      await heard(last, length + 50)
      await page.close()
    }
    await heard(last, sent.length + 50)
    done.abort()
    await stream
    await heard(last, sent.length)
    const { titles, resumes } = await seen(last)
    t.strictSame(titles, sent)
    t.strictSame(resumes, [true, true, true])
    const votes = await last.evaluate<number>('clearInterval(voting), Promise.all(votes).then(() => votes.length)')
    t.strictSame(handled, Array.from({ length: votes }, (_, n) => n))
    t.equal(opened.length, 4)
    t.equal(app.ws.connections('u1').length, 1)
  })

  t.test('all pages reconnect when the connection is cut, and no message is lost', async t => {
    const { app, pages, dropAll, notify, opened } = await open(t, 3)
    for (let n = 0; n < 5; n++) {
      await notify(`${n}.0`)
      dropAll()
      await notify(`${n}.1`)
      for (const page of pages) await heard(page, n * 2 + 2)
    }
    for (const page of pages) {
      const { titles, resumes } = await seen(page)
      t.strictSame(titles, count(5).flatMap(n => [`${n}.0`, `${n}.1`]))
      t.ok(every(resumes, recovered => recovered), `${resumes}`)
    }
    t.equal(opened.length, 6)
    t.equal(app.ws.connections('u1').length, 1)
  })
})
