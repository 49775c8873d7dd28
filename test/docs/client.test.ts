import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import * as module from '../../lib/client/index.js'
import { defineChannel, tokenOf, type RealtimeOptions } from '../../lib/index.js'
import { ownCodes } from '../../lib/protocol/own-codes.js'
import { FakeLocks } from '../client/fake-locks.js'
import { start } from '../harness.js'
import { root } from '../root.js'
import { eventually, gate } from '../waiting.js'
import { Declared, namesOf } from './declared.js'
import { Page, recorded, type Running } from './page.js'

const page = new Page('docs/client.md')
const declared = new Declared('fastify-realtime/client')

t.test('the snippets run', async t => {
  const { WebSocket: before } = globalThis as { WebSocket?: unknown }
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => { Object.assign(globalThis, { WebSocket: before }) })

  /** A server, and what runs a snippet that connects to it. */
  async function serving (t: Test, options: RealtimeOptions = {}) {
    const { app, port } = await start(t, options)
    const url = `http://127.0.0.1:${port}`
    const run = async (name: string, { replace, globals }: Running = {}) => {
      const found = await page.run(t, name, { globals, replace: { 'http://localhost:3000': url, 'https://app.example': url, ...replace } })
      t.teardown(() => found.client.close())
      return found
    }
    return { app, run, url, notify: (title: string) => app.ws.sendToUser('ada', { type: 'notification', data: { title } }) }
  }

  t.test('the first snippet connects, sends and shows a message', async t => {
    const votes: unknown[] = []
    const { run, notify } = await serving(t, { onMessage: { vote: ({ data }) => { votes.push(data) } } })
    const { lines, console } = recorded()
    await run('client', { globals: { console, location: { reload () {} } } })
    t.strictSame(votes, [{ choice: 1 }])
    t.strictSame(lines, ['open'])
    await notify('Hello')
    await eventually(() => lines.length === 2)
    t.match(lines[1], /^\d{4}-.*Z Hello$/)
  })

  t.test('the snippet with a token connects with it, stops without one, and tries again after an error', async t => {
    const reported = t.capture(console, 'error')
    const { app, run } = await serving(t, { authenticate: request => tokenOf(request) === 'token 1' ? { userId: 'ada' } : null })
    let calls = 0
    const answering = (status: number) => async () => {
      calls++
      return Response.json({ token: 'token 1' }, { status })
    }
    const signedIn = await run('get-token', { globals: { fetch: answering(200) } })
    await signedIn.client.connected()
    t.equal(app.ws.stats().connections, 1)

    calls = 0
    const signedOut = await run('get-token', { globals: { fetch: answering(401) } })
    await t.rejects(signedOut.client.connected(), { code: 'unauthenticated', closed: { code: 4401 } })
    t.equal(calls, 2, 'a credential that is refused is fetched once more')

    const broken = await run('get-token', { globals: { fetch: answering(500) } })
    await eventually(() => broken.client.status === 'waiting')
    t.match(broken.client.outage, { message: 'HTTP 500' })
    t.match(reported().at(-1)!.args, [{ message: 'HTTP 500' }])
  })

  t.test('the snippet with a type of its own shows the first message of that type', async t => {
    const { app, run } = await serving(t)
    const { lines, console } = recorded()
    const { client } = await run('listen', { globals: { console } })
    let received = 0
    client.on('order_shipped', () => { received++ })
    await client.connected()
    for (const id of ['o1', 'o2']) await app.ws.sendToUser('ada', { type: 'order_shipped', data: { order_id: id, carrier: 'post' } })
    await eventually(() => received === 2)
    t.equal(lines.length, 1)
    t.match(lines[0], /^o1 \d{4}-/)
  })

  t.test('the snippet that sends says whether the message was handled', async t => {
    const { opened, open } = gate()
    t.teardown(() => open())
    const { run } = await serving(t, {
      onMessage: {
        async vote ({ data }) {
          const { choice } = data as { choice: number }
          if (choice === 2) await opened
          if (choice === 3) throw new Error('there is no third choice')
        }
      }
    })
    const { vote } = await run('send')
    t.equal(await vote(1), 'Counted')
    t.equal(await vote(3), 'Not counted: handler_failed')
    const hurried = await run('send', { replace: { '5_000': '20' } })
    t.equal(await hurried.vote(2), 'No answer yet')
  })

  t.test('the snippet with a channel shows its messages and its states, and unsubscribes', async t => {
    const { app, run } = await serving(t, {
      channels: { board: defineChannel({ authorize: (_identity, { id }) => id !== 'secret' }) }
    })
    t.capture(console, 'error')
    const { lines, console: shown } = recorded()
    const { client, show } = await run('channel', { globals: { console: shown } })
    const close = show('b1')
    await eventually(() => lines.includes('b1 open'))
    const { timestamp } = await app.ws.channel('board', 'b1').send({ type: 'card_moved' })
    await eventually(() => lines.includes(`board:b1 ${timestamp}`))
    show('secret')
    await eventually(() => lines.includes('secret forbidden'))
    close()
    show('b2')
    await eventually(() => lines.includes('b2 open'))
    client.close()
    await eventually(() => lines.includes('b2 closed'))
    client.reopen()
    await eventually(() => lines.filter(line => line === 'b2 open').length === 2)
    t.equal(lines.includes('b1 closed'), false, 'a channel that is closed has no listeners')
    t.equal(lines.includes('secret closed'), false, 'and one that the server closed keeps its reason')
  })

  t.test('the snippet that shows who is here follows a board, and shows the others a card', async t => {
    const { run, url } = await serving(t, {
      channels: { board: defineChannel({ authorize: () => true, presence: { data: Type.Object({ card: Type.String() }) } }) }
    })
    const { lines, console } = recorded()
    const { follow } = await run('presence', { globals: { console } })
    const { point, close } = follow('b1')
    t.teardown(close)
    await eventually(() => lines.includes('1 ada now'))
    const other = module.createClient({ baseUrl: `${url}/ws`, userId: 'bob', WebSocket: WebSocket as module.WebSocketConstructor })
    t.teardown(() => other.close())
    const { presence } = other.channel('board', 'b1')
    await eventually(() => lines.includes('2 ada,bob now'))
    point('c1')
    await eventually(() => presence.members[0]?.connections[0].data !== undefined)
    t.match(presence.members[0], { userId: 'ada', connections: [{ data: { card: 'c1' } }] })
    other.close()
    await eventually(() => lines.at(-1) === '1 ada now')
  })

  t.test('the snippet that shows the state says that the client was closed, and opens it again', async t => {
    t.capture(console, 'error')
    const { app, run } = await serving(t)
    const state = { textContent: '' }
    let click = () => {}
    const retry = { hidden: false, addEventListener: (_type: string, listener: () => void) => { click = listener } }
    const document = { querySelector: (selector: string) => selector === '#state' ? state : retry }
    await run('state', { globals: { document } })
    t.equal(state.textContent, 'Connecting')
    await eventually(() => state.textContent === 'Connected')
    t.equal(retry.hidden, true)
    app.ws.disconnectUser('ada')
    await eventually(() => state.textContent === 'Disconnected')
    t.equal(retry.hidden, false)
    click()
    await eventually(() => state.textContent === 'Connected')
    t.equal(retry.hidden, true)
  })

  t.test('two tabs with the snippet that shares have one connection, and both show a message', async t => {
    Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { locks: new FakeLocks() } })
    t.teardown(() => { Reflect.deleteProperty(globalThis, 'navigator') })
    const { app, run, notify } = await serving(t)
    const tabs = [recorded(), recorded()]
    for (const { console } of tabs) {
      const { client } = await run('share', { globals: { console } })
      await client.connected()
    }
    t.equal(app.ws.stats().connections, 1)
    await notify('Hello')
    await eventually(() => tabs.every(({ lines }) => lines.length === 1))
    t.strictSame(tabs.map(({ lines }) => lines), [['Hello'], ['Hello']])
  })

  t.test('the snippet for React Native wakes the client when the app is in front', async t => {
    let change = (_state: string) => {}
    const key = Symbol.for('AppState of the documentation')
    Object.assign(globalThis, { [key]: { addEventListener: (_type: string, listener: typeof change) => { change = listener } } })
    t.teardown(() => { Reflect.deleteProperty(globalThis, key) })
    const native = encodeURIComponent(`export const AppState = globalThis[Symbol.for("${key.description}")]`)
    const { run } = await serving(t)
    const { client } = await run('react-native', { replace: { "'react-native'": `'data:text/javascript,${native}'` } })
    await client.connected()
    let wakes = 0
    client.wake = () => { wakes++ }
    change('background')
    t.equal(wakes, 0)
    change('active')
    t.equal(wakes, 1)
  })

  t.test('the snippet for Node sends its token, and shows messages until it is closed', async t => {
    t.capture(console, 'error')
    process.env.REALTIME_TOKEN = 'secret'
    t.teardown(() => { delete process.env.REALTIME_TOKEN })
    const { app, run } = await serving(t, { authenticate: request => tokenOf(request) === 'secret' ? { userId: 'worker_1' } : null })
    const shown: unknown[] = []
    const ended = run('node', { globals: { console: { log: (data: unknown) => shown.push(data) } } })
    await eventually(() => app.ws.isOnline('worker_1'))
    await app.ws.sendToUser('worker_1', { type: 'task_update', data: { task_id: 't1' } })
    await eventually(() => shown.length === 1)
    t.strictSame(shown, [{ task_id: 't1' }])
    app.ws.disconnectUser('worker_1')
    t.equal((await ended).client.status, 'closed')
  })
})

