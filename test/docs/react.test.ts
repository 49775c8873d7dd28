import { join } from 'node:path'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import t, { type Test } from 'tap'
import realtime, { defineChannel, tokenOf, type RealtimeOptions } from '../../lib/index.js'
import * as module from '../../lib/react/index.js'
import { connect } from '../../lib/testing/index.js'
import { bundle, launch, skipBrowser } from '../chromium.js'
import { every } from '../every.js'
import { root } from '../root.js'
import { eventually, gate } from '../waiting.js'
import { Declared, namesOf } from './declared.js'
import { Page } from './page.js'

const page = new Page('docs/react.md')
const declared = new Declared('fastify-realtime/react')

t.test('the snippets render on a server, without a connection', async t => {
  const { RealtimeProvider } = module
  const first: Record<string, string> = {
    react: '<button disabled="">0 of 0 unread</button><p>0 orders shipped</p>',
    'signed-in': '<b>content</b>',
    state: '<p role="status">Connecting<!-- --> </p>',
    bell: '<section aria-label="0 unread"><button disabled="">Mark all as read</button><ul></ul></section>',
    tasks: '<form><ul></ul><input required="" name="title"/><button>Add</button><output></output></form>',
    reload: '<p>0 left</p>',
    board: '<section aria-label="idle"><p>No move yet</p><button disabled="">Finish</button></section>',
    watchers: '<section aria-label="Who was here"><ul></ul><input aria-label="Comment"/></section>',
    'chat-page': '<main><button>Older messages</button><form><input required="" autoComplete="off" name="text"/>' +
      '<button>Send</button><button type="button">Stop</button></form></main>',
    send: '<button>Vote</button>',
    request: '<button>Ask</button>'
  }
  t.strictSame(Object.keys(first).sort(), page.snippets.map(({ name }) => name).sort())
  for (const [name, html] of Object.entries(first)) {
    const components = await page.run(t, name)
    const [[exportedName, component]] = Object.entries<() => null>(components)
    const element = createElement(component, null, createElement('b', null, 'content'))
    const isWhole = exportedName === 'App' || exportedName === 'Realtime'
    t.equal(renderToString(isWhole ? element : createElement(RealtimeProvider, { userId: 'ada' }, element)), html, name)
  }
})

interface Shown {
  /** JSX with the components of the snippet. */
  element: string
  /** More of the page's script. */
  script?: string
  options?: RealtimeOptions
  /** Routes of the app. */
  routes?: (app: FastifyInstance) => void
}

