import { createContext, runInContext } from 'node:vm'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import realtime, { closeCodes, tokenOf } from '../../lib/index.js'
import { bundle, launch, skipBrowser } from '../chromium.js'
import { start } from '../harness.js'
import { eventually } from '../waiting.js'

/** A URL like that of React Native: getters only, a slash at the end, and a string as the only argument. */
class GetterOnlyURL {
  readonly #text: string
  constructor (text: string) {
    if (!text.includes('://')) throw new TypeError('Invalid URL')
    this.#text = text.endsWith('/') ? text : `${text}/`
  }

  get href (): string { return this.#text }
  get protocol (): string { return this.#text.split('//')[0] }
  get searchParams (): never { throw new Error('not implemented') }
}

const withTimers = { setTimeout, clearTimeout, console }

/** Globals of each host. */
const hosts: Record<string, object> = {
  'like React Native, with a URL of getters and no DOM': { ...withTimers, URL: GetterOnlyURL, navigator: { product: 'ReactNative' } },
  'with timers and URL alone': { ...withTimers, URL },
  'with incomplete globals': {
    ...withTimers,
    URL,
    performance: {},
    document: {},
    navigator: { locks: {} },
    BroadcastChannel: undefined,
    addEventListener () {}
  },
  'with locks but without BroadcastChannel': { ...withTimers, URL, navigator: { locks: { request () { throw new Error('not to be called') } } } }
}

for (const [name, globals] of Object.entries(hosts)) {
  for (const tokenIn of ['protocol', 'query'] as const) {
    t.test(`a client and a chat run in a host ${name}, with the token in the ${tokenIn}`, async t => {
      const heard: unknown[] = []
      const { app, url } = await start(t, {
        authenticate: request => tokenOf(request) === 'secret' ? { userId: 'ada' } : null,
        onMessage: { vote: ({ data }) => { heard.push(data) } },
        chat: { onMessage: async (run, { content }) => { await run.reply().write(`You said: ${content}`) } }
      })
      const code = await bundle("import { createClient } from '../../lib/client/chat/index.ts'\nglobalThis.createClient = createClient", { format: 'iife' })
      const context = createContext({ ...globals })
      runInContext(code, context)
      const client = context.createClient({ baseUrl: `${url}/ws`, userId: 'ada', share: true, getToken: () => 'secret', tokenIn, WebSocket, backoff: () => 1, onError () {} })
      t.teardown(() => client.close())
      const got: unknown[] = []
      const resumes: unknown[] = []
      client.on('n', (data: unknown) => got.push(data))
      client.onResume(({ recovered }: { recovered: boolean }) => resumes.push(recovered))
      await client.connected({ timeout: 10_000 })
      await app.ws.sendToUser('ada', { type: 'n', data: 1 })
      await eventually(() => got.length === 1)
      app.ws.disconnectUser('ada', closeCodes.OVERLOADED.code)
      await app.ws.sendToUser('ada', { type: 'n', data: 2 })
      await eventually(() => got.length === 2 && resumes.length === 1)
      t.strictSame([got, resumes], [[1, 2], [true]])
      await client.send('vote', { text: 'ü' })
      t.match(heard, [{ text: 'ü' }])

      const chat = client.chat({ workflow: 'w', appId: 'a', chatId: 'c' })
      await chat.send('Hi')
      await eventually(() => chat.messages.some(({ text, status }: { text: string, status: string }) => text === 'You said: Hi' && status === 'complete'))
      client.wake()
      client.close()
      await eventually(() => app.ws.stats().connections === 0)
    })
  }
}

t.test('clients run in Web Workers', { skip: skipBrowser }, async t => {
  const worker = await bundle(`
    import { createClient } from '../../lib/client/index.ts'
    const client = createClient({ userId: 'ada', share: location.hash === '#share', backoff: () => 10, onError () {} })
    client.on('n', data => postMessage(['n', data]))
    client.onStatus(status => postMessage(['status', status]))
    client.onResume(({ recovered }) => postMessage(['recovered', recovered]))
    client.send('vote', 1).then(() => postMessage(['voted', true]))
  `)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(realtime, { onMessage: { vote () {} } })
  app.get('/', async (_request, reply) => reply.type('text/html').send('<title>workers</title>'))
  app.get('/worker.js', async (_request, reply) => reply.type('text/javascript').send(worker))
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const browser = await launch(t)

  const cases: Record<string, string> = {
    'loaded from a URL': "new Worker('/worker.js')",
    'that shares the connection': "new Worker('/worker.js#share')",
    'made from a blob': "new Worker(URL.createObjectURL(new Blob([await (await fetch('/worker.js')).text()])))"
  }
  for (const [name, made] of Object.entries(cases)) {
    await t.test(`a client runs in a worker ${name}, and resumes after its connection is lost`, async (t: Test) => {
      const page = await browser.newPage()
      t.teardown(() => page.close())
      page.on('pageerror', error => t.fail(error))
      await page.goto(url)
      const heard = (text: string) => page.waitForFunction(`seen.includes(${JSON.stringify(text)})`)
      await page.evaluate(`(async () => {
        window.seen = []
        window.worker = ${made}
        worker.onmessage = ({ data }) => seen.push(data.join(' '))
        worker.onerror = ({ message }) => seen.push(message)
      })()`)
      await heard('voted true')
      app.ws.disconnectUser('ada', closeCodes.OVERLOADED.code)
      await app.ws.sendToUser('ada', { type: 'n', data: 1 })
      await heard('n 1')
      await heard('recovered true')
      t.match(await page.evaluate<string[]>('seen'), ['status open', 'voted true', 'status waiting', 'status connecting', 'status open'])
      await page.evaluate('worker.terminate()')
      await eventually(() => app.ws.stats().connections === 0)
    })
  }
})
