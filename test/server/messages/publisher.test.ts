import { mock } from 'node:test'
import t from 'tap'
import { errors } from '../../../lib/errors.js'
import { chatKind } from '../../../lib/chat/kind.js'
import { broadcastKind, userKind } from '../../../lib/notifications/kinds.js'
import { Catalogue } from '../../../lib/server/messages/catalogue.js'
import { MessagePublisher, type MessagePublisherParts } from '../../../lib/server/messages/publisher.js'
import { Timers } from '../../../lib/time/timers.js'

type Publish = MessagePublisherParts['broker']['publish']

function setup (t: { teardown (action: () => void): void }, publish: Publish) {
  const timers = new Timers()
  t.teardown(() => timers.close())
  const stored: string[] = []
  const broker = {
    publish: (channel: string, body: string) => {
      stored.push(`${channel} ${body}`)
      return publish(channel, body)
    }
  } as MessagePublisherParts['broker']
  const catalogue = new Catalogue({ messages: {}, strict: false, maxBytes: 1_000 })
  return { publisher: new MessagePublisher({ broker, catalogue, timers, onUnheard: () => {} }), stored }
}

const message = { type: 'a', data: { n: 1 }, timestamp: '2026-01-01T00:00:00.000Z' }

t.test('publish() returns the receipt if the broker stores the message synchronously', async t => {
  const { publisher, stored } = setup(t, () => ({ epoch: 'e', offset: 7 }))
  t.strictSame(publisher.publish(userKind, 'user:u', message), { id: 'u.e.7', timestamp: message.timestamp })
  t.strictSame(stored, ['user:u {"type":"a","data":{"n":1},"timestamp":"2026-01-01T00:00:00.000Z"}'])
  t.match(publisher.publish(chatKind, 'chat:w/a/c/u', { type: 'a' }), { id: 'c.e.7', timestamp: /^20.*Z$/ })
})

t.test('publish() returns a promise of the receipt if the broker stores the message asynchronously', async t => {
  const { publisher } = setup(t, async () => ({ epoch: 'e', offset: 8 }))
  const receipt = publisher.publish(broadcastKind, 'broadcast', message)
  t.type(receipt, Promise)
  t.strictSame(await receipt, { id: 'b.e.8', timestamp: message.timestamp })
})

t.test('an invalid message is not stored, and a closed publisher stores no message', async t => {
  const { publisher, stored } = setup(t, () => ({ epoch: 'e', offset: 1 }))
  t.throws(() => publisher.publish(userKind, 'user:u', { type: '' }), { code: 'RT_ERR_INVALID_MESSAGE' })
  t.throws(() => publisher.publish(userKind, 'user:u', { type: 'a', data: 'x'.repeat(1_000) }), { code: 'RT_ERR_MESSAGE_TOO_LARGE' })
  publisher.close()
  t.throws(() => publisher.publish(userKind, 'user:u', message), { code: 'RT_ERR_CLOSING' })
  t.strictSame(stored, [])
})

t.test('an error of the broker becomes RT_ERR_BROKER, unless it has an RT_ERR code of its own', async t => {
  for (const thrown of [new Error('down'), 'down', undefined, { code: 'RT_ERR_NOT_AN_ERROR' }]) {
    t.throws(() => setup(t, () => { throw thrown }).publisher.publish(userKind, 'user:u', message), { code: 'RT_ERR_BROKER' })
    await t.rejects(async () => setup(t, async () => { throw thrown }).publisher.publish(userKind, 'user:u', message), { code: 'RT_ERR_BROKER' })
  }
  t.throws(() => setup(t, () => { throw new errors.CLOSING() }).publisher.publish(userKind, 'user:u', message), { code: 'RT_ERR_CLOSING' })
  await t.rejects(async () => setup(t, async () => { throw new errors.CLOSING() }).publisher.publish(userKind, 'user:u', message), { code: 'RT_ERR_CLOSING' })
})

t.test('publish() rejects with RT_ERR_BROKER if the broker does not answer within two seconds', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { publisher } = setup(t, () => new Promise(() => {}))
  const receipt = publisher.publish(userKind, 'user:u', message) as Promise<unknown>
  let isSettled = false
  receipt.catch(() => { isSettled = true })
  mock.timers.tick(1_999)
  await Promise.resolve()
  t.equal(isSettled, false)
  mock.timers.tick(1)
  await t.rejects(receipt, { code: 'RT_ERR_BROKER', message: /not done within 2000 ms/ })
})

t.test('store() stores an entry as it is, and returns or rejects like publish()', async t => {
  const { publisher, stored } = setup(t, () => ({ epoch: 'e', offset: 7 }))
  t.match(publisher.store(userKind, 'user:u', '{"type":"unsubscribed"}'), { id: 'u.e.7', timestamp: /^20.*Z$/ })
  t.strictSame(stored, ['user:u {"type":"unsubscribed"}'])
  publisher.close()
  t.throws(() => publisher.store(userKind, 'user:u', '{}'), { code: 'RT_ERR_CLOSING' })
  const away = setup(t, async () => { throw new Error('down') }).publisher
  await t.rejects(async () => away.store(userKind, 'user:u', '{}'), { code: 'RT_ERR_BROKER' })
})
