import t from 'tap'
import { urlOf } from '../../lib/client/address.js'

t.test('from parts, or whole', async t => {
  const cases: Array<[Parameters<typeof urlOf>[0], string]> = [
    [{ baseUrl: 'http://a.example/ws', userId: 'u1' }, 'ws://a.example/ws/notifications/u1'],
    [{ baseUrl: new URL('https://a.example/live/'), userId: 'a|b' }, 'wss://a.example/live/notifications/a%7Cb'],
    [{ baseUrl: 'wss://a.example/ws', userId: 'u', chat: { workflow: 'w', appId: 'a', chatId: 'c' } }, 'wss://a.example/ws/w/a/c/u'],
    [{ url: 'ws://a.example/ws/notifications/u1?x=1' }, 'ws://a.example/ws/notifications/u1?x=1']
  ]
  for (const [address, url] of cases) t.equal(urlOf(address).href, url)
  t.throws(() => urlOf({ baseUrl: 'http://a.example/ws' }), { name: 'TypeError', message: /userId/ })
  t.throws(() => urlOf({ userId: 'u' }), { name: 'TypeError' }, 'without a page there is no origin')
})

t.test('in a page, of its origin', async t => {
  Object.assign(globalThis, { location: { href: 'https://app.example/some/page?x#y' } })
  t.teardown(() => { delete (globalThis as { location?: object }).location })
  t.equal(urlOf({ userId: 'u1' }).href, 'wss://app.example/ws/notifications/u1')
  t.equal(urlOf({ userId: 'u1', baseUrl: '/live' }).href, 'wss://app.example/live/notifications/u1')
})
