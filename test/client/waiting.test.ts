import { mock } from 'node:test'
import t from 'tap'
import { envelopesOf, whenOpen } from '../../lib/client/waiting.js'
import type { Envelope } from '../../lib/client/index.js'
import { fakeClient } from '../../lib/testing/index.js'

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

/** The part of a client that can be waited for, with its listeners. */
class Source {
  status = 'connecting'
  closed: { code: number, reason: string, name: string } | undefined
  readonly listeners = new Set<(envelope: Envelope) => void>()
  readonly watchers = new Set<() => void>()

  on (type: '*', listener: (envelope: Envelope) => void) {
    if (type === '*') this.listeners.add(listener)
    return () => { this.listeners.delete(listener) }
  }

  onStatus (watcher: () => void) {
    this.watchers.add(watcher)
    return () => { this.watchers.delete(watcher) }
  }

  push (...numbers: number[]) {
    for (const data of numbers) for (const listener of this.listeners) listener({ type: 'n', data, timestamp: '' })
  }

  become (status: string) {
    this.status = status
    if (status === 'closed') this.closed = { code: 1000, reason: '', name: 'NORMAL' }
    for (const watcher of this.watchers) watcher()
  }

  get listening () {
    return this.listeners.size + this.watchers.size
  }
}

const settle = () => new Promise<void>(resolve => { setImmediate(resolve) })

t.test('without a timeout a wait lasts until the connection is open, and leaves no listener', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const source = new Source()
  let isOpen = false
  const waiting = whenOpen(source).then(() => { isOpen = true })
  mock.timers.tick(1_000_000_000)
  await settle()
  t.strictSame([isOpen, source.listening], [false, 1])
  source.become('open')
  await waiting
  t.equal(source.listening, 0)
})

t.test('a timeout of 0 rejects a wait for a connection that is not open, with or without an outage', async t => {
  await t.rejects(whenOpen(new Source(), { timeout: 0 }), { code: 'timeout' })
})

t.test('a wait that is over has no timer', async t => {
  const { mock: cleared } = mock.method(globalThis, 'clearTimeout')
  t.teardown(() => cleared.restore())
  const source = new Source()
  source.become('open')
  await whenOpen(source, { timeout: 60_000 })
  t.ok(cleared.calls.some(({ arguments: [timer] }) => timer !== undefined))
})

t.test('a loop gets each envelope since the call, in order and once, until the client is closed', async t => {
  const source = new Source()
  source.push(0)
  const envelopes = envelopesOf(source)
  source.push(1, 2)
  const got: unknown[] = []
  const loop = (async () => {
    for await (const { data } of envelopes) {
      got.push(data)
      if (data === 2) source.push(3)
    }
  })()
  await settle()
  t.strictSame(got, [1, 2, 3])
  source.become('waiting')
  await settle()
  source.push(4, 5)
  source.become('closed')
  await loop
  t.strictSame(got, [1, 2, 3, 4, 5])
  t.equal(source.listening, 0)
})

t.test('a waiting loop ends when the client is closed, and a loop that is left has no listener', async t => {
  const source = new Source()
  const waiting = envelopesOf(source).next()
  await settle()
  source.become('closed')
  t.strictSame(await waiting, { value: undefined, done: true })
  const left = new Source()
  const envelopes = envelopesOf(left)
  left.push(1)
  t.match(await envelopes.next(), { value: { data: 1 }, done: false })
  await envelopes.return()
  t.equal(left.listening, 0)
})

t.test('a loop continues when 10,000 envelopes wait, and one more throws a RealtimeError with the code too_slow', async t => {
  const numbers = Array.from({ length: 10_000 }, (_, n) => n)
  const source = new Source()
  const envelopes = envelopesOf(source)
  source.push(...numbers)
  source.become('closed')
  let count = 0
  for await (const { data } of envelopes) if (data === count) count++
  t.equal(count, 10_000)

  const flooded = new Source()
  const late = envelopesOf(flooded)
  flooded.push(...numbers, 10_000, 10_001)
  await t.rejects(late.next(), { code: 'too_slow', message: '10000 messages wait' })
  t.equal(flooded.listening, 0)
})
