import fc from 'fast-check'
import t from 'tap'
import { Keys } from '../../../lib/brokers/redis/keys.js'
import { isId } from '../../../lib/protocol/ids.js'
import { chatChannel } from '../../../lib/chat/address.js'
import { notificationsPath, userChannel } from '../../../lib/notifications/kinds.js'

const keys = new Keys('realtime:')

const id = fc.string({ unit: fc.constantFrom(...'abzAZ09_.@:+~|-'), minLength: 1, maxLength: 12 }).filter(isId)
const channel = fc.oneof(
  id.map(userChannel),
  fc.tuple(id, id, id, id).filter(([workflow]) => workflow !== 'notifications')
    .map(([workflow, appId, chatId, userId]) => chatChannel({ workflow, appId, chatId, userId })),
  // Names that no app can use, but that a caller may pass to a broker.
  fc.string({ unit: fc.constantFrom(...'ab:/{}*?[]\\ \n') })
)

/** Part of a key that decides its slot: between the first { and the first } after it (Redis Cluster specification). */
const tagOf = (key: string) => /\{([^}]+)\}/.exec(key)?.[1]

t.test('no two channels share a key', async t => {
  fc.assert(fc.property(channel, channel, (a, b) => (keys.stream(a) === keys.stream(b)) === (a === b)), { numRuns: 10_000 })
  const all = new Set(Array.from({ length: 10_000 }, (_, n) => keys.stream(userChannel(`${n}:${n % 7}`))))
  t.equal(all.size, 10_000)
})

t.test('all keys of a channel are in one slot, and none of them is a pattern', async () => {
  fc.assert(fc.property(channel, name => {
    const stream = keys.stream(name)
    const meta = keys.meta(stream)
    if (name !== '' && tagOf(stream) !== tagOf(meta)) return false
    return stream !== meta && /^realtime:\{[\w.-]*\}(:meta)?$/.test(meta) && /^[^*?[\]\\]+$/.test(stream)
  }), { numRuns: 5_000 })
})

t.test('chats whose joined ids are the same text have different keys', async t => {
  const chats = [
    { workflow: 'w', appId: 'a:b', chatId: 'c', userId: 'u' },
    { workflow: 'w', appId: 'a', chatId: 'b:c', userId: 'u' },
    { workflow: 'w', appId: 'a', chatId: 'b', userId: 'c:u' }
  ]
  t.equal(new Set(chats.map(chat => keys.stream(chatChannel(chat)))).size, 3)
  t.not(keys.stream('user:*'), keys.stream('user:a'))
  t.equal(keys.stream(notificationsPath.channelsOf({ kind: 'notifications', userId: 'a' })[1]), keys.stream('broadcast'))
})

t.test('the keys of presence, of claims and of all nodes differ from those of channels and from each other', async () => {
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => {
    const names = [keys.stream(a), keys.meta(keys.stream(a)), keys.presence(b), keys.claims(b), keys.shared('alive')]
    return new Set(names).size === names.length && names.every(name => /^realtime:\{.*\}/.test(name))
  }))
})

t.test('the keys that all nodes share are in one slot, and so are the keys that check permissions and the channel of the nodes', async t => {
  t.strictSame(['alive', 'dead'].map(name => keys.shared(name)), ['realtime:{~nodes}:alive', 'realtime:{~nodes}:dead'])
  const probes = ['hash', 'set'].map(name => keys.probe(name))
  t.equal(new Set([...probes, keys.nodes]).size, 3)
  t.strictSame(probes.map(tagOf), [tagOf(keys.nodes), tagOf(keys.nodes)])
  t.equal(keys.nodes, keys.stream('~nodes'))
})
