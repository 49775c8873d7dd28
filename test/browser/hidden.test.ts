import Fastify from 'fastify'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import realtime, { defineChannel } from '../../lib/index.js'
import { answering } from '../answering.js'
import { bundle, launch, skipBrowser } from '../chromium.js'
import { connect } from '../harness.js'
import { eventually } from '../waiting.js'

/** Versions of React that the hooks are tested with, each with aliases for the names of its packages. */
const versions: Record<string, Record<string, string>> = {
  'React 19': {},
  'React 18': { react: 'react-18', 'react-dom': 'react-dom-18' }
}

/** A page whose components are hidden and shown again, edited under fast refresh, or mounted again; its hash says which. */
const script = `
  import { refresh } from '../fixtures/refresh.ts'
  import * as React from 'react'
  import { createRoot } from 'react-dom/client'
  import { flushSync } from 'react-dom'
  import { RealtimeProvider, useChannel, useChat, useMessages, useNotifications, useRealtime, useResume } from '../../lib/react/index.ts'

  const { createElement: h, Fragment, StrictMode, Suspense, useState } = React
  const Activity = React['Activity']
  const seen = { resumes: [], most: 0, titles: [] }

  // Counts the sockets to one address that are open at once.
  const sockets = []
  const Native = WebSocket
  window.WebSocket = class extends Native {
    constructor (url, ...rest) {
      super(url, ...rest)
      this.path = new URL(url).pathname
      sockets.push(this)
      const open = sockets.filter(({ path, readyState }) => path === this.path && readyState <= Native.OPEN)
      seen.most = Math.max(seen.most, open.length)
    }
  }

  const chat = () => function Chat () {
    const { items, status } = useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' })
    return h('section', null, h('p', { id: 'chat' }, status), h('p', { id: 'text' }, items.filter(({ role }) => role === 'assistant').map(({ text }) => text).join()))
  }

  const ticks = () => function Ticks () {
    const { status } = useRealtime()
    const [got, add] = useState([])
    const [fed, feed] = useState([])
    useChannel('feed', 'f1', { tick: data => feed(fed => [...fed, data]) }, { onResume: ({ recovered }) => { seen.resumes.push(recovered) } })
    const { notifications } = useNotifications()
    seen.titles = notifications.map(({ title }) => title)
    useMessages('tick', data => add(got => [...got, data]))
    useResume(({ recovered }) => { seen.resumes.push(recovered) })
    return h('section', null, h('p', { id: 'status' }, status), h('p', { id: 'ticks' }, got.join()), h('p', { id: 'fed' }, fed.join()))
  }

  const [Chat, Ticks] = [chat(), ticks()]
  refresh({ Chat, Ticks })

  function Suspended ({ until }) {
    if (until) throw until
    return null
  }

  const wake = []
  const forever = () => new Promise(resolve => wake.push(resolve))
  const content = () => h(Fragment, null, h(Chat), h(Ticks))
  const provided = children => h(RealtimeProvider, { userId: 'ada', backoff: () => 0 }, children)
  const ways = {
    'activity-inside': isHidden => provided(h(Activity, { mode: isHidden ? 'hidden' : 'visible' }, content())),
    'activity-around': isHidden => h(Activity, { mode: isHidden ? 'hidden' : 'visible' }, provided(content())),
    suspense: isHidden => provided(h(Suspense, { fallback: null }, content(), h(Suspended, { until: isHidden && forever() }))),
    edit: () => provided(content()),
    remount: isHidden => provided(isHidden ? null : content())
  }
  const way = ways[location.hash.slice(1)]

  let set
  function App () {
    const [shown, show] = useState(() => way(false))
    set = isHidden => flushSync(() => way === ways.edit ? refresh({ Chat: chat(), Ticks: ticks() }) : show(way(isHidden)))
    return shown
  }

  createRoot(document.getElementById('app')).render(h(StrictMode, null, h(App)))
  // Waits for a random time between two changes.
  const pause = ms => new Promise(resolve => setTimeout(resolve, ms))
  window.toggle = async (times, ms) => {
    for (let n = 0; n < times; n++) {
      set(true)
      await pause(Math.random() * ms)
      set(false)
      while (wake.length > 0) wake.pop()()
      await pause(Math.random() * ms)
    }
  }
  Object.assign(window, { seen })
`

