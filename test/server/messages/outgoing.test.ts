import t from 'tap'
import { outgoing } from '../../../lib/server/messages/outgoing.js'

const maxBytes = 1_000

t.test('the fields of a message have the order in which they are sent, and undefined fields are left out', async t => {
  const timestamp = '2026-07-01T12:00:00.000Z'
  const given = { timestamp, message: 'm', data: { at: new Date(0), of: undefined }, action: 'created', type: 'other' }
  t.equal(JSON.stringify(outgoing(given, maxBytes)),
    `{"type":"other","action":"created","data":{"at":"1970-01-01T00:00:00.000Z"},"message":"m","timestamp":"${timestamp}"}`)
  t.strictSame(Object.keys(outgoing({ type: 'other', data: undefined, message: undefined }, maxBytes)), ['type'])
  class Shipped {
    get type () { return 'shipped' }
    get data () { return { id: 5 } }
  }
  t.strictSame(outgoing(new Shipped(), maxBytes), { type: 'shipped', data: { id: 5 } }, 'getters of a class of the app are fields, too')
})

t.test('a message without a type does not throw, because the schema checks the type', async t => {
  t.strictSame(outgoing({}, maxBytes), { type: undefined })
})

t.test('data is copied only for the given types, and for all types by default', async t => {
  const data = { id: 5 }
  t.equal(outgoing({ type: 'other', data }, maxBytes, new Map([['order', 1]])).data, data)
  t.not(outgoing({ type: 'order', data }, maxBytes, new Map([['order', 1]])).data, data)
  t.not(outgoing({ type: 'other', data }, maxBytes).data, data)
})

t.test('every invalid message throws an error with an RT_ERR code', async t => {
  const wrong = [
    5, null, undefined, 'text', () => {}, { type: 'a', to: 'b' }, { type: () => {} }, { type: 'a', data: 5n }, { get type () { throw new Error('of the app') } },
    new Proxy({}, { ownKeys () { throw null } }) // eslint-disable-line no-throw-literal
  ]
  for (const message of wrong) t.throws(() => outgoing(message as object, maxBytes), { code: 'RT_ERR_INVALID_MESSAGE' })
  for (const message of [5, null, 'text']) t.throws(() => outgoing(message as never, maxBytes), { message: /Expected an object, such as/ })
  for (const field of ['type', 'action', 'data', 'message', 'timestamp']) {
    t.throws(() => outgoing({ type: 'a', [field]: 5n }, maxBytes), { message: new RegExp(`/${field}`) }, field)
  }
  const unreadable = { get type () { throw new Error('of the app\nand more') } }
  t.throws(() => outgoing(unreadable, maxBytes), { message: /it cannot be read \(of the app\)/ })
  t.throws(() => outgoing({ type: 'a', to: 'b' }, maxBytes), { message: /\/to is not a field of a message.*'data'/ })
  t.throws(() => outgoing({ type: 'a', data: Array.from({ length: 501 }, () => 0) }, maxBytes), { code: 'RT_ERR_MESSAGE_TOO_LARGE' })
})
