// Shows that the rule of test/leaks.ts notices each kind of leak, and that a closed connection is garbage while its app lives.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mock } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { createClient } from '../lib/client/index.js'
import { after } from '../lib/client/clock.js'
import { closedError, RealtimeError } from '../lib/client/error.js'
import { whenOpen } from '../lib/client/waiting.js'
import { defineChannel, type Run } from '../lib/index.js'
import { Timers } from '../lib/time/timers.js'
import { FakeSocket } from './client/fake-socket.js'
import { as, authenticateByHeader, connect, start, type Client } from './harness.js'
import { countAlive, leaks } from './leaks.js'
import { root } from './root.js'
import { eventually, loopTurns } from './waiting.js'

t.test('a test fails that leaves a timer or a listener of the package, and the tests after it run', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'realtime-leaks-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'leaking.test.ts')
  writeFileSync(file, `
    import t from 'tap'
    import { Timers } from '${pathToFileURL(join(root, 'lib/time/timers.js'))}'
    t.test('leaves a timer', async () => { new Timers().after(60_000, () => {}) })
    t.test('leaves nothing', async () => { new Timers().after(60_000, () => {})() })
  `)
  const { status, stdout } = spawnSync(process.execPath, ['--import', './.ci/typescript/register.mjs', file], { encoding: 'utf8' })
  t.equal(status, 1)
  t.match(stdout, /^ +test: leaves a timer$/m)
  t.match(stdout, /^ok \d+ - leaves nothing/m)
  t.match(stdout, /^not ok \d+ - left at the end of the test: a timer at Timers\.after \(lib\/time\/timers\.ts/m)
})

t.test('a timer of the package is reported with its place until it fires or is cleared', async t => {
  const timers = new Timers()
  const cancel = timers.after(60_000, () => {})
  t.match(leaks(), [/^a timer at Timers\.after \(lib\/time\/timers\.[jt]s:\d+:\d+\)$/])
  cancel()
  t.strictSame(leaks(), [])
  timers.after(2, () => {})
  t.equal(leaks().length, 1)
  await eventually(() => leaks().length === 0)
})

t.test('a timer on a mocked clock is reported too, and one of the test is not', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  FakeSocket.made = []
  const client = createClient({ url: 'ws://a.example/ws/notifications/u1', WebSocket: FakeSocket })
  const own = setTimeout(() => {}, 60_000) // Not of the package.
  t.match(leaks(), [/^a timer at after \(lib\/client\/clock\.[jt]s.+ at #connect \(lib\/client\/client\.[jt]s/])
  client.close()
  t.strictSame(leaks(), [])
  clearTimeout(own)
})

t.test('a listener of the package is reported until it is removed', async t => {
  const source = { status: 'connecting', closed: undefined, on: () => () => {}, onStatus: () => () => {} }
  const { signal } = new AbortController()
  signal.addEventListener('abort', () => {})
  const stop = new AbortController()
  const waiting = whenOpen(source, { signal: stop.signal }, { after, closedError, RealtimeError })
  t.match(leaks(), [/^a listener for 'abort' at lib\/client\/waiting\.[jt]s/])
  stop.abort(new Error('enough'))
  await t.rejects(waiting, { message: 'enough' })
  t.strictSame(leaks(), [])
})

t.test('an object is counted as long as something refers to it', async t => {
  const held = [{}]
  const objects = held.map(object => new WeakRef(object))
  t.equal(countAlive(objects), 1)
  held.pop()
  // An object that was read from a WeakRef lives until the end of the turn.
  await loopTurns()
  t.equal(countAlive(objects), 0)
})

/** An app that uses a connection in every way, and weak references to the sockets of its connections. */
async function used (t: Parameters<typeof start>[0]) {
  const board = defineChannel({
    authorize: () => true,
    presence: true,
    answers: { move: Type.Object({ by: Type.String() }) },
    onMessage: { move: async (_message, { connection }) => ({ by: connection.userId }) }
  })
  const { app, url } = await start(t, {
    channels: { board },
    authenticate: request => {
      const identity = authenticateByHeader(request)
      return identity && { ...identity, expiresAt: new Date(Date.now() + 3_600_000) }
    },
    renew: token => ({ userId: token, expiresAt: new Date(Date.now() + 7_200_000) }),
    onConnect: async () => {},
    onDisconnect: async () => {},
    onMessage: { hit: async () => {} },
    chat: {
      presence: true,
      onMessage: async (run: Run, { content }) => {
        if (content === 'ask') await run.ask({ prompt: 'Sure?', schema: Type.Boolean() }, { timeout: 600_000 })
        await run.reply().end()
      }
    }
  })
  const sockets: Array<WeakRef<object>> = []
  app.websocketServer.on('connection', socket => { sockets.push(new WeakRef(socket)) })
  return { app, url, sockets }
}

/** Resolves when the server has forgotten all connections, and their sockets are closed. */
async function ended ({ app }: Awaited<ReturnType<typeof used>>): Promise<void> {
  await eventually(() => app.websocketServer.clients.size === 0 && app.ws.stats().connections === 0)
  // Node still refers to a closed socket in the turn of its 'close' event.
  await loopTurns(3)
}

const uses: Record<string, { path?: string, use: (client: Client) => Promise<unknown> }> = {
  'that only listened': { use: async () => {} },
  'that subscribed to channels with presence': {
    use: async client => {
      client.send({ type: 'subscribe', data: { channels: [{ channel: 'board:b1' }, { channel: 'board:b2' }] } })
      await client.until(() => client.received.filter(({ type }) => type === 'presence').length === 2)
      client.send({ type: 'presence', ref: 'p', channel: 'board:b1', data: {} })
      client.send({ type: 'move', ref: 'm', channel: 'board:b1' })
      await client.until(() => client.received.some(({ ref }) => ref === 'm'))
      client.send({ type: 'unsubscribe', ref: 'u', data: { channels: ['board:b2'] } })
      await client.until(() => client.received.some(({ ref }) => ref === 'u'))
    }
  },
  'that renewed its credential': {
    use: async client => {
      client.send({ type: 'renew', ref: 'r', data: { token: 'ada' } })
      await client.next('renewed')
    }
  },
  'whose messages were handled and refused': {
    use: async client => {
      client.send({ type: 'hit', ref: 'a' })
      client.send('not JSON')
      client.send({ type: 'unknown', ref: 'b' })
      await client.until(() => client.received.filter(({ type }) => type === 'error').length === 2)
    }
  },
  'in a chat with an answered message and an open question': {
    path: '/ws/support/shop/c1/ada',
    use: async client => {
      for (const content of ['hello', 'ask']) client.send({ type: 'chat_message', ref: content, data: { message_id: content, content } })
      await client.next('input_request')
    }
  }
}

for (const [title, { path = '/ws/notifications/ada', use }] of Object.entries(uses)) {
  for (const [how, close] of [['closed', (client: Client) => client.socket.close(1000)], ['lost', (client: Client) => client.socket.terminate()]] as const) {
    t.test(`a ${how} connection ${title} is garbage while its app lives`, async t => {
      const server = await used(t)
      const client = await connect(t, server.url + path, as('ada'))
      await use(client)
      close(client)
      await ended(server)
      t.equal(server.sockets.length, 1)
      t.equal(countAlive(server.sockets), 0)
    })
  }
}