const feed = defineChannel({ authorize: () => true, history: { size: 10_000, ttl: 60_000 } })

interface Seen {
  resumes: boolean[]
  most: number
  titles: string[]
}

for (const [version, alias] of Object.entries(versions)) {
  t.test(`components are hidden and shown again without a loss, in ${version}`, { skip: skipBrowser, timeout: 110_000 }, async t => {
    const code = await bundle(script, { alias })
    const browser = await launch(t)

    async function open (t: Test, way: string) {
      const app = Fastify()
      t.teardown(() => app.close())
      const { onMessage, written, end } = answering(5, n => {
        app.ws.sendToUser('ada', { type: 'tick', data: n })
        app.ws.channel('feed', 'f1').send({ type: 'tick', data: n })
        if (n % 50 === 0) app.ws.sendToUser('ada', { type: 'notification', data: { title: `${n}` } })
      })
      await app.register(realtime, { history: { size: 10_000 }, chat: { onMessage }, channels: { feed } })
      app.get('/', async (_request, reply) => reply.type('text/html').send('<div id="app"></div><script type="module" src="/page.js"></script>'))
      app.get('/page.js', async (_request, reply) => reply.type('text/javascript').send(code))
      const url = await app.listen({ port: 0, host: '127.0.0.1' })
      const tab = await browser.newPage()
      t.teardown(() => tab.close())
      tab.on('pageerror', error => t.fail(error))
      await tab.goto(`${url}/#${way}`)
      await tab.locator('#chat', { hasText: 'ready' }).waitFor()
      await tab.locator('#status', { hasText: 'open' }).waitFor()
      return { app, tab, written, end }
    }

    const textOf = (tab: Page, id: string) => tab.evaluate<string | null>(`document.getElementById('${id}')?.textContent`)

    /** Hides and shows components during an answer. Checks that the page shows the written text. */
    async function run (t: Test, way: string, times: number) {
      const { app, tab, written, end } = await open(t, way)
      const client = await connect(t, `${app.listeningOrigin.replace('http', 'ws')}/ws/support/shop/c1/ada`)
      client.socket.send(JSON.stringify({ type: 'chat_message', ref: 'r', data: { content: 'go' } }))
      await eventually(() => written.ticks.length > 5)
      await tab.evaluate(`toggle(${times}, 10)`)
      const count = written.ticks.length
      await eventually(() => written.ticks.length > count + 5)
      end()
      await tab.locator('#chat', { hasText: 'ready' }).waitFor()
      await tab.waitForFunction(`document.getElementById('text').textContent.length >= ${written.text.length}`)
      t.equal(await textOf(tab, 'text'), written.text)
      return { tab, written }
    }

    const times = process.env.FULL === '1' ? 100 : 10
    const activity = version === 'React 19' ? ['activity-inside', 'activity-around'] : []
    for (const way of [...activity, 'suspense', 'edit']) {
      t.test(`${way}, ${times} times during an answer, loses and repeats no text and uses one connection`, async t => {
        const { tab, written } = await run(t, way, times)
        await tab.waitForFunction(`document.getElementById('ticks').textContent.split(',').length >= ${written.ticks.length}`)
        t.equal(await textOf(tab, 'ticks'), written.ticks.join())
        await tab.waitForFunction(`document.getElementById('fed').textContent.split(',').length >= ${written.ticks.length}`)
        t.equal(await textOf(tab, 'fed'), written.ticks.join())
        const { resumes, most, titles } = await tab.evaluate<Seen>('seen')
        t.equal(most, 1)
        t.equal(resumes.includes(false), false, 'every resume recovered')
        t.equal(new Set(titles).size, titles.length)
      })
    }

    t.test(`components that are mounted again ${times} times during an answer show the written text, on one connection`, async t => {
      const { tab } = await run(t, 'remount', times)
      t.equal((await tab.evaluate<Seen>('seen')).most, 1)
    })
  })
}
