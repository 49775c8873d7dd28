import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { build } from 'esbuild'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { launch, skipBrowser } from '../chromium.js'
import { spawnChild } from '../children.js'
import { connect, start } from '../harness.js'
import { eventually, within } from '../waiting.js'
import { Page, post, recorded, refusal } from './page.js'

const page = new Page('README.md')

/**
 * The files of the quick start in a folder of their own, inside of this package: `fastify-realtime` is the package itself there, as
 * `npm test` has built it.
 */
function quickStart (t: Test, server: string): string {
  const folder = t.testdir()
  writeFileSync(join(folder, server), page.take('quick-start').replace('port: 3000', "port: 0, host: '127.0.0.1'"))
  writeFileSync(join(folder, 'page.html'), page.take('quick-start-html'))
  return folder
}

/** Runs the server in a process of its own. Returns its address. */
async function listen (t: Test, folder: string): Promise<string> {
  const child = spawnChild(process.execPath, ['server.mjs'], { cwd: folder, env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = once(child, 'exit').then(([code]) => { throw new Error(`the server ended with ${code} before it listened`) })
  const [line] = await within(Promise.race([once(createInterface(child.stdout!), 'line'), ended]), 'the server to listen')
  return String(line)
}

/** Opens the page, pushes, and waits until it shows what the README says. */
async function showsHello (t: Test, url: string): Promise<void> {
  const browser = await launch(t)
  const tab = await browser.newPage()
  await tab.goto(url)
  await tab.getByText('open').waitFor()
  await fetch(`${url}/hello`, { method: 'POST' })
  await tab.getByText('Hello').waitFor()
  t.match((await tab.innerText('body')).trim(), /open Hello$/)
}

t.test('the quick start shows a pushed message, in JavaScript and without a bundler', { skip: skipBrowser }, async t => {
  const folder = quickStart(t, 'server.mjs')
  writeFileSync(join(folder, 'page.js'), page.take('quick-start-page'))
  await showsHello(t, await listen(t, folder))
})

t.test('the quick start shows a pushed message, in TypeScript and with a bundler', { skip: skipBrowser }, async t => {
  const folder = quickStart(t, 'server.mts')
  mkdirSync(join(folder, 'src'))
  writeFileSync(join(folder, 'src/page.ts'), page.take('quick-start-page').replace("'/realtime.js'", "'fastify-realtime/client'"))
  await build({ entryPoints: [join(folder, 'src/page.ts')], bundle: true, format: 'esm', outfile: join(folder, 'page.js') })
  // Strips the types, as Node.js or tsx does.
  await build({ entryPoints: [join(folder, 'server.mts')], format: 'esm', outfile: join(folder, 'server.mjs') })
  await showsHello(t, await listen(t, folder))
})

t.test('the snippet with authenticate lets in the owner of a token, on the path of that user only', async t => {
  const { url } = await page.serve(t, 'authenticate')
  await connect(t, `${url}/notifications/ada?token=secret-of-ada`)
  t.equal(await refusal(t, `${url}/notifications/bob?token=secret-of-ada`), 4403)
  t.equal(await refusal(t, `${url}/notifications/ada?token=no`), 4401)
})

t.test('the snippet that pushes reaches one user, and broadcasts to all', async t => {
  const { app, url } = await page.mount(t, 'push')
  const [ada, bob] = await Promise.all(['ada', 'bob'].map(user => connect(t, `${url}/notifications/${user}`)))
  const { message } = await post(app, '/orders/o1/ship')
  t.match(await ada.next(), { type: 'task_update', data: { task_id: 'o1' }, id: message })
  t.match(await ada.next(), { type: 'system_announcement' })
  t.match(await bob.next(), { type: 'system_announcement' })
})

t.test('the snippet of the client connects and shows a notification', async t => {
  const { app, port } = await start(t, { authenticate: () => ({ userId: 'ada' }) })
  const { lines, console } = recorded()
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => { delete (globalThis as { WebSocket?: unknown }).WebSocket })
  const { client } = await page.run(t, 'client', { globals: { console }, replace: { 'http://localhost:3000': `http://127.0.0.1:${port}` } })
  t.teardown(() => client.close())
  await app.ws.sendToUser('ada', { type: 'notification', data: { title: 'Hello' } })
  await eventually(() => lines.length === 1)
  t.same(lines, ['Hello'])
})

t.test('the snippet for React renders a bell', async t => {
  const { App } = await page.run(t, 'react')
  t.equal(renderToString(createElement(App)), '<button>0<!-- --> unread</button>')
})

t.test('the snippets of a chat ask and answer', async t => {
  const { host } = await page.serve(t, 'chat')
  const { lines, console } = recorded()
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => { delete (globalThis as { WebSocket?: unknown }).WebSocket })
  const { client } = await page.run(t, 'chat-client', { globals: { console }, replace: { 'localhost:3000': host } })
  t.teardown(() => client.close())
  await eventually(() => lines.at(-1) === 'You said: Hi')
})

t.test('the snippet with a channel reaches members of a board, and refuses others', async t => {
  const { app, url } = await page.serve(t, 'channels')
  const [ada, eve] = await Promise.all(['ada', 'eve'].map(user => connect(t, `${url}/notifications/${user}`)))
  for (const client of [ada, eve]) client.send({ type: 'subscribe', data: { channels: [{ channel: 'board:b1' }] } })
  await ada.next('subscribed')
  t.match(await eve.next('unsubscribed'), { data: { reason: 'forbidden' } })
  await post(app, '/move')
  t.match(await ada.next(), { type: 'card_moved', channel: 'board:b1', data: { card: 'c1' } })
})

t.test('the README has at most 250 lines, and installs before any code', async t => {
  const lines = page.text.split('\n')
  t.ok(lines.length <= 251, `${lines.length - 1} lines`)
  t.match(lines[lines.findIndex(line => line.startsWith('```')) + 1], /^npm install /)
})

t.test('each cell of the comparison says yes, part or no, with a link', async t => {
  const rows = page.table('## Compared with others', '| | fastify-realtime | Socket.IO | Centrifugo | SignalR | Ably | AI SDK alone |')
  t.ok(rows.length >= 10)
  for (const [feature, ...cells] of rows) {
    t.equal(cells.length, 6, feature)
    for (const cell of cells) t.match(cell, /^(\*\*)?\[(?:yes|part|no)\]\([^)]+\)\1/, feature)
  }
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })
