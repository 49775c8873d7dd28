import t from 'tap'
import { pathOf } from '../../lib/protocol/paths.js'

t.test('a path has the ids of its route, each as one segment', async t => {
  t.equal(pathOf({ userId: 'ada' }), '/notifications/ada')
  t.equal(pathOf({ workflow: 'support', appId: 'shop', chatId: 'c1', userId: 'ada' }), '/support/shop/c1/ada')
  t.equal(pathOf({ userId: 'a|b@c:d' }), '/notifications/a%7Cb%40c%3Ad')
})
