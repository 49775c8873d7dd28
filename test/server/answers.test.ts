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

t.test('what is still being handled does not make room', async t => {
  const answers = new Answers(0, 5)
  const again = counting()
  answers.once('a', 'running', 0, () => new Promise(() => {}))
  for (const user of ['a', 'b', 'c']) for (let n = 0; n < 10; n++) await answers.once(user, String(n), 0, async () => undefined)
  answers.once('a', 'running', 0, again.handle)
  t.equal(again.runs, 0)
  t.ok(answers.size <= 5)
})
