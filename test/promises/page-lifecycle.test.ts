import Fastify from 'fastify'
import t, { type Test } from 'tap'
import realtime from '../../lib/index.js'
import { Chromium, type CdpPage } from '../cdp.js'
import { bundle, launch, skipBrowser } from '../chromium.js'
import { every } from '../every.js'
import { eventually } from '../waiting.js'

const script = `
  import { createClient } from '../../lib/client/index.ts'
  const seen = { got: [], resumes: [], persisted: [], back: [] }
  let wokeAt
  const woke = ({ persisted }) => { wokeAt = performance.now(); seen.persisted.push(persisted) }
  addEventListener('pageshow', woke)
  document.addEventListener('visibilitychange', woke)
  document.addEventListener('resume', woke)
  const client = createClient({ userId: 'ada', share: location.hash === '#share', backoff: () => 60_000, onError: error => { seen.error = String(error) } })
  client.on('n', data => { seen.got.push(data) })
  client.onResume(({ recovered }) => { seen.resumes.push(recovered) })
  client.onStatus(status => { if (status === 'open') seen.back.push(performance.now() - wokeAt) })
  Object.assign(window, { client, seen })
`

interface Seen {
  got: number[]
  resumes: boolean[]
  persisted: Array<boolean | undefined>
  back: number[]
  error?: string
}

/** Whether a page reconnected within 1 s of waking. `null` stands for NaN: the page has not woken. */
const isSoon = (ms: number | null) => ms !== null && ms >= 0 && ms < 1_000

const isOpen = "window.client?.status === 'open'"

t.test('pages in Chromium reconnect when they wake', { skip: skipBrowser, timeout: 110_000 }, async t => {
  const code = await bundle(script)

  async function serve (t: Test) {
    let opened = 0
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(realtime, { onConnect () { opened++ } })
    app.get('/', async (_request, reply) => reply.type('text/html').send('<title>page</title><script type="module" src="/page.js"></script>'))
    app.get('/other', async (_request, reply) => reply.type('text/html').send('<title>other</title>'))
    app.get('/page.js', async (_request, reply) => reply.type('text/javascript').send(code))
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    let sent = 0
    return {
      app,
      url,
      opened: () => opened,
      notify: async (count: number) => { for (let n = 0; n < count; n++) await app.ws.sendToUser('ada', { type: 'n', data: sent++ }) }
    }
  }

  const seenBy = (page: CdpPage) => page.evaluate<Seen>('seen')
  const heard = (page: CdpPage, count: number) => page.until(`seen.got.length >= ${count}`)
  const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

  t.test('a frozen page has no connection and makes no attempt, and resumes without loss within 1 s of waking', async t => {
    const { app, url, opened, notify } = await serve(t)
    const page = await (await Chromium.start(t)).open(url)
    await page.until(isOpen)
    for (let round = 1; round <= 3; round++) {
      await notify(2)
      await heard(page, round * 4 - 2)
      await page.setState('frozen')
      await eventually(() => app.ws.stats().connections === 0)
      await notify(2)
      t.equal(opened(), round)
      await page.setState('active')
      await heard(page, round * 4)
    }
    const { got, resumes, back, error } = await seenBy(page)
    t.strictSame([got, resumes, error], [numbers(12), [true, true, true], undefined])
    t.equal(back.length, 4, 'the client opens at first and after each round')
    t.ok(every(back.slice(1), isSoon), `reconnected after ${back.slice(1)} ms`)
  })

  t.test('when the tab with the shared connection is frozen, another tab takes over, and neither tab loses a message', async t => {
    const { app, url, opened, notify } = await serve(t)
    const chromium = await Chromium.start(t)
    const first = await chromium.open(`${url}/#share`)
    await first.until(isOpen)
    const second = await chromium.open(`${url}/#share`)
    await second.until(isOpen)
    t.equal(app.ws.stats().connections, 1)
    await notify(2)
    await heard(second, 2)
    await first.setState('frozen')
    await eventually(() => opened() === 2)
    await notify(2)
    await heard(second, 4)
    await first.setState('active')
    await heard(first, 4)
    await notify(1)
    for (const page of [first, second]) {
      await heard(page, 5)
      t.strictSame((await seenBy(page)).got, numbers(5))
    }
    t.equal(app.ws.stats().connections, 1)
  })

  t.test('a hidden page that waits for its server reconnects within 1 s of being shown', async t => {
    const { app, url } = await serve(t)
    const chromium = await Chromium.start(t)
    const page = await chromium.open(url)
    await page.until(isOpen)
    await (await chromium.open('about:blank')).show()
    await page.until("document.visibilityState === 'hidden'")
    app.ws.disconnectUser('ada', 1013)
    await page.until("client.status === 'waiting'")
    await page.show()
    await page.until(isOpen)
    const { back } = await seenBy(page)
    t.equal(back.length, 2)
    t.ok(isSoon(back[1]), `reconnected after ${back[1]} ms`)
  })

  // By default Playwright disables the back/forward cache.
  const browser = await launch(t, { ignoreDefaultArgs: ['--disable-back-forward-cache'] })
  for (const hash of ['', '#share']) {
    t.test(`a page (${hash || 'with its own connection'}) that leaves the back/forward cache resumes without loss within 1 s`, async t => {
      const { app, url, opened, notify } = await serve(t)
      const context = await browser.newContext()
      t.teardown(() => context.close())
      const page = await context.newPage()
      await page.goto(`${url}/${hash}`)
      await page.waitForFunction(isOpen)
      await notify(2)
      await page.waitForFunction('seen.got.length === 2')
      await page.goto(`${url}/other`)
      await eventually(() => app.ws.stats().connections === 0)
      await notify(3)
      t.equal(opened(), 1)
      await page.goBack({ waitUntil: 'commit' })
      await page.waitForFunction('window.seen?.got.length >= 5')
      const { got, resumes, persisted, back } = await page.evaluate<Seen>('seen')
      t.equal(persisted.includes(true), true, 'the page was in the cache')
      t.strictSame([got, resumes], [numbers(5), [true]])
      t.equal(back.length, 2)
      t.ok(isSoon(back[1]), `reconnected after ${back[1]} ms`)
    })
  }
})
