import t from 'tap'
import { broadcastKind, notificationsPath, userChannel, userKind } from '../../lib/notifications/kinds.js'

t.test("a connection to a user's notifications reads the user's channel, then the broadcast channel", async t => {
  t.strictSame(notificationsPath.channelsOf({ kind: 'notifications', userId: 'ada' }), ['user:ada', 'broadcast'])
  t.strictSame(notificationsPath.kinds, [userKind, broadcastKind])
})

t.test('the path of notifications contains one user id', async t => {
  const { parse } = notificationsPath
  t.strictSame(parse(['notifications', 'ada']), { kind: 'notifications', userId: 'ada' })
  for (const wrong of ['', '.', 'a b', 'a/b', 'x'.repeat(129)]) t.equal(parse(['notifications', wrong]), 'invalid', wrong)
  for (const other of [[], ['notifications'], ['notifications', 'ada', 'x'], ['other', 'ada']]) t.equal(parse(other), undefined, other.join('/'))
})

t.test('userChannel throws RT_ERR_INVALID_ID for an invalid user id, and each user has a channel of their own', async t => {
  t.throws(() => userChannel('a/b'), { code: 'RT_ERR_INVALID_ID' })
  t.not(userChannel('ada'), userChannel('bob'))
  t.equal(userKind.ownerOf!(userChannel('user:x')), 'user:x')
})
