import t from 'tap'
import { OwnConnections } from '../../lib/presence/own.js'
import { heapLeftBy } from '../leaks.js'

const noop = () => {}

t.test('a connection enters without data and leaves, and both are taken once', async t => {
  const own = new OwnConnections()
  own.enter('c1', 'ada')
  t.ok(own.hasChanged)
  t.strictSame(own.take(0), { present: [{ id: 'c1', user: 'ada', data: undefined }], gone: [] })
  t.notOk(own.hasChanged)
  own.leave('c1')
  own.leave('c1')
  t.strictSame(own.take(0), { present: [], gone: ['c1'] })
  t.equal(own.size, 0)
})

t.test('one that leaves before it was taken was never there', async t => {
  const own = new OwnConnections()
  own.enter('c1', 'ada')
  own.leave('c1')
  t.notOk(own.hasChanged)
  t.strictSame(own.take(0), { present: [], gone: [] })
})

t.test('one that leaves and enters again is present without data, and gone when it leaves again', async t => {
  const own = new OwnConnections()
  own.enter('c1', 'ada')
  own.update('c1', '1')
  own.take(0)
  own.leave('c1')
  own.enter('c1', 'ada')
  own.leave('c1')
  t.strictSame(own.take(0), { present: [], gone: ['c1'] })
})

t.test('data is taken at most five times a second, the last one, and equal data never', async t => {
  const own = new OwnConnections()
  own.enter('c1', 'ada')
  own.take(0)
  own.update('c1', '1')
  t.strictSame(own.take(0).present.map(({ data }) => data), ['1'])
  own.update('c1', '2')
  own.update('c1', '3')
  t.strictSame([own.take(199).present, own.hasChanged], [[], true])
  t.strictSame(own.take(200).present.map(({ data }) => data), ['3'])
  own.update('c1', '3')
  own.update('unknown', '3')
  t.notOk(own.hasChanged)
})

t.test('a connection replaces the one of its user that lingers for the longest time', async t => {
  const own = new OwnConnections()
  const cancelled: string[] = []
  for (const id of ['c1', 'c2']) own.enter(id, 'ada')
  for (const id of ['c1', 'c2']) own.linger(id, () => cancelled.push(id))
  own.enter('b1', 'bob')
  own.linger('b1', () => cancelled.push('b1'))
  own.take(0)
  own.enter('c3', 'ada')
  t.strictSame(own.take(0), { present: [{ id: 'c3', user: 'ada', data: undefined }], gone: ['c1'] })
  t.strictSame(cancelled, ['c1'])
  own.leave('c2')
  own.enter('c4', 'ada')
  t.strictSame(own.take(0).gone, ['c2'])
  t.strictSame([cancelled, own.size], [['c1', 'c2'], 3])
})

t.test('a connection that lingers and subscribes again replaces itself', async t => {
  const own = new OwnConnections()
  for (const id of ['c1', 'c2']) own.enter(id, 'ada')
  for (const id of ['c1', 'c2']) own.linger(id, noop)
  own.take(0)
  own.enter('c2', 'ada')
  t.strictSame(own.take(0), { present: [{ id: 'c2', user: 'ada', data: undefined }], gone: [] })
})

t.test('all connections are taken for a state, and have not changed then', async t => {
  const own = new OwnConnections()
  own.enter('c1', 'ada')
  own.enter('c2', 'bob')
  own.take(0)
  own.leave('c1')
  own.update('c2', '1')
  t.strictSame(own.takeAll(0), [{ id: 'c2', user: 'bob', data: '1' }])
  t.notOk(own.hasChanged)
})

t.test('nothing is left of 10,000 users whose connections have lingered', async t => {
  const own = new OwnConnections()
  const left = await heapLeftBy(() => {
    for (let n = 0; n < 10_000; n++) {
      own.enter(`c${n}`, `${n} ${'x'.repeat(500)}`)
      own.linger(`c${n}`, noop)
      own.leave(`c${n}`)
    }
  })
  t.equal(own.size, 0)
  t.ok(left < 2_000_000, `${left} bytes`)
})
