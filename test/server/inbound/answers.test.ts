import t from 'tap'
import { Answers, type Answer } from '../../../lib/server/inbound/answers.js'
import { Cluster } from '../../../lib/server/cluster.js'
import { Timers } from '../../../lib/time/timers.js'
import { FakeCluster } from '../../fake-nodes.js'
import { eventually, gate } from '../../waiting.js'
import { clockStart } from '../../clock.js'
import { heapLeftBy } from '../../leaks.js'

const done: Answer = {}
const failed: Answer = { fault: { code: 'handler_failed', message: 'it failed' } }

/** Handler that counts its calls, and notes whether each one is a retry. */
function counting (...results: Answer[]) {
  const handler = {
    runs: 0,
    retries: [] as boolean[],
    handle: async (isRetry: boolean) => {
      handler.retries.push(isRetry)
      return results[handler.runs++] ?? done
    }
  }
  return handler
}

t.test('a message that is sent again is handled once, and gets the same answer', async t => {
  const answers = new Answers()
  const good = counting()
  const bad = counting(failed)
  for (let n = 0; n < 3; n++) {
    t.equal(await answers.once('a', 'good', good.handle), done)
    t.equal(await answers.once('a', 'bad', bad.handle), failed, 'a failed message is not handled again')
  }
  t.strictSame([good.runs, bad.runs, answers.size], [1, 1, 2])
})

t.test('a message that may be retried is handled until it succeeds', async t => {
  const answers = new Answers()
  const { retries, handle } = counting(failed, failed, done)
  const got: Answer[] = []
  for (let n = 0; n < 5; n++) got.push(await answers.once('a', 'r', handle, true))
  t.strictSame(got, [failed, failed, done, done, done])
  t.strictSame(retries, [false, true, true])
})

t.test('a repetition of a message that is being handled waits for the answer to it', async t => {
  for (const mayRetry of [false, true]) {
    const answers = new Answers()
    const { opened, open } = gate<Answer>()
    const first = answers.once('a', 'r', () => opened, mayRetry)
    const again = counting()
    const second = answers.once('a', 'r', again.handle, mayRetry)
    open(failed)
    t.strictSame(await Promise.all([first, second]), [failed, failed])
    t.equal(again.runs, 0)
  }
})

t.test('messages with another user or another key are handled separately', async t => {
  const answers = new Answers()
  const one = counting()
  const messages = [['u1', 'user:u1 r'], ['u2', 'user:u2 r'], ['u1', 'chat:w/a/c/u1 r'], ['u1', 'user:u1 R']]
  for (const [user, key] of messages) await answers.once(user, key, one.handle)
  t.equal(one.runs, messages.length)
})

t.test('a message that is sent again after five minutes is handled again', async t => {
  let now = 1_000
  const answers = new Answers({ now: () => now })
  const again = counting()
  await answers.once('a', 'r', async () => done)
  now = 300_999
  await answers.once('a', 'r', again.handle)
  t.equal(again.runs, 0, 'a repetition does not prolong the five minutes')
  now = 301_000
  await answers.once('a', 'r', again.handle)
  t.equal(again.runs, 1)
  t.equal(answers.size, 1)
})

t.test('a message with a slow handler is remembered for the handler time plus five minutes', async t => {
  let now = clockStart
  const answers = new Answers({ handlerTime: 600_000, now: () => now })
  const again = counting()
  answers.once('a', 'r', () => new Promise(() => {}))
  now = clockStart + 899_999
  answers.once('a', 'r', again.handle)
  t.equal(again.runs, 0)
  now = clockStart + 900_000
  answers.once('a', 'r', again.handle)
  t.equal(again.runs, 1)
})

t.test('a message that is being handled is not removed to make room for others', async t => {
  const answers = new Answers({ size: 5 })
  const again = counting()
  answers.once('a', 'running', () => new Promise(() => {}))
  for (const user of ['a', 'b', 'c']) for (let n = 0; n < 10; n++) await answers.once(user, String(n), async () => done)
  answers.once('a', 'running', again.handle)
  t.equal(again.runs, 0)
  t.ok(answers.size <= 5)
})

const size = 100 * 1024
const large = (n: number): Answer => ({ data: String(n).repeat(size) })
const lost = { fault: { code: 'answer_lost' } }

