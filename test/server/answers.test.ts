import fc from 'fast-check'
import t from 'tap'
import { Answers, type Answer } from '../../lib/server/answers.js'

const failed: Answer = { code: 'handler_failed', message: 'it failed' }

/** A handler, and how often it ran. */
function counting (answer?: Answer) {
  const handler = { runs: 0, handle: async () => { handler.runs++; return answer } }
  return handler
}

t.test('the same message is handled once, and gets the same answer', async t => {
  const answers = new Answers()
  const good = counting()
  const bad = counting(failed)
  for (let n = 0; n < 3; n++) {
    t.equal(await answers.once('a', 'good', n, good.handle), undefined)
    t.equal(await answers.once('a', 'bad', n, bad.handle), failed, 'a failure is not tried again')
  }
  t.strictSame([good.runs, bad.runs, answers.size], [1, 1, 2])
})

t.test('while it is being handled it waits for the one answer', async t => {
  const answers = new Answers()
  let finish = (_answer: Answer) => {}
  const first = answers.once('a', 'r', 0, () => new Promise(resolve => { finish = resolve }))
  const again = counting()
  const second = answers.once('a', 'r', 1, again.handle)
  finish(failed)
  t.strictSame(await Promise.all([first, second]), [failed, failed])
  t.equal(again.runs, 0)
})

t.test("one user's are not another's", async t => {
  const answers = new Answers()
  const one = counting()
  const messages = [['u1', 'user:u1 r'], ['u2', 'user:u2 r'], ['u1', 'chat:w/a/c/u1 r'], ['u1', 'user:u1 R']]
  for (const [user, key] of messages) await answers.once(user, key, 0, one.handle)
  t.equal(one.runs, messages.length)
})

t.test('after five minutes it is a new one', async t => {
  const answers = new Answers()
  const { handle } = counting()
  const again = counting()
  await answers.once('a', 'r', 1_000, handle)
  await answers.once('a', 'r', 300_999, again.handle)
  t.equal(again.runs, 0, 'and coming again does not make it younger')
  await answers.once('a', 'r', 301_000, again.handle)
  t.equal(again.runs, 1)
  t.equal(answers.size, 1)
})

t.test('what takes long is not forgotten while it runs', async t => {
  const answers = new Answers(600_000)
  const again = counting()
  answers.once('a', 'r', 0, () => new Promise(() => {}))
  answers.once('a', 'r', 899_999, again.handle)
  t.equal(again.runs, 0)
  answers.once('a', 'r', 900_000, again.handle)
  t.equal(again.runs, 1)
})

t.test('so many of a user, whatever they are for', async t => {
  const answers = new Answers(0, { perUser: 100, inAll: 20_000 })
  const other = counting()
  const first = counting()
  const second = counting()
  await answers.once('other', 'r', 0, other.handle)
  await answers.once('a', 'chat0 0', 0, first.handle)
  await answers.once('a', 'chat1 1', 0, second.handle)
  // More than fit in all, if each were counted.
  for (let n = 2; n <= 30_000; n++) {
    await answers.once('a', `chat${n} ${n}`, 0, async () => undefined)
    if (n === 99) await answers.once('a', 'chat0 0', 0, first.handle)
    if (n === 100) await answers.once('a', 'chat1 1', 0, second.handle)
  }
  t.strictSame([first.runs, second.runs], [1, 1], 'kept while there are no more')
  await answers.once('a', 'chat1 1', 0, second.handle)
  t.equal(second.runs, 2, 'the oldest has made room')
  t.equal(answers.size, 101)
  await answers.once('other', 'r', 0, other.handle)
  t.equal(other.runs, 1, "and nobody else's")
})

t.test('so many in all', async t => {
  const answers = new Answers(0, { perUser: 10, inAll: 200 })
  const first = counting()
  const last = counting()
  await answers.once('first', 'r', 0, first.handle)
  for (let n = 0; n < 200; n++) await answers.once(`u${n}`, 'r', 0, async () => undefined)
  t.equal(answers.size, 200)
  await answers.once('u199', 'r', 0, last.handle)
  t.equal(last.runs, 0)
  await answers.once('first', 'r', 0, first.handle)
  t.equal(first.runs, 2)
  await answers.once('late', 'r', 300_000, async () => undefined)
  t.equal(answers.size, 1)
})

t.test('what is still being handled does not make room', async t => {
  const answers = new Answers(0, { perUser: 3, inAll: 5 })
  const again = counting()
  answers.once('a', 'running', 0, () => new Promise(() => {}))
  for (const user of ['a', 'b', 'c']) for (let n = 0; n < 10; n++) await answers.once(user, String(n), 0, async () => undefined)
  answers.once('a', 'running', 0, again.handle)
  t.equal(again.runs, 0)
  t.equal(answers.size, 5)
})

t.test('as a list that is looked through would do it', async t => {
  const message = fc.record({ sender: fc.constantFrom('a', 'b'), ref: fc.integer({ min: 0, max: 130 }), wait: fc.constantFrom(0, 0, 0, 1, 2_000, 100_000) })
  await fc.assert(fc.asyncProperty(fc.array(message, { minLength: 100, maxLength: 500 }), async messages => {
    const answers = new Answers(0, { perUser: 100, inAll: 20_000 })
    let list: Array<{ sender: string, ref: number, at: number }> = []
    let now = 0
    for (const { sender, ref, wait } of messages) {
      now += wait
      list = list.filter(({ at }) => now - at < 300_000)
      const isKnown = list.some(kept => kept.sender === sender && kept.ref === ref)
      const ofSender = list.filter(kept => kept.sender === sender)
      if (!isKnown && ofSender.length === 100) list.splice(list.indexOf(ofSender[0]), 1)
      if (!isKnown) list.push({ sender, ref, at: now })
      let hasRun = false
      await answers.once(sender, String(ref), now, async () => { hasRun = true; return undefined })
      if (hasRun === isKnown || answers.size !== list.length) return false
    }
    return true
  }), { numRuns: 100 })
  t.pass()
})
