import { readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import { WebSocket } from 'ws'
import { createClient, type ClientOptions, type WebSocketConstructor } from '../../lib/client/index.js'
import realtime, { tokenOf } from '../../lib/index.js'
import { bundle, launch, skipBrowser } from '../chromium.js'
import { observe, type Seen } from '../fixtures/observe.js'

const docs = new URL('../../docs/connection-problems.md', import.meta.url)

interface Problem {
  title: string
  options: (url: string) => ClientOptions & { token?: string }
  cure: string
}

const problems: Problem[] = [
  { title: 'the server is down', options: () => ({ baseUrl: 'ws://127.0.0.1:1/ws', userId: 'ada' }), cure: 'start it, or correct the host and port in `baseUrl`' },
  { title: 'wrong path', options: url => ({ baseUrl: `${url}/live`, userId: 'ada' }), cure: '`baseUrl` ends with the option `prefix` of the server, by default `/ws`' },
  { title: 'wrong token', options: url => ({ baseUrl: `${url}/ws`, userId: 'ada', token: 'wrong' }), cure: 'see what `authenticate` does with the token that `getToken` returns' },
  { title: "another user's channel", options: url => ({ baseUrl: `${url}/ws`, userId: 'bob', token: 'of-ada' }), cure: 'pass the `userId` that `authenticate` returns, or admit others with `authorize`' },
  { title: 'an id that is none', options: url => ({ baseUrl: `${url}/ws`, userId: 'a b' }), cure: 'use an id that matches' },
  { title: 'an address without a scheme', options: () => ({ baseUrl: 'localhost:3000/ws', userId: 'ada' }), cure: 'begin it with `https://`, or on a page with `/`' },
  { title: 'too many connections', options: url => ({ baseUrl: `${url}/ws`, userId: 'eve', token: 'of-eve' }), cure: 'close some, or raise `limits.connectionsPerUser`; it comes back by itself' }
]

/** Ports differ from run to run. */
const written = (text: string) => text.replace(/127\.0\.0\.1:\d+/g, 'localhost:3000').replaceAll('|', '\\|')

const cell = ({ error, status, closed }: Seen) =>
  status === 'none' ? `throws \`${written(error)}\`` : `\`${written(error)}\`; ${closed === '' ? status : `closed: ${closed}`}`

const hooksCell = ({ status, closed }: Seen) =>
  status === 'none' ? 'an error boundary gets the TypeError' : `\`status\` ${status}${closed === '' ? '' : `; \`closed\` ${closed}`}`

function pageOf (rows: string[][]): string {
  return `# Connection problems

What a client tells within five seconds when it cannot connect: the first error that \`onError\` gets (by default \`console.error\`),
as \`code: message\`, and its \`status\`. With \`closed\` it does not come back by itself; \`client.closed\` and the error's \`closed\` have the
code and its name, and so have \`closed\` of \`useRealtime\` and \`useChat\`. A browser does not show why a handshake failed, so there \`unreachable\` may be anything before the upgrade.
\`await client.connected({ timeout: 5_000 })\` rejects with the same. \`client.reopen()\`, or \`retry()\` of the hooks, tries again.

This table is written by [a test](../test/promises/connection-problems.test.ts): \`UPDATE_DOCS=1 npx tap --disable-coverage test/promises/connection-problems.test.ts\`.

| Problem | In Node, with \`ws\` | In a browser | \`useRealtime()\`, with the same \`onError\` | What to do |
|---|---|---|---|---|
${rows.map(row => `| ${row.join(' | ')} |`).join('\n')}
`
}

t.test('within 5 s a developer sees why there is no connection, in Node, in a browser and in the hooks, as the docs say', { skip: skipBrowser }, async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(realtime, {
    authenticate: request => tokenOf(request)?.startsWith('of-') ? { userId: tokenOf(request)!.slice(3) } : null,
    limits: { connectionsPerUser: 1 }
  })
  const code = await bundle(`
    import { observe } from '../fixtures/observe.ts'
    import { observeHooks } from '../fixtures/observe-hooks.ts'
    Object.assign(window, { observe, observeHooks })
  `, { define: { 'process.env.NODE_ENV': '"production"' } })
  app.get('/', async (_request, reply) => reply.type('text/html').send('<script type="module" src="/page.js"></script>'))
  app.get('/page.js', async (_request, reply) => reply.type('text/javascript').send(code))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const first = createClient({ baseUrl: `${url}/ws`, userId: 'eve', getToken: () => 'of-eve', WebSocket: WebSocket as WebSocketConstructor })
  t.teardown(() => first.close())
  await first.connected()

  const browser = await launch(t)
  const page = await browser.newPage()
  await page.goto(url)
  await page.waitForFunction('window.observe !== undefined')

  const rows: string[][] = []
  for (const { title, options, cure } of problems) {
    const start = performance.now()
    const inNode = await observe(options(url), WebSocket as WebSocketConstructor)
    const inBrowser = await page.evaluate<Seen>(`observe(${JSON.stringify(options(url))})`)
    const inHooks = await page.evaluate<Seen>(`observeHooks(${JSON.stringify(options(url))})`)
    t.ok(performance.now() - start < 15_000, `${title}: within 5 s each`)
    t.equal(inHooks.error, inBrowser.error, `${title}: the provider's onError gets the same`)
    rows.push([title, cell(inNode), cell(inBrowser), hooksCell(inHooks), cure])
  }
  const text = pageOf(rows)
  if (process.env.UPDATE_DOCS !== undefined) writeFileSync(docs, text)
  t.equal(readFileSync(docs, 'utf8'), text)
})
