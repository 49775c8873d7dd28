import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { WebSocket } from 'ws'
import { launch, skipBrowser } from '../chromium.js'
import { connect, start } from '../harness.js'
import { root } from '../root.js'
import { eventually } from '../waiting.js'
import { Page, post, recorded } from './page.js'

const page = new Page('docs/getting-started.md')

t.test('the snippet of the server greets the snippet for the console', async t => {
  const { app, host } = await page.serve(t, 'server', { replace: { 'logger: true': 'logger: false' } })
  const lines = await page.browse(t, 'console', host)
  await eventually(() => lines.length === 1)
  await post(app, '/hello')
  await eventually(() => lines.length === 2)
  t.same(lines, ['connected as ada', 'Hello'])
})

t.test('the snippet of a bundled page connects to the server of the page', async t => {
  const { app, port } = await start(t)
  const { lines, console } = recorded()
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => { delete (globalThis as { WebSocket?: unknown }).WebSocket })
  const replace = { "userId: 'ada'": `userId: 'ada', baseUrl: 'http://127.0.0.1:${port}/ws'` }
  const { client } = await page.run(t, 'page', { globals: { console }, replace })
  t.teardown(() => client.close())
  await eventually(() => lines.includes('open'))
  await app.ws.sendToUser('ada', { type: 'notification', data: { title: 'Hello' } })
  await eventually(() => lines.includes('Hello'))
})

t.test('the snippet without a bundler shows a pushed message, through an import map', { skip: skipBrowser }, async t => {
  const resolved = `import.meta.resolve(${JSON.stringify(`file://${root}/dist/lib/browser.js`)})`
  const { app, host } = await page.serve(t, 'browser-server', { replace: { "import.meta.resolve('fastify-realtime/browser')": resolved } })
  const browser = await launch(t)
  const tab = await browser.newPage()
  await tab.goto(`http://${host}`)
  await eventually(() => app.ws.isOnline('ada'))
  await post(app, '/hello')
  await tab.getByText('Hello').waitFor()
  t.equal(await tab.innerText('body'), 'Hello')
})

t.test('the snippet of a plugin in a file of its own broadcasts', async t => {
  const { app, url } = await page.mount(t, 'types')
  const client = await connect(t, `${url}/notifications/ada`)
  await post(app, '/hello-all')
  t.match(await client.next(), { type: 'system_announcement', message: 'Hello, all' })
})

t.test('the snippet in CommonJS starts a server, and so does require', async t => {
  const { started } = await page.run(t, 'commonjs')
  const app = await started
  t.teardown(() => app.close())
  t.type(app.ws.sendToUser, 'function')

  const { NODE_OPTIONS, ...env } = process.env
  const { stdout } = await promisify(execFile)(process.execPath, ['-p', "typeof require('fastify-realtime').default"], { cwd: root, env })
  t.equal(stdout.trim(), 'function')
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })
