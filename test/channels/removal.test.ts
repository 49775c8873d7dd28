import fc from 'fast-check'
import t from 'tap'
import { removalOf, removedUser } from '../../lib/channels/removal.js'
import { Catalogue } from '../../lib/server/messages/catalogue.js'

t.test('an entry of a removal contains the user that it removes', async t => {
  t.doesNotThrow(() => fc.assert(fc.property(fc.string({ unit: 'binary', minLength: 1 }), userId => {
    const body = removalOf(userId)
    return removedUser(body) === userId && (JSON.parse(body) as { type: string }).type === 'unsubscribed'
  })))
})

t.test('no publication of the app is a removal, whatever its type and its data', async t => {
  const catalogue = new Catalogue({ messages: {}, strict: false, maxBytes: 1_000 })
  for (const message of [{ type: 'unsubscribe', data: { user_id: 'ada' } }, { type: 'note', data: { type: 'unsubscribed', data: { user_id: 'ada' } } }]) {
    const error = { code: 'RT_ERR_INVALID_MESSAGE' }
    t.throws(() => catalogue.encode({ ...message, type: 'unsubscribed' }), error)
    t.equal(removedUser(JSON.stringify(message)), undefined)
  }
  const { json } = catalogue.encode({ type: 'note', message: 'unsubscribed', data: { user_id: 'ada' } })
  t.equal(removedUser(json), undefined)
})
