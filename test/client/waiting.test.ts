import { mock } from 'node:test'
import t from 'tap'
import { after } from '../../lib/client/clock.js'
import { closedError, RealtimeError } from '../../lib/client/error.js'
import { whenOpen, type ConnectedOptions } from '../../lib/client/waiting.js'
import { fakeClient } from '../../lib/testing/index.js'
import { Source } from './source.js'
import { loopTurns } from '../waiting.js'

const wait = (source: Source, options: ConnectedOptions = {}) => whenOpen(source, options, { after, closedError, RealtimeError })

t.test('connected() rejects after its timeout, and names the outage', async t => {
  const client = fakeClient('waiting')
  client.outage = new Error('the server is down')
  await t.rejects(client.connected({ timeout: 5 }), { code: 'timeout', message: /5 ms.*the server is down/ })
  client.setStatus('open')
  await client.connected({ timeout: 0 })
})

t.test('connected() rejects with the reason of its signal, at once or later', async t => {
  const client = fakeClient('connecting')
  const aborting = new AbortController()
  const waiting = client.connected({ signal: aborting.signal })
  aborting.abort(new Error('enough'))
  await t.rejects(waiting, { message: 'enough' })
  await t.rejects(client.connected({ signal: aborting.signal }), { message: 'enough' })
})

t.test('connected() rejects with the close of the client', async t => {
  const client = fakeClient('connecting')
  const waiting = client.connected()
  client.setStatus('closed', 4403)
  await t.rejects(waiting, { code: 'forbidden', closed: { code: 4403, reason: '', name: 'FORBIDDEN' } })
})

t.test('without a timeout a wait lasts until the connection is open, and leaves no listener', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const source = new Source()
  let isOpen = false
  const waiting = wait(source).then(() => { isOpen = true })
  mock.timers.tick(1_000_000_000)
  await loopTurns()
  t.strictSame([isOpen, source.listening], [false, 1])
  source.become('open')
  await waiting
  t.equal(source.listening, 0)
})

t.test('a timeout of 0 rejects a wait for a connection that is not open, with or without an outage', async t => {
  await t.rejects(wait(new Source(), { timeout: 0 }), { code: 'timeout' })
})

t.test('a wait that is over has no timer', async t => {
  const { mock: cleared } = mock.method(globalThis, 'clearTimeout')
  t.teardown(() => cleared.restore())
  const source = new Source()
  source.become('open')
  await wait(source, { timeout: 60_000 })
  t.ok(cleared.calls.some(({ arguments: [timer] }) => timer !== undefined))
})
