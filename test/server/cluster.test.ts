import { mock } from 'node:test'
import t from 'tap'
import { errors } from '../../lib/errors.js'
import { Cluster, subject } from '../../lib/server/cluster.js'
import { Timers } from '../../lib/time/timers.js'
import { FakeCluster } from '../fake-nodes.js'
import { loopTurns } from '../waiting.js'

const word = subject<unknown, undefined>('word')
const sum = subject<{ x: number, y: number }, unknown>('sum')
const nothing = subject<object, unknown>('nothing')
const slow = subject<object, string>('slow')

interface Scope {
  teardown (action: () => unknown): void
}

function clusters (t: Scope, count: number) {
  const bus = new FakeCluster()
  const timers = new Timers()
  t.teardown(() => timers.close())
  const logged: string[] = []
  const log = { error: (_fields: object, text: string) => logged.push(text) } as any
  const all = Array.from({ length: count }, () => new Cluster(bus.join(), timers, log))
  return { bus, logged, all }
}

t.test('a message from one node reaches all other nodes', async t => {
  const { all: [a, b, c] } = clusters(t, 3)
  const heard: unknown[] = []
  const both = new Promise<void>(resolve => {
    for (const [name, cluster] of Object.entries({ a, b, c })) cluster.on(word, data => { if (heard.push([name, data]) === 4) resolve() })
  })
  a.tell(word, 1)
  a.tell(word, { n: 2 })
  await both
  t.same(heard.toSorted(), [['b', 1], ['b', { n: 2 }], ['c', 1], ['c', { n: 2 }]])
})

t.test('ask() resolves with the first reply from another node', async t => {
  const { all: [a, b, c] } = clusters(t, 3)
  a.on(sum, () => 'never asked of oneself')
  b.on(sum, ({ x, y }) => x + y)
  c.on(sum, () => undefined)
  const mine = a.ask(sum, { x: 1, y: 2 })
  const other = c.ask(sum, { x: 3, y: 4 })
  t.equal(await mine, 3)
  t.match(await other, /7|never/)
})

t.test('ask() without a reply resolves with undefined 1.5 s after its request is sent, and rejects if it cannot be sent', async t => {
  const { all: [a], logged, bus } = clusters(t, 2)
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const asked = a.ask(nothing, {})
  // The 1.5 s start when the request is sent.
  mock.timers.tick(1_500)
  await loopTurns()
  mock.timers.tick(1_500)
  t.equal(await asked, undefined)

  bus.nodes[0].fault = new Error('gone')
  await a.tell(word, 1)
  t.strictSame(logged, ['realtime: a message to the other servers could not be sent'])
  await t.rejects(a.ask(nothing, {}), { message: 'gone' })
})

t.test('an error of a listener is logged, and so is a message that is not JSON', async t => {
  const { all: [a, b], logged, bus } = clusters(t, 2)
  const heard = new Promise(resolve => b.on(word, data => {
    if (data === 'good') return resolve(data)
    throw new Error('no')
  }))
  a.tell(word, 'bad')
  bus.nodes[0].tell('{')
  a.tell(word, 'good')
  await heard
  t.strictSame(logged, ['realtime: a message of another server could not be handled', 'realtime: a message of another server could not be handled'])
})

t.test('a closed cluster receives no messages', async t => {
  const { all: [a, b, c] } = clusters(t, 3)
  b.on(word, () => t.fail('the closed cluster received a message'))
  b.close()
  const heard = new Promise(resolve => c.on(word, resolve))
  a.tell(word, 1)
  await heard
})

t.test('ask() waits for a slow reply until the node of the reply is gone', async t => {
  const { all: [a, b], bus } = clusters(t, 2)
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const pass = async (ms: number) => {
    for (let at = 0; at < ms; at += 500) {
      mock.timers.tick(500)
      await loopTurns(3)
    }
  }
  const answers: Array<(answer: string) => void> = []
  b.on(slow, () => new Promise(resolve => answers.push(resolve)))
  const first = a.ask(slow, {})
  await pass(10_000)
  answers[0]('done')
  t.equal(await first, 'done')

  const second = a.ask(slow, {})
  await pass(2_000)
  bus.nodes[1].fault = new Error('gone')
  await pass(2_000)
  t.equal(await second, undefined)
})

t.test('a message that could not be sent is retried for 10 s, and a message that may have been sent is not retried', async t => {
  const { all: [a, b], bus, logged } = clusters(t, 2)
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const heard: unknown[] = []
  b.on(word, data => heard.push(data))
  const pass = async (ms: number) => {
    for (let at = 0; at < ms; at += 1_000) {
      await loopTurns()
      mock.timers.tick(1_000)
      await loopTurns()
    }
  }
  bus.nodes[0].fault = new errors.BROKER('away')
  a.tell(word, 1)
  await pass(3_000)
  bus.nodes[0].fault = undefined
  await pass(2_000)
  t.strictSame([heard, logged], [[1], []])
  bus.nodes[0].fault = new errors.UNCONFIRMED()
  a.tell(word, 2)
  await pass(1_000)
  t.equal(logged.length, 1)
  bus.nodes[0].fault = new errors.BROKER('away')
  a.tell(word, 3)
  await pass(12_000)
  t.equal(logged.length, 2)
  bus.nodes[0].fault = undefined
  await pass(2_000)
  t.strictSame(heard, [1])
})