t.test('the snippets do in a browser what the page says', { skip: skipBrowser }, async t => {
  const browser = await launch(t)

  /** A server whose page is a snippet, opened in a tab. */
  async function open (t: Test, name: string, { element, script = '', options = {}, routes = () => {} }: Shown) {
    const contents = `
      ${page.take(name)}
      import * as React from 'react'
      import { createRoot } from 'react-dom/client'
      import { RealtimeProvider as Provider } from 'fastify-realtime/react'
      ${script}
      createRoot(document.getElementById('app')!).render(<React.StrictMode>${element}</React.StrictMode>)
    `
    const code = await bundle('', {
      stdin: { contents, resolveDir: join(root, 'test/browser'), loader: 'tsx' },
      jsx: 'automatic',
      alias: { 'fastify-realtime/react': join(root, 'lib/react/index.ts') }
    })
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(realtime, options)
    app.get('/', async (_request, reply) => reply.type('text/html').send('<div id="app"></div><script type="module" src="/page.js"></script>'))
    app.get('/page.js', async (_request, reply) => reply.type('text/javascript').send(code))
    routes(app)
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const context = await browser.newContext()
    t.teardown(() => context.close())
    const tab = await context.newPage()
    tab.on('pageerror', error => t.fail(error))
    await tab.goto(url)
    return {
      app,
      tab,
      /** Waits until the page has this text. */
      shows: (text: string) => tab.waitForFunction(`document.body.innerText.includes(${JSON.stringify(text)})`),
      online: () => eventually(() => app.ws.isOnline('ada') === true),
      notify: (title: string, id: string) => app.ws.sendToUser('ada', { type: 'notification', data: { title, id } })
    }
  }

  t.test('the first snippet counts notifications and orders', async t => {
    const { app, tab, shows, online, notify } = await open(t, 'react', { element: '<App />' })
    await online()
    await notify('Hello', 'n1')
    await Promise.all(['o1', 'o2', 'o3'].map(id => app.ws.sendToUser('ada', { type: 'order_shipped', data: { order_id: id, carrier: 'post' } })))
    await shows('1 of 1 unread')
    await shows('3 orders shipped')
    await tab.getByRole('button').click()
    await shows('0 of 1 unread')
    t.equal(app.ws.stats().connections, 1)
  })

  t.test('the snippet with a signed-in user connects once there is one, and keeps what is below mounted', async t => {
    const { app, tab, online } = await open(t, 'signed-in', {
      element: '<Late />',
      script: `
        let mounts = 0
        function Content () {
          const [mount] = React.useState(() => ++mounts)
          return <p id='content'>{mount}</p>
        }
        function Late () {
          const [session, signIn] = React.useState<Session>()
          Object.assign(window, { signIn: () => signIn({ userId: 'ada', getToken: async () => 'secret' }) })
          return <Realtime session={session}><Content /></Realtime>
        }
      `,
      options: { authenticate: request => tokenOf(request) === 'secret' ? { userId: 'ada' } : null }
    })
    const mount = await tab.locator('#content').textContent()
    t.equal(app.ws.stats().connections, 0)
    await tab.evaluate('signIn()')
    await online()
    t.equal(await tab.locator('#content').textContent(), mount)
  })

  t.test('the snippet with the state says how the connection was closed, and connects again', async t => {
    const { app, tab, shows, online } = await open(t, 'state', { element: "<Provider userId='ada'><State /></Provider>" })
    await online()
    await shows('Connected')
    app.ws.disconnectUser('ada')
    await shows('Disconnected')
    await tab.getByRole('button', { name: 'Closed with FORBIDDEN. Connect again' }).click()
    await shows('Connected')
    t.equal(app.ws.isOnline('ada'), true)
  })

  t.test('the snippet with a bell shows what is stored and what is new, and marks it as read', async t => {
    const stored = { type: 'notification', timestamp: '2026-01-31T09:30:00.000Z', data: { title: 'Stored', id: 'n1' } }
    const { tab, shows, online, notify } = await open(t, 'bell', {
      element: "<Provider userId='ada'><Bell /></Provider>",
      routes: app => app.get('/api/notifications', async () => [stored])
    })
    await online()
    await shows('Stored')
    await notify('New', 'n2')
    await tab.getByLabel('1 unread').waitFor()
    t.strictSame(await tab.locator('li').allTextContents(), ['New', 'Stored'])
    t.strictSame(await tab.locator('li b').allTextContents(), ['New'])
    await tab.getByText('New').click()
    await tab.getByLabel('0 unread').waitFor()
    await notify('Newer', 'n3')
    await tab.getByLabel('1 unread').waitFor()
    await tab.getByRole('button').click()
    await tab.getByLabel('0 unread').waitFor()
  })

  t.test('the snippet with tasks shows one at once, confirms it once, and takes it back on an error', async t => {
    const { opened, open: answer } = gate()
    const { tab, shows, online } = await open(t, 'tasks', {
      element: "<Provider userId='ada'><Tasks /></Provider>",
      routes: app => {
        const tasks = [{ task_id: 't0', title: 'Stored' }]
        app.get('/api/tasks', async () => tasks)
        app.post<{ Body: { title: string, client_ref: string } }>('/api/tasks', async ({ body }, reply) => {
          await opened
          if (body.title === 'Too much') return reply.code(503).send()
          const task = { task_id: `t${tasks.length}`, ...body }
          tasks.push(task)
          await app.ws.sendToUser('ada', { type: 'task_update', action: 'created', data: task })
          return task
        })
      }
    })
    await online()
    await shows('Stored')
    const add = async (title: string) => {
      await tab.locator('input').fill(title)
      await tab.getByRole('button').click()
    }
    await add('Buy milk')
    await shows('Buy milk (saving)')
    answer()
    await tab.waitForFunction("!document.body.innerText.includes('saving')")
    t.strictSame(await tab.locator('li').allTextContents(), ['Stored', 'Buy milk'])
    await add('Too much')
    await shows('Too much was not added: Error: HTTP 503')
    t.strictSame(await tab.locator('li').allTextContents(), ['Stored', 'Buy milk'])
  })

  t.test('the snippet that reloads shows what is newest, in whatever order it arrives', async t => {
    const { app, shows, online } = await open(t, 'reload', {
      element: "<Provider userId='ada'><Stock /></Provider>",
      routes: app => app.get('/api/stock', async () => ({ left: 5, version: 1 }))
    })
    await online()
    await shows('5 left')
    await app.ws.sendToUser('ada', { type: 'stock', data: { left: 3, version: 3 } })
    await shows('3 left')
    await app.ws.sendToUser('ada', { type: 'stock', data: { left: 4, version: 2 } })
    await app.ws.sendToUser('ada', { type: 'stock', data: { left: 2, version: 4 } })
    await shows('2 left')
    t.equal(app.ws.stats().connections, 1)
  })

  t.test('the snippet with a board shows moves, and sends one, on the connection of the provider', async t => {
    const { opened: isDecided, open: decide } = gate()
    const board = defineChannel({
      authorize: async (_identity, { id }) => { await isDecided; return id === 'b1' },
      answers: { move_card: Type.Object({ version: Type.Integer() }) },
      onMessage: { move_card: ({ data }) => ({ version: data === undefined ? 0 : 7 }) }
    })
    const element = "<Provider userId='ada' onError={() => {}}><Board id='b1' /><Board id='b2' /></Provider>"
    const { app, tab, shows } = await open(t, 'board', { element, options: { channels: { board } } })
    await tab.getByLabel('connecting').first().waitFor()
    decide()
    await tab.getByLabel('forbidden').waitFor()
    await tab.getByLabel('open').waitFor()
    await app.ws.channel('board', 'b1').send({ type: 'card_moved', data: { card: 'c2', to: 'doing' } })
    await shows('c2 is in doing')
    await tab.getByLabel('open').getByRole('button').click()
    await shows('Saved as version 7')
    t.equal(app.ws.stats().connections, 1)
  })

  t.test('the snippet that shows who is here shows others who types', async t => {
    const board = defineChannel({ authorize: () => true, presence: { max: 2, data: Type.Object({ isTyping: Type.Boolean() }) } })
    const element = "<>{['ada', 'bob'].map(id => <Provider key={id} userId={id}><Watchers id='b1' /></Provider>)}</>"
    const { app, tab, shows } = await open(t, 'watchers', { element, options: { channels: { board } } })
    const [ada, bob] = [0, 1].map(at => tab.getByRole('region', { name: 'Who is here' }).nth(at))
    await bob.getByText('ada', { exact: true }).waitFor()
    await ada.getByText('bob', { exact: true }).waitFor()
    await ada.getByRole('textbox', { name: 'Comment' }).fill('Hi')
    await bob.getByText('ada types …').waitFor()
    await bob.getByRole('textbox', { name: 'Comment' }).focus()
    await bob.getByText('ada types …').waitFor({ state: 'detached' })
    const third = await connect(app, { userId: 'cid' })
    await third.subscribe('board:b1')
    await shows('3 people')
  })

  t.test('the snippet with a chat sends, answers a question, and loads older messages', async t => {
    const old = { message_id: 'm0', role: 'user', content: 'Long ago', timestamp: '2026-01-31T09:30:00.000Z' }
    const { app, tab, shows } = await open(t, 'chat-page', {
      element: '<App />',
      options: {
        chat: {
          async onMessage (run, { content }) {
            const answer = await run.ask({ prompt: 'Ship it?' })
            run.reply({ agent: 'clerk' }).write(`${content} and ${JSON.stringify(answer)}`)
          },
          loadHistory: (_target, before) => before === undefined ? [old] : []
        }
      }
    })
    await shows('user: Long ago')
    t.equal(app.ws.stats().connections, 1)
    await tab.getByRole('button', { name: 'Older messages' }).click()
    await tab.getByRole('button', { name: 'Older messages' }).waitFor({ state: 'detached' })
    t.equal(await tab.getByRole('button', { name: 'Stop' }).isDisabled(), true)
    await tab.locator('input').fill('Hi')
    await tab.getByRole('button', { name: 'Send' }).click()
    await tab.getByRole('button', { name: 'Ship it?' }).click()
    await shows('clerk: Hi and {"ship":true}')
    t.strictSame(await tab.locator('p').allTextContents(), ['user: Long ago', 'user: Hi', 'clerk: Hi and {"ship":true}'])

    await tab.locator('input').fill('Again')
    await tab.getByRole('button', { name: 'Send' }).click()
    await tab.getByRole('button', { name: 'Ship it?' }).waitFor()
    await tab.getByRole('button', { name: 'Stop' }).click()
    await tab.getByRole('button', { name: 'Ship it?' }).waitFor({ state: 'detached' })
  })

  t.test('the snippet that sends says whether the message was handled', async t => {
    const votes: unknown[] = []
    const options = { onMessage: { vote: ({ data }: { data?: unknown }) => { votes.push(data) } } }
    const { tab, shows } = await open(t, 'send', { element: "<Provider userId='ada'><Vote /></Provider>", options })
    await tab.getByRole('button').click()
    await shows('Counted')
    t.strictSame(votes, [{ choice: 1 }])
  })

  t.test('the snippet that requests shows the answer of the handler', async t => {
    const options = { answers: { quote: Type.Number() }, onMessage: { quote: () => 3 } }
    const { tab, shows } = await open(t, 'request', { element: "<Provider userId='ada'><Price /></Provider>", options })
    await tab.getByRole('button').click()
    await shows('It costs 3')
  })
})

