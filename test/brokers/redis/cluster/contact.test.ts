import t from 'tap'
import { Contact } from '../../../../lib/brokers/redis/cluster/contact.js'

t.test('the nodes are known from a beat until Redis has not answered for 1.5 s', async t => {
  const contact = new Contact()
  contact.onPulse(0)
  t.strictSame([contact.isKnown, contact.check(10_000)], [false, false], 'a pulse names no nodes')
  t.equal(contact.onBeat(10_000), Infinity)
  contact.onPulse(11_000)
  t.strictSame([contact.check(12_499), contact.isKnown], [false, true])
  t.strictSame([contact.check(12_500), contact.isKnown, contact.check(12_500)], [true, false, false])
  contact.onPulse(13_000)
  t.notOk(contact.isKnown)
  t.equal(contact.onBeat(13_100), 3_100)
  t.ok(contact.isKnown)
})