t.test('answers of a user keep at most 256 KiB of data, and a repetition of an older message gets answer_lost', async t => {
  const answers = new Answers()
  const again = counting()
  const repeat = (key: string, user = 'a') => answers.once(user, key, again.handle)
  for (let n = 1; n <= 3; n++) t.strictSame(await answers.once('a', String(n), async () => large(n)), large(n), 'the first answer is complete')
  await answers.once('a', 'small', async () => ({ data: '7' }))
  await answers.once('b', '1', async () => large(1))
  t.match(await repeat('1'), lost)
  t.strictSame(await Promise.all([repeat('2'), repeat('3'), repeat('small'), repeat('1', 'b')]), [large(2), large(3), { data: '7' }, large(1)])
  for (let n = 4; n <= 5; n++) await answers.once('a', String(n), async () => large(n))
  t.match(await Promise.all(['1', '2', '3'].map(key => repeat(key))), [lost, lost, lost])
  t.strictSame(await repeat('5'), large(5))
  t.equal(again.runs, 0, 'no message is handled again')
})

t.test('an answer of more than 256 KiB reaches its client, and is not remembered', async t => {
  const answers = new Answers()
  const huge: Answer = { data: 'x'.repeat(256 * 1024 + 1) }
  t.equal(await answers.once('a', 'r', async () => huge), huge)
  t.match(await answers.once('a', 'r', async () => done), lost)
  t.strictSame(await answers.once('a', 's', async () => ({ data: '7' })), { data: '7' })
  t.strictSame(await answers.once('a', 's', async () => done), { data: '7' }, 'it takes no room')
})

t.test('the data of an answer is forgotten with the answer', async t => {
  let now = clockStart
  const answers = new Answers({ size: 4, now: () => now })
  for (const user of ['a', 'b', 'c', 'd', 'e']) await answers.once(user, 'r', async () => large(1))
  t.strictSame([answers.size, answers.dataSize], [4, 4 * size])
  now = clockStart + 300_000
  await answers.once('f', 'r', async () => ({ data: '7' }))
  t.strictSame([answers.size, answers.dataSize], [1, 1])
  // The answer of a handler that took longer than its message is remembered.
  const { opened, open } = gate<Answer>()
  const late = answers.once('g', 'r', () => opened)
  now = clockStart + 600_000
  await answers.once('h', 'r', async () => done)
  open(large(1))
  await late
  t.equal(answers.dataSize, 0)
})

