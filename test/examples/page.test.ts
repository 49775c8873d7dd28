import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Browser, type BrowserContextOptions, type Page, type Route } from 'playwright-core'
import t, { type Test } from 'tap'
import { build, type DemoOptions } from '../../examples/server.js'
import { spawnChild } from '../children.js'
import { connect } from '../harness.js'
import { eventually, patience, within } from '../waiting.js'
import { launch, skipBrowser } from '../chromium.js'
import { root } from '../root.js'
import { args, otherHosts, phone, unnamed, watch } from './browser.js'

const program = join(root, 'dist/examples/server.js')

/** With `FULL=1` the connection is cut more often. */
const cuts = process.env.FULL === '1' ? 100 : 20

const items = '.inbox li'
const tasks = '.tasks li'
const confirmed = '.tasks li:not(.pending)'
const pending = '.tasks li.pending'

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
    /** Ends all sockets without a Close frame, like a network failure. */
    dropAll: () => { for (const socket of sockets) socket.destroy() },
    tasksOf: async (user: string) => (await app.inject(`/api/users/${user}/state`)).json<{ tasks: object[] }>().tasks,
    notify: (title: string) => app.inject({ method: 'POST', url: '/api/users/user_123/messages', payload: { type: 'notification', data: { title } } }),
    post: (url: string, payload: object) => app.inject({ method: 'POST', url, payload })
  }
}

