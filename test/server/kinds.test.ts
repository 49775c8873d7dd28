import fc from 'fast-check'
import t from 'tap'
import { chatChannel, type ChatAddress } from '../../lib/chat/address.js'
import { broadcastChannel, broadcastKind, notificationsPath, userChannel, userKind } from '../../lib/notifications/kinds.js'
import { isId } from '../../lib/protocol/ids.js'
import { Kinds } from '../../lib/server/kinds.js'
import { kinds } from '../kinds.js'

const id = fc.string({ unit: fc.constantFrom(...'aA0_.@:+~|-'), minLength: 1, maxLength: 6 }).filter(isId)
const address: fc.Arbitrary<ChatAddress> = fc.record({ workflow: id, appId: id, chatId: id, userId: id }, { noNullPrototype: true })

/** Target of the segments of a URL, with its channels and their labels. */
function parsed (...segments: string[]) {
  const { path, target } = kinds.parse(segments) ?? {}
  if (path === undefined || target === undefined || target === 'invalid') return target
  return { target, channels: path.channelsOf(target), labels: path.kinds.map(({ label }) => label).join('') }
}

t.test('each path has its target, with channels named after its ids and labels of their kinds', async t => {
  t.strictSame(parsed('notifications', 'u'), { target: { kind: 'notifications', userId: 'u' }, channels: ['user:u', 'broadcast'], labels: 'ub' })
  t.strictSame(parsed('w', 'a', 'c', 'u'), {
    target: { kind: 'chat', workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' }, channels: ['chat:w/a/c/u'], labels: 'c'
  })
})

t.test('segments of a URL give a target, invalid if an id is invalid, or undefined if no path matches', async t => {
  t.equal(parsed('notifications', 'a b'), 'invalid')
  for (const wrong of ['', '.', '..']) t.equal(parsed('notifications', wrong), 'invalid')
  t.equal(parsed('notifications', 'a', 'c', 'u'), 'invalid', 'notifications is not the name of a workflow')
  for (const at of [0, 1, 2, 3]) {
    for (const wrong of ['', '.', '..', 'a b', 'x'.repeat(129)]) t.equal(parsed(...['w', 'a', 'c', 'u'].with(at, wrong)), 'invalid')
  }
  for (const segments of [[], ['notifications'], ['w', 'u'], ['w', 'a', 'u'], ['w', 'a', 'c', 'u', 'x']]) t.equal(parsed(...segments), undefined, segments.join('/'))
})

t.test('the beginning of the name of a channel determines its kind, and a channel without a kind throws', async t => {
  t.strictSame(['user:broadcast', 'broadcast', 'chat:user/a/c/u'].map(channel => kinds.of(channel).label), ['u', 'b', 'c'])
  for (const channel of ['board:b1', 'nothing', 'users:u', 'broadcast2', '']) t.throws(() => kinds.of(channel), { message: new RegExp(`'${channel}'`) })
})

t.test('a channel with a user is owned by that user for all ids, and a channel without a user is owned by itself', async t => {
  fc.assert(fc.property(address, address => {
    const { userId } = address
    return kinds.ownerOf(chatChannel(address)) === userId && kinds.ownerOf(userChannel(userId)) === userId
  }))
  for (const channel of [broadcastChannel, '~nodes', 'board:b1']) t.equal(kinds.ownerOf(channel), channel)
})

t.test('two kinds with the same name throw, and so do two kinds of one path with the same label', async t => {
  t.throws(() => new Kinds([userKind, { ...broadcastKind, name: 'user' }]), { message: /same name/ })
  const twin = { ...broadcastKind, label: 'u' as const }
  const path = { ...notificationsPath, kinds: [userKind, twin] }
  t.throws(() => new Kinds([userKind, twin], [path]), { message: /notifications.* same label/ })
  t.doesNotThrow(() => new Kinds([userKind, twin]), 'two kinds without a common path may have the same label')
})

t.test('find() returns the kind of a channel by the part before its first colon, and undefined if there is none', async t => {
  t.strictSame(['user:u', 'broadcast', 'broadcast:x', 'chat:w/a/c/u:1'].map(channel => kinds.find(channel)?.label), ['u', 'b', 'b', 'c'])
  for (const channel of ['board:b1', 'users:u', '', ':user', 'constructor', 'User:u']) t.equal(kinds.find(channel), undefined, channel)
})
