import { build } from 'esbuild'
import Fastify from 'fastify'
import { join } from 'node:path'
import t from 'tap'
import realtime from '../../lib/index.js'
import { launch, skipBrowser } from '../chromium.js'
import { root } from '../root.js'

const script = `
  import { createClient } from '../../lib/client/chat/index.ts'
  const errors = []
  const client = createClient({ userId: 'u1', onError: error => errors.push(error.name) })
  const target = { workflow: 'support', appId: 'shop', chatId: 'c1' }
  Object.assign(window, { client, chat: client.chat(target), reading: () => client.chat({ ...target, chatId: 'c2', history: true }), errors })
`

t.test('a page that cannot load code rejects connected() and loadOlder(), and loads it with a later call', { skip: skipBrowser }, async t => {
  const { outputFiles } = await build({
    stdin: { contents: script, resolveDir: join(root, 'test/browser'), loader: 'js' },
    bundle: true,
    splitting: true,
    format: 'esm',
    outdir: '/',
    write: false
  })
  const app = Fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  let isDeployed = false
  await app.register(realtime, {
    chat: {
      onMessage () {},
      loadHistory: () => [{ message_id: 'm1', role: 'user', content: 'Hello', timestamp: '2026-01-01T00:00:00.000Z' }]
    }
  })
  app.get('/', async (_request, reply) => reply.type('text/html').send('<script type="module" src="/stdin.js"></script>'))
  for (const { path, text } of outputFiles) {
    const isLater = /^\/(waiting|history)-/.test(path)
    app.get(path, async (_request, reply) => isLater && !isDeployed ? reply.code(503).send() : reply.type('text/javascript').send(text))
  }
  const browser = await launch(t)
  const page = await browser.newPage()
  page.on('pageerror', error => t.fail(error))
  await page.goto(await app.listen({ port: 0, host: '127.0.0.1' }))
  await page.waitForFunction('window.chat')
  const outcome = (call: string) => page.evaluate(`${call}.catch(({ name }) => name)`)
  await page.waitForFunction('client.status === "open" && chat.status === "ready"')
  t.equal(await outcome('client.connected()'), 'TypeError')
  t.equal(await outcome('chat.loadOlder()'), 'TypeError')
  t.strictSame(await page.evaluate('[client.status, chat.status, errors]'), ['open', 'ready', []])
  await page.evaluate('void (window.other = reading())')
  await page.waitForFunction('errors.length === 1')
  isDeployed = true
  t.equal(await outcome('client.connected()'), undefined)
  t.equal(await outcome('chat.loadOlder()'), false)
  t.equal(await outcome('other.loadOlder()'), false)
  t.strictSame(await page.evaluate('[chat.items.length, other.items.length, errors]'), [1, 1, ['TypeError']])
})
