import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Fastify from 'fastify'
import t from 'tap'
import realtime from '../../lib/index.js'
import { launch, skipBrowser } from '../chromium.js'
import { root } from '../root.js'

/** What a page imports the client from, and its HTML before the script. */
const pages = {
  'a script of type module imports the file by its address': { from: '/realtime.js', head: '' },
  'an import map has the name of the package': {
    from: 'fastify-realtime/browser',
    head: '<script type="importmap">{ "imports": { "fastify-realtime/browser": "/realtime.js" } }</script>'
  }
}

for (const [title, { from, head }] of Object.entries(pages)) {
  t.test(`${title}, and has a client with chats`, { skip: skipBrowser }, async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(realtime, { chat: { onMessage: async (run, { content }) => { await run.reply().write(`You said: ${content}`) } } })
    const file = readFileSync(join(root, 'dist/lib/browser.js'))
    app.get('/realtime.js', async (_request, reply) => reply.type('text/javascript').send(file))
    app.get('/', async (_request, reply) => reply.type('text/html').send(`<!doctype html><title>page</title>${head}
      <script type="module">
        import { createClient } from '${from}'
        const client = createClient({ userId: 'ada' })
        client.on('notification', ({ title }) => { document.title = title })
        const chat = client.chat({ workflow: 'w', appId: 'a', chatId: 'c' })
        chat.subscribe(() => { document.body.textContent = chat.messages.map(({ text }) => text).join(', ') })
        await client.connected()
        await chat.send('Hi')
      </script>`))
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const page = await (await launch(t)).newPage()
    page.on('pageerror', error => t.fail(error))
    await page.goto(url)
    await page.waitForFunction("document.body.textContent === 'Hi, You said: Hi'")
    await app.ws.sendToUser('ada', { type: 'notification', data: { title: 'Hello' } })
    await page.waitForFunction("document.title === 'Hello'")
    t.equal(await page.title(), 'Hello')
  })
}
