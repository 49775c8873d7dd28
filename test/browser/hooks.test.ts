import type { Socket } from 'node:net'
import Fastify from 'fastify'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import realtime, { type RealtimeOptions } from '../../lib/index.js'
import { bundle, launch, skipBrowser } from '../chromium.js'
import { eventually } from '../waiting.js'

/** Example of a component of an app. `seen` records what the tests check. */
const script = `
  import { createElement, StrictMode } from 'react'
  import { createRoot } from 'react-dom/client'
  import { RealtimeProvider, useMessages, useNotifications, useRealtime, useResume } from '../../lib/react/index.ts'

  const seen = { titles: [], resumes: [], renders: 0, last: [], sockets: 0 }
  const Native = WebSocket
  window.WebSocket = class extends Native {
    constructor (...args) {
      super(...args)
      seen.sockets++
    }
  }

  function Bell () {
    const { isConnected, status, lastMessage } = useRealtime()
    const { notifications, unread, markRead } = useNotifications()
    seen.renders++
    seen.last.push(lastMessage?.data?.title)
    useMessages('notification', ({ title }) => { seen.titles.push(title) })
    useResume(({ recovered }) => { seen.resumes.push(recovered) })
    return createElement('main', null,
      createElement('p', { id: 'status' }, isConnected ? 'connected' : status),
      createElement('button', { onClick: () => markRead() }, unread + ' unread'),
      createElement('ul', null, notifications.map(({ id, title }) => createElement('li', { key: id }, title))))
  }

  const root = createRoot(document.getElementById('app'))
  root.render(createElement(StrictMode, null, createElement(RealtimeProvider, { userId: 'user_123' }, createElement(Bell))))
  Object.assign(window, { seen, unmount: () => root.unmount() })
`

interface Seen {
  titles: string[]
  resumes: boolean[]
  renders: number
  last: string[]
  sockets: number
}

t.test('the hooks work in a browser', { skip: skipBrowser }, async t => {
  const code = await bundle(script)
  const browser = await launch(t)

  async function open (t: Test) {
    let opened = 0
    const { app, url } = await startWithPage(t, { onConnect () { opened++ } })
    const sockets = new Set<Socket>()
    app.server.on('connection', (socket: Socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
    const context = await browser.newContext()
    t.teardown(() => context.close())
    const page = await context.newPage()
    page.on('pageerror', error => t.fail(error))
    await page.goto(url)
    await isConnected(page)
    return {
      app,
      page,
      opened: () => opened,
      dropAll: () => { for (const socket of sockets) socket.destroy() },
      notify: (title: string) => app.ws.sendToUser('user_123', { type: 'notification', data: { title } }),
      seen: () => page.evaluate<Seen>('seen')
    }
  }

  async function startWithPage (t: Test, options: RealtimeOptions) {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(realtime, options)
    app.get('/', async (_request, reply) => reply.type('text/html').send('<div id="app"></div><script type="module" src="/page.js"></script>'))
    app.get('/page.js', async (_request, reply) => reply.type('text/javascript').send(code))
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    return { app, url }
  }

  const isConnected = (page: Page) => page.locator('#status', { hasText: /^connected$/ }).waitFor()

  t.test('a provider under StrictMode opens one connection, and an unmount closes it', async t => {
    const { app, page, opened, seen } = await open(t)
    t.equal(app.ws.stats().connections, 1)
    t.equal(opened(), 1)
    await page.evaluate('unmount()')
    await eventually(() => app.ws.stats().connections === 0)
    await page.evaluate("window.dispatchEvent(new Event('online')), fetch(location.href).then(response => response.text())")
    t.equal((await seen()).sockets, 1, 'no socket is opened again')
  })

  t.test('useMessages gets all of 1,000 messages of one turn, and useNotifications counts the latest 100', async t => {
    const { page, notify, seen } = await open(t)
    const titles = Array.from({ length: 1000 }, (_, n) => `${n}`)
    const { renders } = await seen()
    await Promise.all(titles.map(notify))
    await page.getByRole('button', { name: '100 unread' }).waitFor()
    await page.locator('li', { hasText: /^999$/ }).waitFor()
    const after = await seen()
    t.strictSame(after.titles, titles)
    t.ok(after.renders - renders < 500, `${after.renders - renders} renders`)
    t.equal(await page.locator('li').count(), 100, 'the list is bounded')
    const asLast = titles.filter(title => after.last.includes(title)).length
    t.ok(asLast > 0 && asLast < titles.length, `lastMessage was only ${asLast} of them`)
    await page.getByRole('button').click()
    await page.getByRole('button', { name: '0 unread' }).waitFor()
  })

  t.test('a handler is called once for each message, in order, when the connection is cut 20 times', async t => {
    const { page, dropAll, notify, seen, app, opened } = await open(t)
    const sent: string[] = []
    const send = async (n: number) => {
      for (let i = 0; i < n; i++) await notify(`${sent.push(`${sent.length}`) - 1}`)
    }
    for (let cut = 0; cut < 20; cut++) {
      const before = opened()
      await send(3)
      dropAll()
      await send(2)
      await eventually(() => app.ws.stats().connections === 0 || opened() > before)
      await page.evaluate("window.dispatchEvent(new Event('online'))")
      await eventually(() => opened() > before)
      await isConnected(page)
    }
    await page.waitForFunction(`seen.titles.length >= ${sent.length}`)
    const { titles, resumes } = await seen()
    t.strictSame(titles, sent)
    t.strictSame(resumes, Array.from({ length: 20 }, () => true))
  })
})
