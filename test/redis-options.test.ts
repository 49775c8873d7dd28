import { Redis } from 'ioredis'
import t from 'tap'
import { redisBroker, type RedisBrokerOptions } from '../lib/redis.js'
import { checkRedisOptions } from '../lib/redis-options.js'
import { createPublisher, type PublisherOptions } from '../lib/publisher.js'

const url = 'redis://localhost:6379'

/** Wrong options and the message of both functions. `$` stands for the name of the function. */
const wrong: Array<[options: object, message: string]> = [
  [{ url, histroy: {} }, "there is no option 'histroy' of $. Did you mean 'history'?"],
  [{ url, size: 5 }, "there is no option 'size' of $. Did you mean 'history.size' or 'chat.size'?"],
  [{ url, history: { sise: 5 } }, "there is no option 'history.sise' of $. Did you mean 'history.size'?"],
  [{ url, history: { size: -1 } }, "option 'history.size' of $ is -1. It must be a whole number from 0 to 281474976710655"],
  [{ url, history: 5 }, "option 'history' of $ is 5. It must be a plain object, such as { size: 100, ttl: 300000, bytes: 4194304 }"],
  [{ url, prefix: 5 }, "option 'prefix' of $ is 5. It must be a text without braces, such as 'my-app:'. Braces would select the slot in a Cluster"],
  [{ url, prefix: '{app}:' }, "option 'prefix' of $ is '{app}:'. It must be a text without braces, such as 'my-app:'. Braces would select the slot in a Cluster"],
  [{ url: 'http://u:s3cr3t@host' }, "option 'url' of $ must be the URL of a Redis server, such as 'redis://localhost:6379'"],
  [{ url: 'localhost:6379' }, "option 'url' of $ must be the URL of a Redis server, such as 'redis://localhost:6379'"],
  [{}, "$ needs a Redis. Pass 'client', an ioredis client, or 'url', such as 'redis://localhost:6379'"],
  [{ client: {} }, "option 'client' of $ must be a client of ioredis, such as new Redis('redis://localhost:6379')"],
  [{ client: null }, "option 'client' of $ must be a client of ioredis, such as new Redis('redis://localhost:6379')"],
  [{ client: { duplicate () {}, options: {} } }, "option 'client' of $ must be a client of ioredis, such as new Redis('redis://localhost:6379')"]
]

t.test('wrong options of the broker and of the publisher are refused with the cure', async t => {
  for (const [options, message] of wrong) {
    const expected = (name: string) => ({ code: 'RT_ERR_OPTIONS', message: `fastify-realtime: ${message.replace('$', name)}` })
    t.throws(() => redisBroker(options as RedisBrokerOptions), expected('redisBroker'))
    t.throws(() => createPublisher(options as PublisherOptions), expected('createPublisher'))
  }
})

t.test('an address in place of the options is refused, and the error does not show it', async t => {
  const expected = (name: string) => ({ message: `fastify-realtime: the options of ${name} must be an object, such as { url: 'redis://localhost:6379' }` })
  t.throws(() => redisBroker('redis://u:s3cr3t@host' as RedisBrokerOptions), expected('redisBroker'))
  t.throws(() => createPublisher(undefined as unknown as PublisherOptions), expected('createPublisher'))
})

t.test('redisBroker and createPublisher each refuse options of the other, and wrong values of their own', async t => {
  t.throws(() => checkRedisOptions('createPublisher', { url, lag: 1 } as object), { message: /no option 'lag' of createPublisher/ })
  t.throws(() => checkRedisOptions('redisBroker', { url, strict: true } as object), { message: /no option 'strict' of redisBroker/ })
  t.throws(() => checkRedisOptions('redisBroker', { url, lag: 0.5 } as object), { message: /'lag' of redisBroker is 0\.5/ })
  t.throws(() => checkRedisOptions('createPublisher', { url, maxBytes: 0 } as object), { message: /'maxBytes' of createPublisher is 0/ })
  t.throws(() => checkRedisOptions('createPublisher', { url, messages: { order: 'x' } } as object), { message: /'messages\.order' .* TypeBox schema/ })
})

t.test('a size or ttl that Redis cannot count is refused', async t => {
  for (const value of [Infinity, NaN, 1.5, -1, '5', null, 2 ** 48]) {
    for (const section of ['history', 'chat']) {
      for (const name of ['size', 'ttl']) {
        const given = { url, [section]: { [name]: value } }
        t.throws(() => checkRedisOptions('redisBroker', given), { code: 'RT_ERR_OPTIONS', message: new RegExp(`'${section}\\.${name}'`) })
      }
    }
  }
})

t.test('valid options are accepted, and client together with url is refused', async t => {
  const client = new Redis({ lazyConnect: true })
  t.teardown(() => client.disconnect())
  t.doesNotThrow(() => checkRedisOptions('redisBroker', { client }))
  t.doesNotThrow(() => checkRedisOptions('redisBroker', { url, client: undefined, prefix: '', history: { size: 0, ttl: 0 }, lag: 0 } as object))
  t.doesNotThrow(() => checkRedisOptions('createPublisher', { url, messages: {}, strict: undefined, maxBytes: 1 } as object))
  t.throws(() => checkRedisOptions('redisBroker', { url, client }), { message: /'client' and 'url' of redisBroker are both given\. Remove one of them/ })
})
