import t from 'tap'
import { chain, chainResult, isPromise, isThenable } from '../../lib/time/awaitable.js'

const thenable = (value: unknown) => ({ then (resolve: (value: unknown) => void) { resolve(value) } })
const { proxy: revoked, revoke } = Proxy.revocable({}, {})
revoke()

t.test('chain() calls its function at once with a value, and later with the value of a promise', async t => {
  const calls: number[] = []
  const next = (value: number) => { calls.push(value); return value * 2 }
  t.equal(chain(1, next), 2)
  const later = chain(Promise.resolve(2), next)
  t.strictSame(calls, [1])
  t.equal(await later, 4)
  t.equal(await chain(Promise.resolve(3), async value => next(value)), 6)
  await t.rejects(async () => { await chain(Promise.reject(new Error('of the promise')), next) }, { message: 'of the promise' })
  t.throws(() => chain(1, () => { throw new Error('of the function') }), { message: 'of the function' })
})

t.test('chainResult() calls its function at once with a value that cannot be awaited, and later with the value of a promise of any library', async t => {
  const callable = Object.assign(() => {}, thenable('of a function'))
  const plain = () => {}
  const rows: Array<[unknown, unknown]> = [[Promise.resolve(1), 1], [thenable(2), 2], [callable, 'of a function'], [plain, plain]]
  for (const [returned, expected] of rows) {
    const calls: unknown[] = []
    const later = chainResult(returned, value => { calls.push(value); return 'next' })
    t.ok(isPromise(later))
    t.strictSame(calls, [])
    t.equal(await later, 'next')
    t.equal(calls[0], expected)
  }
  const throwing = { get then () { throw new Error('of the getter') } }
  for (const value of [undefined, null, 1, 'then', { then: 1 }, revoked, throwing]) {
    t.notOk(isThenable(value))
    chainResult(value, given => { t.equal(given, value) })
  }
})

t.test('a thenable whose then cannot be read the second time gives a rejected promise', async t => {
  let reads = 0
  const fickle = { get then () { if (++reads > 1) throw new Error('read again'); return () => {} } }
  await t.rejects(async () => { await chainResult(fickle, () => {}) }, { message: 'read again' })
})
