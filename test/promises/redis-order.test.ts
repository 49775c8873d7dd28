import { once } from 'node:events'
import t from 'tap'
import { forkChild } from '../children.js'
import { fixture } from '../process.js'
import { RedisServer, skipRedis } from '../redis-server.js'

/** Number of publications. With `FULL=1` it is the promised one. */
const total = process.env.FULL === '1' ? 1_000_000 : 40_000

interface Outcome { received: number, refused: number, told: number, disorder: number, orders: string[], ms: number, slowest: number }

t.test('publications of two nodes to the same users arrive on both in the same order, even when their clocks differ', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const nodes = ['a', 'b'].map((name, at) => {
    const task = { url, name, users: 50, publishers: 2, count: total / 2, total, ahead: at * 3_600_000 }
    const child = forkChild(fixture('redis-node.js'), [JSON.stringify(task)])
    t.teardown(() => child.kill('SIGKILL'))
    return child
  })
  await Promise.all(nodes.map(node => once(node, 'message')))
  const done = nodes.map(node => once(node, 'message'))
  for (const node of nodes) node.send('go')
  const outcomes = (await Promise.all(done)).map(([outcome]) => outcome as Outcome)
  for (const { received, refused, told, disorder } of outcomes) {
    t.strictSame({ received, refused, told, disorder }, { received: total, refused: 0, told: 0, disorder: 0 })
  }
  t.strictSame(outcomes[0].orders, outcomes[1].orders)
  t.comment(outcomes.map(({ ms, slowest }) => `${ms} ms, the slowest burst of 100 ${slowest} ms`).join('; '))
})
