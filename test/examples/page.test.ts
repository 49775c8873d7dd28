import { existsSync } from 'node:fs'
import type { AddressInfo, Socket } from 'node:net'
import { chromium, type Browser, type Page, type Route } from 'playwright-core'
import t, { type Test } from 'tap'
import { build, type DemoOptions } from '../../examples/server.js'
import { closeCodes, type Envelope } from '../../lib/index.js'
import { connect, eventually } from '../harness.js'

const executablePath = '/usr/bin/chromium'
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync']

const items = '#messages li'
const tasks = '#tasks li'
const confirmed = '#tasks li:not(.pending)'
const pending = '#tasks li.pending'

async function serve (t: Test, { port = 0, ...options }: DemoOptions & { port?: number } = {}) {
  const app = await build({ ...options, realtime: { timeouts: { spread: 50 }, ...options.realtime } })
  t.teardown(() => app.close())
  const sockets = new Set<Socket>()
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  return {
    app,
    listen: () => app.listen({ host: '127.0.0.1', port }),
    port: () => (app.server.address() as AddressInfo).port,
    /** As when the network is gone: no Close, no goodbye. */
    dropAll: () => { for (const socket of sockets) socket.destroy() },
    notify: (title: string) => app.inject({ method: 'POST', url: '/api/users/user_123/messages', payload: { type: 'notification', data: { title } } }),
    post: (url: string, payload: object) => app.inject({ method: 'POST', url, payload })
  }
}

/** Where each of the page's WebSockets connects, and what it receives. */
function watch (page: Page) {
  const connections: Array<{ since: string | null, received: Envelope[] }> = []
  page.on('websocket', socket => {
    const received: Envelope[] = []
    connections.push({ since: new URL(socket.url()).searchParams.get('since'), received })
    socket.on('framereceived', ({ payload }) => received.push(JSON.parse(String(payload))))
  })
  return connections
}

const isLive = (page: Page) => page.locator('#status[data-state=open]').waitFor()
// Not with waitForFunction: it evaluates strings, which the page's policy forbids.
const count = async (page: Page, selector: string, n: number) => {
  const end = performance.now() + 20_000
  while (await page.locator(selector).count() !== n) {
    if (performance.now() > end) throw new Error(`${selector} were not ${n} within 20 s`)
  }
}
const texts = (page: Page, selector: string) => page.locator(selector).allTextContents()
const titles = (page: Page) => texts(page, `${items} b`)
const add = async (page: Page, title: string) => {
  await page.getByLabel('New task').fill(title)
  await page.getByLabel('New task').press('Enter')
}