t.test('the table of options has all options of the client', async t => {
  t.strictSame(namesOf(page.table('## Options', '| Option | Default | Meaning |')), declared.membersOf('ClientOptions'))
})

t.test('the table of statuses has all of them', async t => {
  t.strictSame(namesOf(page.table('## Show the state of the connection', '| `client.status` | Meaning |')), declared.textsOf('Status'))
})

t.test('the table of members has all public members of a client', async t => {
  t.strictSame(namesOf(page.table('## Members of a client', '| Member | Meaning |')), declared.membersOf('RealtimeClient'))
})

t.test('the table of members of a channel has all public members', async t => {
  t.strictSame(namesOf(page.table('## Channels', '| Member | Meaning |')), new Declared('client/channels/channel').membersOf('Channel'))
})

t.test('the table of the presence in a channel has all public members', async t => {
  t.strictSame(namesOf(page.table('### Who is here', '| Presence | Meaning |')), declared.membersOf('ChannelPresence'))
})

t.test('the table of errors has all codes of the client and of the close codes that it knows by name', async t => {
  const folder = join(root, 'lib/client')
  const texts = readdirSync(folder).filter(file => file.endsWith('.ts')).map(file => readFileSync(join(folder, file), 'utf8'))
  const own = texts.flatMap(text => [...text.matchAll(/new RealtimeError\('(\w+)'/g)].map(([, code]) => code))
  const ofCloses = Object.keys(ownCodes).map(name => name === 'NORMAL' ? 'closed' : name.toLowerCase())
  t.strictSame(namesOf(page.table('## Handle outages and errors', '| Code | Meaning |')), [...new Set([...own, ...ofCloses, 'lost'])].sort())
})

t.test('the page names all that the module exports', async t => {
  const [, names] = /^The module exports (.*),/m.exec(page.text)!
  t.strictSame([...names.matchAll(/`(\w+)`/g)].map(([, name]) => name).sort(), Object.keys(module).sort())
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })
