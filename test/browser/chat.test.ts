import Fastify from 'fastify'
import t from 'tap'
import realtime from '../../lib/index.js'
import { bundle, launch, skipBrowser } from '../chromium.js'
import { eventually } from '../waiting.js'

/** Example of a page with a chat. `seen` counts renders and frames of the screen. */
const script = `
  import { createElement, memo } from 'react'
  import { createRoot } from 'react-dom/client'
  import { RealtimeProvider, useChat } from '../../lib/react/index.ts'

  const seen = { renders: 0, items: {}, frames: 0 }
  Object.assign(window, { seen })

  const Item = memo(function Item ({ item }) {
    seen.items[item.id] = (seen.items[item.id] ?? 0) + 1
    return createElement('li', { id: item.id }, item.text)
  })

  function Page () {
    const { items, status } = useChat({ workflow: 'support', appId: 'shop', chatId: 'c1' })
    seen.renders++
    return createElement('main', null, createElement('p', { id: 'status' }, status),
      createElement('ul', null, items.map(item => createElement(Item, { key: item.id, item }))))
  }

  const count = () => { seen.frames++; requestAnimationFrame(count) }
  requestAnimationFrame(count)
  createRoot(document.getElementById('app')).render(createElement(RealtimeProvider, { userId: 'ada' }, createElement(Page)))
`

interface Seen {
  renders: number
  frames: number
  items: Record<string, number>
}

t.test('2,000 tokens in a second render once per frame of the screen', { skip: skipBrowser }, async t => {
  const code = await bundle(script, { define: { 'process.env.NODE_ENV': '"production"' } })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(realtime, { history: { size: 10_000 } })
  app.get('/', async (_request, reply) => reply.type('text/html').send('<div id="app"></div><script type="module" src="/page.js"></script>'))
  app.get('/page.js', async (_request, reply) => reply.type('text/javascript').send(code))
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const browser = await launch(t)
  const page = await browser.newPage()
  page.on('pageerror', error => t.fail(error))
  await page.goto(url)
  await page.locator('#status', { hasText: 'ready' }).waitFor()

  const chat = app.ws.chat({ workflow: 'support', appId: 'shop', chatId: 'c1', userId: 'ada' })
  for (let n = 0; n < 20; n++) await chat.send({ type: 'chat_message', data: { message_id: `old${n}`, content: `message ${n}` } })
  await page.locator('#old19').waitFor()
  const before = await page.evaluate<Seen>('seen')
  t.equal(Object.keys(before.items).length, 20)

  let text = ''
  const start = performance.now()
  // Two tokens per millisecond, each in its own turn. A late turn does not change the schedule.
  for (let n = 0; n < 2_000; n++) {
    const token = `token ${n} 😀 `
    await chat.send({ type: 'chat_delta', data: { message_id: 'answer', at: text.length, text: token } })
    text += token
    await eventually(() => performance.now() - start >= n / 2)
    // A busy machine may run the page only when all tokens have arrived.
    if (n === 1_000) await page.locator('#answer').waitFor()
  }
  const took = performance.now() - start
  await page.waitForFunction(`document.getElementById('answer')?.textContent.length === ${text.length}`)
  t.equal(await page.locator('#answer').textContent(), text)
  const after = await page.evaluate<Seen>('seen')
  const renders = after.renders - before.renders
  const frames = after.frames - before.frames
  t.comment(`${renders} renders in ${frames} frames and ${Math.round(took)} ms`)
  t.ok(renders <= frames + 1, `${renders} renders in ${frames} frames`)
  t.ok(renders <= 70 * took / 1_000, `${renders} renders in ${took} ms`)
  t.ok(renders > 1, 'the answer is shown while it is written')
  t.ok(after.items.answer <= renders)
  for (let n = 0; n < 20; n++) t.equal(after.items[`old${n}`], before.items[`old${n}`], 'an unchanged item is not rendered')
})