t.test('the page', { skip: existsSync(executablePath) ? false : `needs ${executablePath}` }, async t => {
  const browser: Browser = await chromium.launch({ executablePath, args: flags })
  t.teardown(() => browser.close())

  async function visit (t: Test, server: Awaited<ReturnType<typeof serve>>, prepare?: (page: Page) => Promise<unknown>) {
    const context = await browser.newContext({ viewport: { width: 375, height: 812 } })
    t.teardown(() => context.close())
    const page = await context.newPage()
    page.setDefaultTimeout(20_000)
    page.on('pageerror', error => t.fail(error))
    await prepare?.(page)
    const connections = watch(page)
    await page.goto(`http://127.0.0.1:${server.port()}/`)
    await isLive(page)
    return { page, connections }
  }

  async function open (t: Test, options?: DemoOptions, prepare?: (page: Page) => Promise<unknown>) {
    const server = await serve(t, options)
    await server.listen()
    return { ...server, ...await visit(t, server, prepare) }
  }

  t.test('notifications and announcements arrive in the bell, as text', async t => {
    const { page, notify, post } = await open(t)
    const html = '<img src=x onerror="document.body.remove()">'
    await notify(html)
    await page.getByRole('button', { name: 'Notifications, 1 unread' }).waitFor()
    await page.locator('#toasts').getByText(html).waitFor()
    await post('/api/broadcast', { type: 'system_announcement', message: 'Soon' })
    const bell = page.getByRole('button', { name: 'Notifications, 2 unread' })
    await bell.waitFor()
    t.equal(await page.title(), '(2) fastify-realtime demo')

    await bell.focus()
    await page.keyboard.press('Enter')
    await page.getByRole('region', { name: 'Notifications' }).waitFor()
    t.strictSame(await titles(page), ['Soon', html])
    t.equal(await page.locator(`${items}.unread`).count(), 2)
    await page.keyboard.press('Escape')
    await page.locator('#inbox').waitFor({ state: 'hidden' })
    t.equal(await page.locator(':focus').getAttribute('id'), 'bell')
    t.equal(await page.locator(':focus').getAttribute('aria-label'), 'Notifications', 'all of it has been seen')
    t.equal(await page.locator('img').count(), 0)
  })

  t.test('the forms send, and say why not', async t => {
    const { page } = await open(t)
    const notify = page.getByRole('form', { name: 'A notification to a user' })
    await notify.getByLabel('Title').fill('Hello')
    await notify.getByRole('button').click()
    await notify.getByText(/^Sent as u\./).waitFor()
    await notify.getByLabel('User').fill('not an id')
    await notify.getByRole('button').click()
    await notify.getByText(/"not an id" is not a valid id/).waitFor()
    const announce = page.getByRole('form', { name: 'An announcement to everyone' })
    await announce.getByLabel('Announcement').fill('Soon')
    await announce.getByRole('button').click()
    await announce.getByText(/^Sent as b\./).waitFor()
    await count(page, items, 2)
    t.strictSame(await titles(page), ['Soon', 'Hello'])
  })

  t.test('a task is there at once, and takes its id from the confirmation', async t => {
    const { page, app } = await open(t)
    const requests: Route[] = []
    await page.route('**/api/tasks', route => { requests.push(route) })
    await add(page, 'Write')
    await page.locator(pending, { hasText: 'Write' }).waitFor()
    t.equal(app.ws.stats().publications, 0, 'before the server knows')
    await eventually(() => requests.length === 1)
    await requests[0].continue()
    await page.locator(confirmed, { hasText: 'Write' }).waitFor()
    const [task] = (await app.inject('/api/users/user_123/state')).json().tasks
    t.strictSame(await texts(page, `${tasks} code`), [task.task_id])
    t.equal(await page.locator(tasks).count(), 1)
  })

  t.test('a task that the server refuses is taken back, with the reason', async t => {
    const { page } = await open(t)
    const requests: Route[] = []
    await page.route('**/api/tasks', route => { requests.push(route) })
    const isRolledBack = async (title: string, reason: string | RegExp) => {
      await page.getByRole('alert').getByText(reason).waitFor()
      t.equal(await page.locator(tasks).count(), 0)
      t.equal(await page.getByLabel('New task').inputValue(), title, 'and can be tried again')
    }
    await add(page, 'Refused')
    await count(page, pending, 1)
    await eventually(() => requests.length === 1)
    await requests[0].fulfill({ status: 503, json: { message: 'The broker is away' } })
    await isRolledBack('Refused', '“Refused” was not added: The broker is away')
    await add(page, 'Unreachable')
    await count(page, pending, 1)
    await eventually(() => requests.length === 2)
    await requests[1].abort()
    await isRolledBack('Unreachable', /“Unreachable” was not added/)
  })

  t.test('the push may come before the answer: one task, whatever the answer is', async t => {
    const { page } = await open(t)
    const held: Array<() => Promise<void>> = []
    await page.route('**/api/tasks', async route => {
      const response = await route.fetch()
      const isFirst = held.length === 0
      held.push(() => isFirst ? route.fulfill({ response }) : route.abort())
    })
    for (const [n, title] of ['Answered', 'Answer lost'].entries()) {
      await add(page, title)
      await page.locator(confirmed, { hasText: title }).waitFor()
      const ends = Promise.race([page.waitForEvent('requestfinished'), page.waitForEvent('requestfailed')])
      await eventually(() => held.length === n + 1)
      await held[n]()
      await ends
      // Once more through the page's event loop: what the answer does is done.
      await page.evaluate('new Promise(resolve => setTimeout(resolve))')
      t.equal(await page.locator(tasks).count(), n + 1)
      t.equal(await page.locator(pending).count(), 0)
    }
    t.strictSame(await texts(page, '[role=alert] p'), [], 'nothing is said of an answer that was not needed')
  })

  t.test('the answer may come before the push: one task', async t => {
    const { page, app } = await open(t, {}, page => page.routeWebSocket(/\/ws\//, socket => {
      const late: Array<string | Buffer> = []
      socket.connectToServer().onMessage(message => {
        const { type } = JSON.parse(String(message))
        if (type === 'task_update') late.push(message)
        else if (type === 'notification') for (const each of [...late, message]) socket.send(each)
        else socket.send(message)
      })
    }))
    await add(page, 'Write')
    await page.locator(confirmed, { hasText: 'Write' }).waitFor()
    await app.ws.sendToUser('user_123', { type: 'notification', data: { title: 'the push has passed' } })
    await count(page, items, 1)
    t.equal(await page.locator(tasks).count(), 1)
  })

  t.test('tasks from elsewhere appear, change and go', async t => {
    const { page, app, post } = await open(t)
    const update = (action: string, data: { task_id: string, title?: string }) => app.ws.sendToUser('user_123', { type: 'task_update', action, data })
    await post('/api/tasks', { title: 'From another tab' })
    await page.locator(confirmed, { hasText: 'From another tab' }).waitFor()
    await update('created', { task_id: 'abc123', title: 'New Task' })
    await page.locator(confirmed, { hasText: 'New Task' }).waitFor()
    await update('updated', { task_id: 'abc123', title: 'Newer Task' })
    await page.locator(confirmed, { hasText: 'Newer Task' }).waitFor()
    await update('deleted', { task_id: 'abc123' })
    await count(page, tasks, 1)
  })

  t.test('the figures are refreshed live', async t => {
    const { page, port, notify } = await open(t, { refresh: 20 })
    const figure = (name: string, value: number) =>
      page.locator(`[data-stat=${name}]`, { hasText: new RegExp(`^${value}$`) }).waitFor()
    await figure('connections', 1)
    const other = await connect(t, `ws://127.0.0.1:${port()}/ws/notifications/user_456`)
    await figure('connections', 2)
    await figure('users', 2)
    await notify('one')
    await figure('publications', 1)
    await figure('deliveries', 1)
    other.socket.terminate()
    await figure('connections', 1)
  })

  t.test('a dropped connection is resumed, with what was sent meanwhile, exactly once', async t => {
    const { page, connections, dropAll, notify, post } = await open(t)
    await notify('before')
    await count(page, items, 1)
    const expected = ['before']
    for (let drop = 1; drop <= 3; drop++) {
      // In one turn of the event loop: the page cannot be back before they are in the log.
      dropAll()
      const sent = [notify(`missed ${drop}`), post('/api/broadcast', { type: 'system_announcement', message: `announced ${drop}` }), post('/api/tasks', { title: `task ${drop}` })]
      expected.unshift(`missed ${drop}`, `announced ${drop}`)
      await Promise.all(sent)
      await count(page, items, expected.length)
      await count(page, confirmed, drop)
      await isLive(page)
      const { since, received } = connections.at(-1)!
      t.match(since, /^u\.[a-z0-9]+\.\d+,b\.[a-z0-9]+\.\d+$/)
      t.match(received[0], { type: 'connection_ack', data: { recovered: true, replayed: 3 } })
      await notify(`live ${drop}`)
      expected.unshift(`live ${drop}`)
      await count(page, items, expected.length)
    }
    t.strictSame((await titles(page)).toSorted(), expected.toSorted())
    t.equal(await page.locator('#status').textContent(), 'Live, 3 caught up')
  })

  t.test('after a restart the page loads the state of the new server', async t => {
    const first = await open(t)
    const { page, connections, port: portOf } = first
    const port = portOf()
    await first.post('/api/tasks', { title: 'of the old server' })
    await first.notify('of the old server')
    await count(page, items, 1)
    await count(page, confirmed, 1)
    await first.app.close()
    await page.locator('#status[data-state=waiting]').waitFor()

    const second = await serve(t, { port })
    await second.post('/api/tasks', { title: 'of the new server' })
    await second.notify('of the new server')
    await second.listen()
    await isLive(page)
    await page.locator(confirmed, { hasText: 'of the new server' }).waitFor()
    t.equal(connections.at(-1)!.received[0].type, 'connection_ack')
    t.match(connections.at(-1)!.received[0], { data: { recovered: false, replayed: 0 } })
    t.equal(await page.locator(tasks).count(), 1)
    t.strictSame(await titles(page), ['of the new server'])
    await page.getByRole('button', { name: 'Notifications, 2 unread' }).waitFor({ state: 'detached' })
    await second.notify('live again')
    await count(page, items, 2)
  })

  t.test('a gap is filled although the state cannot be loaded at first', async t => {
    let failures = 0
    const server = await serve(t)
    const { notify } = server
    await server.listen()
    await notify('loaded')
    const { page } = await visit(t, server, async page => {
      await page.routeWebSocket(/\/ws\//, socket => {
        let position: string
        socket.connectToServer().onMessage(message => {
          const { type, data, id } = JSON.parse(String(message))
          if (type === 'connection_ack') position = data.position
          // Lost on the way, as when the log has no longer what comes next.
          if (type === 'notification' && data.title === 'lost') {
            socket.send(JSON.stringify({ type: 'resync', data: { position: id ?? position }, timestamp: new Date().toISOString() }))
            return
          }
          socket.send(message)
        })
      })
      await page.route('**/state', route => failures-- > 0 ? route.fulfill({ status: 503, json: {} }) : route.continue())
    })
    await count(page, items, 1)
    failures = 2
    await notify('lost')
    await count(page, items, 2)
    t.strictSame(await titles(page), ['lost', 'loaded'])
    t.ok(failures < 0)
  })

  t.test('what is pushed while the state is on its way is not lost to it', async t => {
    const states: Route[] = []
    const { page, notify, post } = await open(t, {}, page => page.route('**/state', route => { states.push(route) }))
    await eventually(() => states.length === 1)
    const old = await states[0].fetch()
    await post('/api/tasks', { title: 'newer' })
    await notify('newer')
    await count(page, confirmed, 1)
    await count(page, items, 1)
    const isLoaded = page.waitForEvent('requestfinished')
    await states[0].fulfill({ response: old })
    await isLoaded
    await page.evaluate('new Promise(resolve => setTimeout(resolve))')
    t.equal(await page.locator(confirmed).count(), 1)
    t.strictSame(await titles(page), ['newer'])
  })

  t.test('a page that is told to stop does not come back', async t => {
    const { page, app, connections } = await open(t)
    app.ws.disconnectUser('user_123')
    await page.locator('#status[data-state=stopped]').waitFor()
    await page.evaluate("window.dispatchEvent(new Event('online'))")
    await page.evaluate('new Promise(resolve => setTimeout(resolve))')
    t.equal(connections.length, 1)
  })

  t.test("the page's table of close codes is the server's", async t => {
    const { page } = await open(t)
    const table = Object.fromEntries(Object.values(closeCodes).map(({ code, action }) => [code, action]))
    t.strictSame(await page.evaluate("import('/page.js').then(({ actions }) => actions)"), table)
    const delay = (code: number, reason = '', attempt = 0) =>
      page.evaluate<number | undefined>(`import('/page.js').then(page => page.delayAfter(${code}, '${reason}', ${attempt}))`)
    for (const [code, action] of Object.entries(table)) t.equal(await delay(Number(code)) === undefined, action === 'stop' || action === 'renew', code)
    t.equal(await delay(4430), 0)
    t.equal(await delay(1012, 'retry_ms=1234'), 1234)
    t.ok((await delay(4429))! >= 5_000)
    t.ok((await delay(4999, '', 3))! >= 2_000, 'unknown codes back off')
    t.ok((await delay(1006, '', 50))! <= 30_000)
  })

  t.test('every control has a name, and nothing is wider than a phone', async t => {
    const { page, notify } = await open(t)
    await notify('x'.repeat(200))
    await count(page, items, 1)
    await add(page, 'y'.repeat(200))
    await count(page, confirmed, 1)
    t.strictSame(await page.evaluate(`[...document.querySelectorAll('input, button, a')].filter(control =>
      !(control.ariaLabel || control.labels?.[0]?.textContent || control.textContent).trim()).map(({ outerHTML }) => outerHTML)`), [])
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), 375)
  })
})