/** Starts the demo as a separate process, which can be killed. */
async function run (t: Test, port = 0): Promise<{ child: ChildProcess, port: number }> {
  const child = spawnChild(process.execPath, [program], { env: { PATH: process.env.PATH, PORT: String(port) }, stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => child.kill('SIGKILL'))
  const listening = async () => {
    for await (const line of createInterface(child.stdout!)) {
      const found = /listening at http:\/\/[^"]*:(\d+)/.exec(line)?.[1]
      if (found !== undefined) return Number(found)
    }
    throw new Error('it ended before it listened')
  }
  const found = await within(listening(), 'the demo to listen')
  child.stdout!.resume()
  return { child, port: found }
}

async function postTo (port: number, path: string, body: object): Promise<void> {
  const response = await fetch(`http://localhost:${port}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`HTTP ${response.status}`)
}

const isLive = (page: Page) => page.locator('.status[data-state=open]').waitFor()
/** Sends the event of a browser whose network is back: the client reconnects at once. */
const hurry = (page: Page) => page.evaluate("window.dispatchEvent(new Event('online'))")
const count = async (page: Page, selector: string, n: number) => {
  const end = performance.now() + 20_000
  while (await page.locator(selector).count() !== n) {
    if (performance.now() > end) throw new Error(`${selector} were not ${n} within 20 s but ${await page.locator(selector).count()}`)
  }
}
const texts = (page: Page, selector: string) => page.locator(selector).allTextContents()
const titles = (page: Page) => texts(page, `${items} b`)
const add = async (page: Page, title: string) => {
  await page.getByLabel('New task').fill(title)
  await page.getByLabel('New task').press('Enter')
}
/** Resolves when a new request of the page is answered and its result is on the screen. */
const turn = (page: Page) =>
  page.evaluate('fetch(location.href).then(response => response.text()).then(() => new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve))))')

t.test('the page shows the messages of its user', { skip: skipBrowser }, async t => {
  const browser: Browser = await launch(t, { args })

  interface Visit extends BrowserContextOptions {
    path?: string
    prepare?: (page: Page) => Promise<unknown>
  }

  async function visit (t: Test, url: string, { path = '/?user=user_123', prepare, ...options }: Visit = {}) {
    const context = await browser.newContext({ viewport: phone, ...options })
    t.teardown(() => context.close())
    const page = await context.newPage()
    page.setDefaultTimeout(patience)
    page.on('pageerror', error => t.fail(error))
    await prepare?.(page)
    const connections = watch(page)
    await page.goto(url + path)
    await isLive(page.locator('.user').first() as unknown as Page)
    return { page, connections }
  }

  async function open (t: Test, options?: DemoOptions, how?: Visit) {
    const server = await serve(t, options)
    await server.listen()
    return { ...server, ...await visit(t, `http://127.0.0.1:${server.port()}`, how) }
  }

  t.test('two users side by side send messages to each other and to all users', async t => {
    const { page, app } = await open(t, {}, { path: '/', viewport: { width: 1200, height: 900 } })
    const user = (name: string) => page.getByRole('region', { name, exact: true })
    const [one, two] = [user('user_123'), user('user_456')]
    await two.getByText('Live').waitFor()
    t.equal(app.ws.stats().connections, 2)
    const form = one.getByRole('form', { name: 'A notification from user_123' })
    await form.getByLabel('Title').fill('Hello you')
    await form.getByRole('button', { name: 'Send' }).click()
    await form.getByText(/^Sent as u\./).waitFor()
    await two.getByRole('button', { name: 'Notifications, 1 unread' }).waitFor()
    await page.getByRole('status', { name: 'News' }).getByText('Hello you').waitFor()
    await form.getByLabel('To').fill('not an id')
    await form.getByRole('button', { name: 'Send' }).click()
    await form.getByText(/"not an id" is not a valid id/).waitFor()
    const everyone = page.getByRole('form', { name: 'An announcement to everyone' })
    await everyone.getByRole('button').click()
    await everyone.getByText(/^Sent as b\./).waitFor()
    await one.getByRole('button', { name: 'Notifications, 1 unread' }).waitFor()
    await two.getByRole('button', { name: 'Notifications, 2 unread' }).waitFor()
    await page.getByRole('link', { name: 'One user' }).click()
    await page.getByRole('link', { name: 'One user', exact: true, includeHidden: false }).and(page.locator('[aria-current=page]')).waitFor()
    t.equal(await page.locator('.user').count(), 1)
    await page.getByRole('link', { name: 'AI chat' }).click()
    await page.getByRole('region', { name: 'Device 2' }).waitFor()
  })

  t.test('each user sees who watches, who types, and who has gone', async t => {
    const { page, app } = await open(t, {}, { path: '/', viewport: { width: 1200, height: 900 } })
    const listOf = (self: string) => page.getByRole('list', { name: `Watching with ${self}` })
    const [one, two] = [listOf('user_123'), listOf('user_456')]
    await one.getByText('user_456').waitFor()
    await two.getByText('user_123').waitFor()
    await page.getByLabel('New task').first().pressSequentially('Call')
    await two.getByText('typing …').waitFor()
    await two.getByText('typing …').waitFor({ state: 'detached' })
    t.equal((await app.ws.channel('dashboard', 'server').members()).length, 2)
    await app.ws.disconnectUser('user_456')
    await one.getByText('user_456').waitFor({ state: 'detached' })
  })

  t.test('notifications and announcements are shown in the bell, as text', async t => {
    const { page, notify, post } = await open(t)
    const html = '<img src=x onerror="document.body.remove()">'
    await notify(html)
    await page.getByRole('button', { name: 'Notifications, 1 unread' }).waitFor()
    await page.locator('.toast').getByText(html).waitFor()
    await post('/api/broadcast', { type: 'system_announcement', message: 'Soon' })
    const bell = page.getByRole('button', { name: 'Notifications, 2 unread' })
    await bell.focus()
    await page.keyboard.press('Enter')
    await page.getByRole('region', { name: 'Notifications of user_123' }).waitFor()
    t.strictSame(await titles(page), ['Soon', html])
    t.equal(await page.locator(`${items}.new`).count(), 2)
    await page.keyboard.press('Escape')
    await page.locator('.inbox').waitFor({ state: 'hidden' })
    await page.getByRole('button', { name: 'Notifications', exact: true }).and(page.locator(':focus')).waitFor()
    t.equal(await page.locator('img').count(), 0)
  })

  t.test('a new task is shown at once, and gets its id from the confirmation', async t => {
    const { page, app, tasksOf } = await open(t)
    const requests: Route[] = []
    await page.route('**/api/tasks', route => { requests.push(route) })
    await add(page, 'Write')
    await page.locator(pending, { hasText: 'Write' }).waitFor()
    t.strictSame(await tasksOf('user_123'), [], 'the server does not have the task yet')
    await eventually(() => requests.length === 1)
    await requests[0].continue()
    await page.locator(confirmed, { hasText: 'Write' }).waitFor()
    const [task] = (await app.inject('/api/users/user_123/state')).json().tasks
    t.strictSame(await texts(page, `${tasks} code`), [task.task_id])
  })

  t.test('a task that the server refuses is removed, and the reason is shown', async t => {
    const { page } = await open(t)
    const isRolledBack = async (title: string, reason: string | RegExp) => {
      await page.getByRole('alert').getByText(reason).waitFor()
      t.equal(await page.locator(tasks).count(), 0)
      t.equal(await page.getByLabel('New task').inputValue(), title, 'the task can be sent again')
    }
    await page.getByRole('switch', { name: 'Let the server fail' }).click()
    await add(page, 'Refused')
    await count(page, pending, 1)
    await isRolledBack('Refused', '“Refused” was not added: The server was asked to fail')
    await page.route('**/api/tasks', route => route.abort())
    await add(page, 'Unreachable')
    await isRolledBack('Unreachable', /“Unreachable” was not added/)
  })

  t.test('a task whose message comes before its answer is shown once, whatever the answer is', async t => {
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
      await turn(page)
      t.equal(await page.locator(tasks).count(), n + 1)
      t.equal(await page.locator(pending).count(), 0)
    }
    t.strictSame(await texts(page, '[role=alert] p'), [], 'a lost answer to a confirmed task is not an error')
  })

  t.test('a task whose answer comes before its message is shown once', async t => {
    const { page, app } = await open(t, {}, {
      prepare: page => page.routeWebSocket(/\/ws\//, socket => {
        const late: Array<string | Buffer> = []
        socket.connectToServer().onMessage(message => {
          const { type } = JSON.parse(String(message))
          if (type === 'task_update') late.push(message)
          else if (type === 'notification') for (const each of [...late, message]) socket.send(each)
          else socket.send(message)
        })
      })
    })
    await add(page, 'Write')
    await page.locator(confirmed, { hasText: 'Write' }).waitFor()
    await app.ws.sendToUser('user_123', { type: 'notification', data: { title: 'the push has passed' } })
    await count(page, items, 1)
    t.equal(await page.locator(tasks).count(), 1)
  })

  t.test('tasks that other pages add, change or delete are updated', async t => {
    const { page, app, post } = await open(t)
    const update = (action: string, data: { task_id: string, title?: string }) => app.ws.sendToUser('user_123', { type: 'task_update', action, data })
    await post('/api/tasks', { title: 'From another tab', user_id: 'user_123' })
    await page.locator(confirmed, { hasText: 'From another tab' }).waitFor()
    await update('created', { task_id: 'abc123', title: 'New Task' })
    await page.locator(confirmed, { hasText: 'New Task' }).waitFor()
    await update('updated', { task_id: 'abc123', title: 'Newer Task' })
    await page.locator(confirmed, { hasText: 'Newer Task' }).waitFor()
    await update('deleted', { task_id: 'abc123' })
    await count(page, tasks, 1)
  })

  t.test('the figures of the server are refreshed live', async t => {
    const { page, port } = await open(t, { refresh: 20 })
    const figure = (name: string, value: number) =>
      page.locator(`[data-stat=${name}]`, { hasText: new RegExp(`^${value}$`) }).waitFor()
    await figure('connections', 1)
    const other = await connect(t, `ws://127.0.0.1:${port()}/ws/notifications/user_456`)
    await figure('connections', 2)
    await figure('users', 2)
    other.socket.terminate()
    await figure('connections', 1)
  })

  t.test('the page shows that its connection is cut, and catches up when it is mended', async t => {
    const { page, app, notify, connections } = await open(t)
    const cable = page.getByRole('switch', { name: 'Connected to the network' })
    await notify('before')
    await count(page, items, 1)
    await cable.click()
    await page.locator('.status', { hasText: 'Reconnecting' }).waitFor()
    await eventually(() => app.ws.stats().connections === 0)
    await notify('meanwhile')
    await page.locator(tasks).count()
    t.equal(await page.locator(items).count(), 1)
    await cable.click()
    await page.getByText('Live, caught up').waitFor()
    await count(page, items, 2)
    t.strictSame(await titles(page), ['meanwhile', 'before'])
    t.match(connections.at(-1)!.received[0], { type: 'connection_ack', data: { recovered: true, replayed: 1 } })
  })

  t.test(`each notification is shown once, in order, when the connection is cut ${cuts} times at random`, async t => {
    const { page, dropAll, notify, post, connections } = await open(t, { realtime: { history: { size: 1000 } } })
    const sent: string[] = []
    const send = async () => {
      const title = `n${sent.push(`n${sent.length}`) - 1}`
      await notify(title)
    }
    let announced = 0
    for (let cut = 0; cut < cuts; cut++) {
      const before = connections.length
      // The bell shows the newest 100, so no more are sent in total.
      if (sent.length < 80) await send()
      // The connection is cut at another moment each time.
      if (Math.random() < 0.5) await new Promise(resolve => setTimeout(resolve, Math.random() * 20))
      dropAll()
      if (sent.length < 80 && Math.random() < 0.3) await send()
      if (cut % 10 === 0) {
        announced++
        await post('/api/broadcast', { type: 'system_announcement', message: `a${cut}` })
      }
      await page.locator('.status:not([data-state=open])').waitFor({ timeout: 1000 }).catch(() => {})
      await hurry(page)
      await eventually(() => connections.length > before)
      if (Math.random() < 0.7) await isLive(page)
    }
    await hurry(page)
    await isLive(page)
    await count(page, items, sent.length + announced)
    const shown = (await titles(page)).reverse()
    t.strictSame(shown.filter(title => title.startsWith('n')), sent)
    t.strictSame(shown.filter(title => title.startsWith('a')), Array.from({ length: cuts / 10 }, (_, n) => `a${n * 10}`))
    t.ok(connections.length > cuts)
  })

  t.test('a page whose server is killed and restarted loads its state again, and continues', async t => {
    const first = await run(t)
    const { page, connections } = await visit(t, `http://localhost:${first.port}`)
    const notify = (title: string) => postTo(first.port, '/api/users/user_123/messages', { type: 'notification', data: { title } })
    const addTask = (title: string) => postTo(first.port, '/api/tasks', { title, user_id: 'user_123' })
    await notify('of the old server')
    await addTask('of the old server')
    await count(page, items, 1)
    await count(page, confirmed, 1)

    first.child.kill('SIGKILL')
    await once(first.child, 'exit')
    await page.locator('.status:not([data-state=open])').waitFor()
    await add(page, 'while it was away')
    await page.getByRole('alert').getByText('“while it was away” was not added').waitFor()
    await run(t, first.port)
    await notify('before the page is back')
    await addTask('of the new server')
    await hurry(page)
    await page.getByText('Live, reloaded').waitFor()
    await page.locator(confirmed, { hasText: 'of the new server' }).waitFor()
    await page.locator(items, { hasText: 'before the page is back' }).waitFor({ state: 'attached' })
    t.match(connections.at(-1)!.received[0], { type: 'connection_ack', data: { recovered: false, replayed: 0 } })
    t.strictSame(await titles(page), ['before the page is back'])
    t.equal(await page.locator(tasks).count(), 1)
    await page.getByRole('button', { name: 'Notifications, 1 unread' }).waitFor()
    await notify('live again')
    await count(page, items, 2)
    t.strictSame(await titles(page), ['live again', 'before the page is back'])
  })

  t.test('a page reconnects by itself to a server that was closed and started again', async t => {
    const first = await open(t)
    const { page } = first
    const port = first.port()
    await first.post('/api/tasks', { title: 'of the old server', user_id: 'user_123' })
    await count(page, confirmed, 1)
    await first.app.close()
    const second = await serve(t, { port })
    await second.post('/api/tasks', { title: 'of the new server', user_id: 'user_123' })
    await second.listen()
    await page.locator(confirmed, { hasText: 'of the new server' }).waitFor()
    t.equal(await page.locator(tasks).count(), 1)
  })

  t.test('a tab that was frozen shows each message of that time once', async t => {
    const { page, notify } = await open(t, { realtime: { heartbeat: { interval: 300, timeout: 200 } } })
    const devtools = await page.context().newCDPSession(page)
    await devtools.send('Page.setWebLifecycleState', { state: 'frozen' })
    const sent: string[] = []
    for (let n = 0; n < 40; n++) {
      sent.unshift(`n${n}`)
      await notify(`n${n}`)
      // Spreads the messages over several heartbeats.
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    await devtools.send('Page.setWebLifecycleState', { state: 'active' })
    await count(page, items, sent.length)
    t.strictSame(await titles(page), sent)
  })

  t.test('a gap is filled even when the first attempts to load the state fail', async t => {
    let failures = 0
    let served = 0
    const server = await serve(t)
    const { notify } = server
    await server.listen()
    await notify('loaded')
    const { page } = await visit(t, `http://127.0.0.1:${server.port()}`, {
      prepare: async page => {
        await page.routeWebSocket(/\/ws\//, socket => {
          let position: string
          socket.connectToServer().onMessage(message => {
            const { type, data, id } = JSON.parse(String(message))
            if (type === 'connection_ack') position = data.position
            // Loses the message, like a server that has evicted it.
            if (type === 'notification' && data.title === 'lost') {
              socket.send(JSON.stringify({ type: 'resync', data: { position: id ?? position }, timestamp: new Date().toISOString() }))
              return
            }
            socket.send(message)
          })
        })
        await page.route('**/state', route => {
          if (failures-- > 0) return route.fulfill({ status: 503, json: {} })
          served++
          return route.continue()
        })
      }
    })
    await count(page, items, 1)
    failures = 3
    served = 0
    await notify('lost')
    await count(page, items, 2)
    t.strictSame(await titles(page), ['lost', 'loaded'])
    t.ok(served > 0)
  })

  t.test('messages that arrive while the state is loaded are not lost', async t => {
    const states: Route[] = []
    const { page, notify, post } = await open(t, {}, { prepare: page => page.route('**/state', route => { states.push(route) }) })
    await eventually(() => states.length === 2)
    const old = await states[0].fetch()
    await post('/api/tasks', { title: 'newer', user_id: 'user_123' })
    await notify('newer')
    await count(page, confirmed, 1)
    await count(page, items, 1)
    for (const state of states) {
      const isLoaded = page.waitForEvent('requestfinished')
      await state.fulfill({ response: old })
      await isLoaded
    }
    await turn(page)
    t.equal(await page.locator(confirmed).count(), 1)
    t.strictSame(await titles(page), ['newer'])
  })

  t.test('a page that is closed with 4403 does not reconnect', async t => {
    const { page, app, connections } = await open(t)
    app.ws.disconnectUser('user_123')
    await page.locator('.status[data-state=closed]').waitFor()
    await hurry(page)
    await turn(page)
    t.equal(connections.length, 1)
  })

  t.test('every control has a name, and the page is no wider than a phone', async t => {
    const { page, notify } = await open(t, {}, { path: '/', colorScheme: 'dark' })
    await notify('x'.repeat(200))
    await count(page, items, 1)
    const tasksOf = page.getByRole('region', { name: 'user_123', exact: true }).getByLabel('New task')
    await tasksOf.fill('y'.repeat(200))
    await tasksOf.press('Enter')
    await count(page, confirmed, 1)
    t.strictSame(await unnamed(page), [])
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), phone.width)
    t.equal(await page.evaluate('getComputedStyle(document.body).backgroundColor'), 'rgb(15, 18, 22)', 'the dark color scheme')
    t.strictSame(await otherHosts(page), [], 'no resource of another host is loaded')
  })
})
