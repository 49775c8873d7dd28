import t from 'tap'
import { cursors } from '../../../lib/client/cursors.js'
import { recent as make, type Recent } from '../../../lib/client/sharing/recent.js'

function recentOf (...envelopes: Array<{ type?: string, id?: string, data?: object }>): Recent {
  const recent = make(cursors)
  hear(recent, ...envelopes)
  return recent
}

function hear (recent: Recent, ...envelopes: Array<{ type?: string, id?: string, data?: object }>): void {
  for (const envelope of envelopes) recent.hear({ type: 'notification', timestamp: '', ...envelope }, `${envelope.id}`)
}

const ack = (position: string, recovered?: boolean) => ({ type: 'connection_ack', data: { position, recovered } })
const ids = (...offsets: number[]) => offsets.map(offset => ({ id: `u.e.${offset}` }))

t.test('another reader gets the frames after its positions', async t => {
  const recent = recentOf(ack('u.e.3,b.f.0'), ...ids(4, 5), { id: 'b.f.1' }, { type: 'pong' })
  t.equal(recent.position, 'u.e.5,b.f.1')
  t.strictSame(recent.after('u.e.3,b.f.0'), ['u.e.4', 'u.e.5', 'b.f.1'])
  t.strictSame(recent.after('u.e.4,b.f.1'), ['u.e.5'])
  t.strictSame(recent.after('u.e.5,b.f.1'), [])
  t.strictSame(recent.after('u.e.9,b.f.0'), ['b.f.1'], 'the reader is ahead in one label')
})

t.test('a reader gets no frames at all when some of them are missing', async t => {
  const recent = recentOf(ack('u.e.3,b.f.0'), ...ids(4))
  for (const since of ['u.e.2,b.f.0', 'u.old.4,b.f.0', 'u.e.4', '0', 'nonsense']) t.equal(recent.after(since), undefined, since)
})

t.test('the next connection continues if it recovered, and otherwise starts over', async t => {
  const recent = recentOf(ack('u.e.3'), ...ids(4))
  hear(recent, ack('u.e.4', true), ...ids(4, 5))
  t.strictSame(recent.after('u.e.3'), ['u.e.4', 'u.e.5'])
  hear(recent, ack('u.e.7', false), ...ids(8))
  t.equal(recent.after('u.e.5'), undefined)
  t.strictSame(recent.after('u.e.7'), ['u.e.8'])
  hear(recent, { type: 'resync', data: { position: 'u.g.0' } }, { id: 'u.g.1' })
  t.equal(recent.after('u.e.8'), undefined)
  t.strictSame(recent.after('u.g.0'), ['u.g.1'])
})

t.test('the latest 200 publications are kept', async t => {
  const recent = recentOf(ack('u.e.0'), ...ids(...Array.from({ length: 250 }, (_, n) => n + 1)))
  t.equal(recent.after('u.e.49'), undefined)
  t.equal(recent.after('u.e.50')!.length, 200)
})
