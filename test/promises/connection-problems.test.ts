import { readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import Fastify from 'fastify'
import t from 'tap'
import { WebSocket } from 'ws'
import { createClient, type ClientOptions, type WebSocketConstructor } from '../../lib/client/index.js'
import realtime, { tokenOf } from '../../lib/index.js'
import { bundle, launch, skipBrowser } from '../chromium.js'
import { observe, type Seen } from '../fixtures/observe.js'
import { root } from '../root.js'

const docs = join(root, 'docs/connection-problems.md')

interface Problem {
  title: string
  options: (url: string) => ClientOptions & { token?: string }
  cure: string
}

const problems: Problem[] = [
  { title: 'the server is down', options: () => ({ baseUrl: 'ws://127.0.0.1:1/ws', userId: 'ada' }), cure: 'start the server, or correct the host and port in `baseUrl`' },
  { title: 'the path is wrong', options: url => ({ baseUrl: `${url}/live`, userId: 'ada' }), cure: 'end `baseUrl` with the option `prefix` of the server, which is `/ws` by default' },
  { title: 'the token is wrong', options: url => ({ baseUrl: `${url}/ws`, userId: 'ada', token: 'wrong' }), cure: 'check what `authenticate` does with the token that `getToken` returns' },
  { title: "the path is another user's", options: url => ({ baseUrl: `${url}/ws`, userId: 'bob', token: 'of-ada' }), cure: 'pass the `userId` that `authenticate` returns, or return `true` from `authorize`' },
  { title: 'an id is not valid', options: url => ({ baseUrl: `${url}/ws`, userId: 'a b' }), cure: 'use an id that matches the pattern' },
  { title: 'the address has no scheme', options: () => ({ baseUrl: 'localhost:3000/ws', userId: 'ada' }), cure: 'begin the address with `https://`, or on a page with `/`' },
  { title: 'the user has too many connections', options: url => ({ baseUrl: `${url}/ws`, userId: 'eve', token: 'of-eve' }), cure: 'close some connections, or raise `limits.connectionsPerUser`; the client retries by itself' }
]

/** The text for a table cell, without ports, which differ between runs. */
const written = (text: string) => text.replace(/127\.0\.0\.1:\d+/g, 'localhost:3000').replaceAll('|', '\\|')

const cell = ({ error, status, closed }: Seen) =>
  status === 'none' ? `throws \`${written(error)}\`` : `\`${written(error)}\`; ${closed === '' ? status : `closed: ${closed}`}`

const hooksCell = ({ status, closed }: Seen) =>
  status === 'none' ? 'an error boundary catches the TypeError' : `\`status\` ${status}${closed === '' ? '' : `; \`closed\` ${closed}`}`

function pageOf (rows: string[][]): string {
  return `# Connection problems

This page shows the error that a client reports when it cannot connect, and how to fix its cause.
It is for developers who use the [client](client.md) or the hooks for [React](react.md).

\`\`\`sh
npm install fastify-realtime
\`\`\`

## Read the error

The client reports each problem of the table within five seconds. \`onError\` gets the error. By default it is \`console.error\`.
The table shows \`code: message\` of the error, and then the status of the client.

- \`waiting\`: the client tries again by itself.
- \`closed\`: the client does not try again. \`client.closed\` has the close code and its name, and so has \`closed\` of the error. The hooks
  \`useRealtime\` and \`useChat\` return it as \`closed\`. To try again, call \`client.reopen()\`, or \`retry()\` of these hooks.
- \`throws\`: the call throws the error, and there is no client.

\`await client.connected({ timeout: 5_000 })\` rejects as well. With a closed client its error has the same code. With a waiting client
its error has the code \`timeout\`, and the message contains the one of the table.

A browser does not show why a handshake failed. There the code \`unreachable\` stands for each failure before the upgrade.
The log of the server has the reason: see [Reference](reference.md#troubleshooting).

## Problems

[A test](../test/promises/connection-problems.test.ts) writes this page:

\`\`\`sh
UPDATE_DOCS=1 npx tap --disable-coverage test/promises/connection-problems.test.ts
\`\`\`

| Problem | In Node.js, with \`ws\` | In a browser | \`useRealtime()\`, with the same \`onError\` | What to do |
|---|---|---|---|---|
${rows.map(row => `| ${row.join(' | ')} |`).join('\n')}
`
}

t.test('in Node, in a browser and in the hooks, each connection problem is reported within 5 s with the error of the docs page', { skip: skipBrowser }, async t => {
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
    t.ok(performance.now() - start < 15_000, `${title}: the three reports take less than 15 s`)
    t.equal(inHooks.error, inBrowser.error, `${title}: onError of the provider gets the same error`)
    rows.push([title, cell(inNode), cell(inBrowser), hooksCell(inHooks), cure])
  }
  const text = pageOf(rows)
  if (process.env.UPDATE_DOCS !== undefined) writeFileSync(docs, text)
  t.equal(readFileSync(docs, 'utf8'), text)
})
