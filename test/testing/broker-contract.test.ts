import t from 'tap'
import { MemoryBroker } from '../../lib/brokers/memory.js'
import type { Broker } from '../../lib/brokers/broker.js'
import { brokerContract } from '../../lib/testing/index.js'

// test/brokers/memory.test.ts checks that each obligation detects a broker that breaks it.

const make = () => new MemoryBroker({ size: 100, ttl: 60_000, bytes: 64 * 1024 * 1024, lag: 4 * 1024 * 1024 })

t.test('each obligation has a unique name, and runs with any test runner', async t => {
  const names = brokerContract.map(({ name }) => name)
  t.ok(names.length > 5)
  t.strictSame([...new Set(names)], names)
  for (const { name, run } of brokerContract) await t.resolves(run(async () => make()), name)
})

t.test('a broker without methods meets no obligation', async t => {
  const nothing = {} as Broker
  for (const { name, run } of brokerContract) await t.rejects(run(() => nothing), name)
})

t.test('the contract detects a broker that loses every second publication', async t => {
  const makeForgetful = () => {
    const broker = make()
    const { publish } = broker
    let count = 0
    broker.publish = function (channel, body) {
      return count++ % 2 === 0 ? publish.call(this, channel, body) : { epoch: 'x', offset: count }
    }
    return broker
  }
  const outcomes = await Promise.allSettled(brokerContract.map(({ run }) => run(makeForgetful)))
  t.ok(outcomes.some(({ status }) => status === 'rejected'))
})