t.test('several servers share their answers', async t => {
  const timers = new Timers()
  // The timers of a cluster do not keep the process running.
  const running = setInterval(() => {}, 1_000)
  t.teardown(() => {
    clearInterval(running)
    timers.close()
  })
  const log = { error () {} } as never

  /** Servers of one app, each with its answers. */
  function servers (count: number) {
    const shared = new FakeCluster()
    return Array.from({ length: count }, () => {
      const nodes = shared.join()
      return { nodes, answers: new Answers({ cluster: new Cluster(nodes, timers, log) }) }
    })
  }

  t.test('one server handles a message, and the other servers get its answer', async t => {
    for (const answer of [done, failed, { data: '7' }]) {
      const [a, b, c] = servers(3)
      const { opened, open } = gate<Answer>()
      const first = a.answers.once('u', 'r', () => opened)
      const other = counting()
      const second = b.answers.once('u', 'r', other.handle)
      open(answer)
      t.strictSame(await Promise.all([first, second]), [answer, answer])
      t.strictSame(await c.answers.once('u', 'r', other.handle), answer)
      t.equal(other.runs, 0)
    }
  })

  t.test('a message that failed on one server and may be retried is handled on the next one, and not again on the first', async t => {
    const [a, b] = servers(2)
    const first = counting(failed, done)
    const second = counting(done)
    t.strictSame(await a.answers.once('u', 'r', first.handle, true), failed)
    t.strictSame(await b.answers.once('u', 'r', second.handle, true), done)
    t.strictSame(second.retries, [true])
    t.strictSame(await a.answers.once('u', 'r', first.handle, true), done)
    t.equal(first.runs, 1)
  })

  t.test('a message whose claim was not confirmed is handled later by the same server, and by no other one', async t => {
    const [a, b] = servers(2)
    const { claim } = a.nodes
    a.nodes.claim = async (...parameters) => {
      await claim.apply(a.nodes, parameters)
      throw new Error('cut off')
    }
    const first = counting(done)
    t.match(await a.answers.once('u', 'r', first.handle, true), { fault: { code: 'handler_failed', message: /could not find out/ } })
    a.nodes.claim = claim
    t.strictSame(await a.answers.once('u', 'r', first.handle, true), done)
    t.strictSame(first.retries, [false], 'the first handling is not a retry')
    const other = counting(done)
    t.strictSame(await b.answers.once('u', 'r', other.handle, true), done)
    t.equal(other.runs, 0)
  })

  t.test('a message that is claimed by a server that is gone is not handled by another server', async t => {
    const [a, b] = servers(2)
    await a.nodes.claim('u', '["answer","u","r"]')
    const other = counting(done)
    for (let n = 0; n < 2; n++) {
      t.match(await b.answers.once('u', 'r', other.handle, true), { fault: { code: 'handler_failed', message: /no longer answers/ } }, 'every repetition gets the same error')
    }
    t.equal(other.runs, 0)
  })

  t.test('a message gets the answer of a server that did not reply before when it is sent again', async t => {
    const [a, b] = servers(2)
    t.strictSame(await a.answers.once('u', 'r', async () => done), done)
    a.nodes.fault = new Error('away')
    const other = counting()
    t.match(await b.answers.once('u', 'r', other.handle), { fault: { message: /no longer answers/ } })
    a.nodes.fault = undefined
    t.strictSame(await b.answers.once('u', 'r', other.handle), done)
    t.equal(other.runs, 0)
  })

  t.test('servers that get the same message at the same time do not wait for each other', async t => {
    const [a, b, c] = servers(3)
    await a.nodes.claim('u', '["answer","u","r"]')
    const other = counting()
    const both = [b, c].map(({ answers }) => answers.once('u', 'r', other.handle, true))
    t.match(await Promise.all(both), [{ fault: { code: 'handler_failed' } }, { fault: { code: 'handler_failed' } }])
    t.equal(other.runs, 0)
  })

  t.test('a message that fails on one server is handled by exactly one other server', async t => {
    const [a, b, c] = servers(3)
    const { opened, open } = gate<Answer>()
    const first = a.answers.once('u', 'r', () => opened, true)
    const second = counting()
    let asked = 0
    a.nodes.onTold(() => asked++)
    const others = [b, c].map(({ answers }) => answers.once('u', 'r', second.handle, true))
    await eventually(() => asked === 2)
    open(failed)
    t.strictSame(await first, failed)
    await Promise.all(others)
    t.strictSame(second.retries, [true])
  })

  t.test('data of an answer of another server counts, too', async t => {
    const [a, b] = servers(2)
    for (let n = 1; n <= 4; n++) {
      await a.answers.once('u', String(n), async () => large(n))
      t.strictSame(await b.answers.once('u', String(n), async () => done), large(n))
    }
    t.match(await b.answers.once('u', '1', async () => done), lost)
    t.strictSame(await b.answers.once('u', '4', async () => done), large(4))
  })

  t.test('a claim that could not be stored is retried, also for a message that may not be retried', async t => {
    const [a] = servers(1)
    a.nodes.fault = new Error('away')
    const handler = counting(done)
    t.match(await a.answers.once('u', 'r', handler.handle), { fault: { message: /could not find out/ } })
    a.nodes.fault = undefined
    t.strictSame(await a.answers.once('u', 'r', handler.handle), done)
    t.equal(handler.runs, 1)
  })
})

t.test('nothing is left of 10,000 users whose answers have expired', async t => {
  let now = clockStart
  const answers = new Answers({ now: () => now })
  const left = await heapLeftBy(async () => {
    for (let n = 0; n < 10_000; n++) await answers.once(`${n} ${'x'.repeat(500)}`, 'r', async () => ({ data: '7' }))
    now += 300_000
    await answers.once('a', 'r', async () => ({ data: '7' }))
  })
  t.equal(answers.size, 1)
  t.ok(left < 2_000_000, `${left} bytes`)
})
