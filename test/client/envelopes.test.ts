import t from 'tap'
import { envelopesOf } from '../../lib/client/envelopes.js'
import { Source } from './source.js'
import { loopTurns } from '../waiting.js'

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
  await loopTurns()
  t.strictSame(got, [1, 2, 3])
  source.become('waiting')
  await loopTurns()
  source.push(4, 5)
  source.become('closed')
  await loop
  t.strictSame(got, [1, 2, 3, 4, 5])
  t.equal(source.listening, 0)
})

t.test('a waiting loop ends when the client is closed, and a loop that is left has no listener', async t => {
  const source = new Source()
  const waiting = envelopesOf(source).next()
  await loopTurns()
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
