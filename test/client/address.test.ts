import t from 'tap'
import { urlOf, withQuery, type Address } from '../../lib/client/address.js'

const chat = { workflow: 'w', appId: 'a', chatId: 'c' }

t.test('the URL of an address is made of its parts, or is the complete one', async t => {
  const cases: Array<[Address, string]> = [
    [{ baseUrl: 'http://a.example/ws', userId: 'u1' }, 'ws://a.example/ws/notifications/u1'],
    [{ baseUrl: 'HTTPS://a.example/ws/', userId: 'u1' }, 'wsS://a.example/ws/notifications/u1'],
    [{ baseUrl: new URL('https://a.example/live/'), userId: 'a|b' }, 'wss://a.example/live/notifications/a%7Cb'],
    [{ baseUrl: 'http://a.example', userId: 'u' }, 'ws://a.example/notifications/u'],
    [{ baseUrl: 'wss://a.example/ws', userId: 'u', chat }, 'wss://a.example/ws/w/a/c/u'],
    [{ url: 'ws://a.example/ws/notifications/u1?x=1' }, 'ws://a.example/ws/notifications/u1?x=1'],
    [{ url: 'ws://http.example/http' }, 'ws://http.example/http'],
    [{ url: 'ws://a.example/ws/notifications/u1/' }, 'ws://a.example/ws/notifications/u1/']
  ]
  for (const [address, url] of cases) t.equal(urlOf(address), url)
})

t.test('a page connects to its own origin', async t => {
  t.teardown(() => { delete (globalThis as { location?: object }).location })
  Object.assign(globalThis, { location: { origin: 'https://app.example' } })
  t.equal(urlOf({ userId: 'u1' }), 'wss://app.example/ws/notifications/u1')
  t.equal(urlOf({ userId: 'u1', baseUrl: '/live' }), 'wss://app.example/live/notifications/u1')
  t.equal(urlOf({ url: '/live/notifications/u1' }), 'wss://app.example/live/notifications/u1')
  t.equal(urlOf({ baseUrl: 'https://api.example/ws', userId: 'u1' }), 'wss://api.example/ws/notifications/u1')
})

t.test('an address without a scheme, a host or a valid port throws a TypeError', async t => {
  const wrong = ['localhost:3000/ws', 'a.example/ws', 'ftp://a.example/ws', 'ahttp://a.example/ws', 'http:/a.example', 'http://', 'http://a.example:99999/ws', 'http://a b/ws', 'http://a.example/ws#here', '/ws', './ws', 'null']
  for (const address of wrong) {
    t.throws(() => urlOf({ baseUrl: address, userId: 'u1' }), { name: 'TypeError' }, `baseUrl ${address}`)
    t.throws(() => urlOf({ url: address }), { name: 'TypeError' }, `url ${address}`)
  }
  t.throws(() => urlOf({ url: '/ws' }), { message: "url '/ws' does not match https://app.example/ws" })
})

t.test('an id that the server would refuse throws a TypeError that names the id and its pattern', async t => {
  const baseUrl = 'http://a.example/ws'
  for (const id of ['', 'a b', 'a/b', '.', '..', 'ü', 'x'.repeat(129), undefined as unknown as string, 5 as unknown as string]) {
    t.throws(() => urlOf({ baseUrl, userId: id }), { name: 'TypeError', message: /^userId '.*' does not match \^/ })
    for (const name of ['workflow', 'appId', 'chatId']) {
      t.throws(() => urlOf({ baseUrl, userId: 'u', chat: { ...chat, [name]: id } }), { name: 'TypeError', message: new RegExp(`^${name} '`) })
    }
  }
  t.throws(() => urlOf({ baseUrl, userId: 'u', chat: { ...chat, workflow: 'notifications' } }), { name: 'TypeError', message: /workflow/ })
})

t.test('withQuery adds a parameter to a query, or begins a query', async t => {
  t.equal(withQuery('ws://a/ws', 'since', 'u.a.1,b.b.2'), 'ws://a/ws?since=u.a.1%2Cb.b.2')
  t.equal(withQuery('ws://a/ws?x=1', 'token', 'a&b'), 'ws://a/ws?x=1&token=a%26b')
})