/** The names within the braces of a cell such as `{ a, b? }`. */
function within (cell: string): string[] {
  const [, names] = /\{ (.*?) \}/.exec(cell)!
  return names.split(', ').map(name => name.replace('?', '')).sort()
}

t.test('the table of hooks has all that the module exports, with what they return', async t => {
  const rows = page.table('## Hooks', '| Hook | Result |')
  t.strictSame(namesOf(rows), Object.keys(module).filter(name => name.startsWith('use')).sort())
  const objects = rows.filter(([, result]) => result.startsWith('`{'))
  t.strictSame(namesOf(objects), ['useChannel', 'useNotifications', 'useOptimisticList', 'usePresence', 'useRealtime'])
  for (const row of objects) t.strictSame(within(row[1]), declared.resultOf(namesOf([row])[0]))
})

t.test('the page names all else that the module exports', async t => {
  const others = Object.keys(module).filter(name => !name.startsWith('use'))
  t.ok(every(others, name => /^Besides the hooks.*$/m.exec(page.text)![0].includes(`\`${name}\``)), others.join())
})

t.test('the table of props has all that are no options of the client', async t => {
  const ofClient = new Declared('fastify-realtime/client').membersOf('ClientOptions')
  t.strictSame(namesOf(page.table('## Provide the connection of a signed-in user', '| Prop | Default | Meaning |')),
    declared.membersOf('ProviderProps').filter(name => !ofClient.includes(name)).sort())
})

t.test('the tables of a bell have all options, and all that a notification has', async t => {
  const heading = '## Show a bell'
  t.strictSame(namesOf(page.table(heading, '| Option | Default | Meaning |')), declared.membersOf('NotificationsOptions'))
  t.strictSame(namesOf(page.table(heading, '| Notification | Meaning |')), declared.membersOf('Notification'))
})

t.test('the tables of an optimistic list have all options and results, and all that an item has', async t => {
  const heading = '## Show a list with optimistic items'
  t.strictSame(namesOf(page.table(heading, '| Option | Default | Meaning |')), declared.membersOf('OptimisticOptions'))
  const results = page.table(heading, '| Result | Meaning |')
  t.strictSame(namesOf(results), declared.resultOf('useOptimisticList'))
  t.strictSame(within(results[0][1]), declared.membersOf('OptimisticItem'))
})

t.test('the table of a channel has all that useChannel returns', async t => {
  t.strictSame(namesOf(page.table('## Show a channel of your app', '| Result | Meaning |')), declared.resultOf('useChannel'))
})

t.test('the table of a chat has all that useChat returns', async t => {
  t.strictSame(namesOf(page.table('## Show a chat', '| Result | Meaning |')), declared.resultOf('useChat'))
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })
