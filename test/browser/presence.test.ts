import Fastify from 'fastify'
import t from 'tap'
import realtime, { defineChannel } from '../../lib/index.js'
import { connect, type TestSocket } from '../../lib/testing/index.js'
import { bundle, launch, skipBrowser } from '../chromium.js'

/** A page with two components that show who is on a board and in a chat, and set data. It can hide them, and mount them again. */
const script = `
  import { createElement as h, StrictMode, Activity, useState } from 'react'
  import { createRoot } from 'react-dom/client'
  import { flushSync } from 'react-dom'
  import { RealtimeProvider, usePresence } from '../../lib/react/index.ts'

  function Shown ({ id, of }) {
    const { members, isStale, update } = usePresence(...of)
    update('here')
    return h('p', { id }, isStale ? 'stale' : members.map(({ userId }) => userId).join())
  }

  function App () {
    const [mode, setMode] = useState('visible')
    const [key, setKey] = useState(0)
    window.hide = isHidden => flushSync(() => setMode(isHidden ? 'hidden' : 'visible'))
    window.remount = () => flushSync(() => setKey(key => key + 1))
    return h(RealtimeProvider, { userId: 'ada' }, h(Activity, { mode }, h('div', { key },
      h(Shown, { id: 'board', of: ['board', 'b1'] }), h(Shown, { id: 'chat', of: [{ workflow: 'support', appId: 'shop', chatId: 'c1' }] }))))
  }

  createRoot(document.getElementById('root')).render(h(StrictMode, null, h(App)))
`

const board = 'board:b1'
const chat = 'chat:support/shop/c1/ada'

t.test('a page', { skip: skipBrowser }, async t => {
  const browser = await launch(t)
  const code = await bundle(script)

  async function open () {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(realtime, {
      authenticate: ({ url }) => ({ userId: /\w+(?=\?|$)/.exec(url)![0] }),
      authorize: () => true,
      channels: { board: defineChannel({ authorize: () => true, presence: true }) },
      chat: { presence: true }
    })
    app.get('/', async (_request, reply) => reply.type('text/html').send('<div id="root"></div><script type="module" src="/page.js"></script>'))
    app.get('/page.js', async (_request, reply) => reply.type('text/javascript').send(code))
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const watcher = await connect(app, { userId: 'bob', timeout: 10_000 })
    for (const channel of [board, chat]) await watcher.subscribe(channel)
    const page = await browser.newPage()
    t.teardown(() => page.close())
    page.on('pageerror', error => t.fail(error))
    await page.goto(url)
    const isShown = async () => { for (const id of ['board', 'chat']) await page.waitForFunction(`document.getElementById('${id}')?.textContent.includes('ada')`) }
    await isShown()
    for (const channel of [board, chat]) await watcher.presence(channel, ({ members }) => members.some(({ userId }) => userId === 'ada'))
    return { page, watcher, isShown }
  }

  /** Users who entered or left for the watcher, in order. */
  const movesOf = ({ received }: TestSocket) => received.filter(({ type }) => type === 'presence').flatMap(({ data }) => {
    const { joined = [], left = [] } = data as { joined?: Array<{ user_id: string }>, left?: Array<{ user_id: string }> }
    const entered = new Set(joined.map(({ user_id: id }) => id))
    return [...entered, ...left.map(({ user_id: id }) => id).filter(id => !entered.has(id)).map(id => `-${id}`)]
  })

  t.test('that is loaded again, hides its components for a moment, or mounts them again, neither leaves nor enters for others', async t => {
    const { page, watcher, isShown } = await open()
    const before = movesOf(watcher).filter(name => name.startsWith('-'))
    for (let times = 0; times < 3; times++) {
      await page.reload()
      await isShown()
      await page.evaluate('hide(true)')
      await page.evaluate('hide(false)')
      await page.evaluate('remount()')
      await isShown()
    }
    // Later than the grace period of the connections that the page had before.
    await t.resolves(watcher.presence(board, ({ members }) => members.find(({ userId }) => userId === 'ada')?.connections.length === 1))
    await t.resolves(watcher.presence(chat, ({ members }) => members.find(({ userId }) => userId === 'ada')?.connections.length === 1))
    t.strictSame(movesOf(watcher).filter(name => name.startsWith('-')), before)
  })

  t.test('that is closed leaves within the grace period, and so do components that are hidden for longer', async t => {
    const { page, watcher } = await open()
    await page.evaluate('hide(true)')
    for (const channel of [board, chat]) await t.resolves(watcher.presence(channel, ({ members }) => members.every(({ userId }) => userId !== 'ada')))
    await page.evaluate('hide(false)')
    for (const channel of [board, chat]) await watcher.presence(channel, ({ count }) => count === 2)
    await page.close()
    for (const channel of [board, chat]) await t.resolves(watcher.presence(channel, ({ count }) => count === 1))
  })
})
