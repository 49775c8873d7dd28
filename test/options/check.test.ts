import { Type } from '@sinclair/typebox'
import t from 'tap'
import { checkOptions, checkSections, isPlain } from '../../lib/options/check.js'

const kind = Type.Object({ allowed: Type.Boolean(), size: Type.Optional(Type.Integer()) }, { additionalProperties: false })
const schema = Type.Object({
  prefix: Type.Optional(Type.String()),
  url: Type.Optional(Type.String({ pattern: '^redis:', isSecret: true, expected: "an address, such as 'redis://localhost'" })),
  handlers: Type.Optional(Type.Record(Type.String(), Type.Function([], Type.Unknown()))),
  kinds: Type.Optional(Type.Record(Type.String(), kind)),
  limits: Type.Optional(Type.Object({ rate: Type.Optional(Type.Integer({ minimum: 1, default: 20 })) }, { additionalProperties: false }))
}, { additionalProperties: false })

function messageOf (given: unknown, owner?: string): string {
  try {
    checkOptions(schema, given, owner)
  } catch (error) {
    const { code, message } = error as Error & { code: string }
    return code === 'RT_ERR_OPTIONS' ? message.replace('fastify-realtime: ', '') : code
  }
  return ''
}

t.test('valid options cause no error', async t => {
  class Settings { prefix = '/ws' }
  for (const given of [{}, { prefix: '/ws', limits: { rate: 1 }, handlers: {} }, { prefix: undefined, limits: undefined }, Object.create(null), new Settings()]) {
    t.equal(messageOf(given), '')
  }
})

t.test('the message about a wrong value contains the value and the expected one', async t => {
  t.equal(messageOf({ limits: { rate: 0 } }), "option 'limits.rate' is 0. It must be a whole number of 1 or more")
  t.equal(messageOf({ prefix: 5 }, 'redisBroker'), "option 'prefix' of redisBroker is 5. It must be a string")
  t.equal(messageOf({ handlers: { 'a/b~c': 'x' } }), "option 'handlers.a/b~c' is 'x'. It must be a function")
  t.ok(messageOf({ limits: { rate: 'x'.repeat(10_000) } }).length < 200, 'a long value is shortened')
})

t.test('the message about a secret option does not contain its value', async t => {
  const message = messageOf({ url: 'http://u:s3cr3t@host' })
  t.equal(message, "option 'url' must be an address, such as 'redis://localhost'")
})

t.test('the message about an unknown option contains its name and a suggestion', async t => {
  t.equal(messageOf({ prefixes: 1 }), "there is no option 'prefixes'. Did you mean 'prefix'?")
  t.equal(messageOf({ rate: 1 }, 'redisBroker'), "there is no option 'rate' of redisBroker. Did you mean 'limits.rate'?")
  t.equal(messageOf({ limits: { burst: 1 } }), "there is no option 'limits.burst'. In 'limits' there are 'rate'")
  t.equal(messageOf({ 'limits.rate': 1 }), "there is no option 'limits.rate'. Write it in a section: { limits: { rate: … } }")
  t.equal(messageOf({ foo: 1 }), "there is no option 'foo'. The options are 'prefix', 'url', 'handlers', 'kinds' and 'limits'")
  t.equal(messageOf({ 'foo.bar': 1 }), "there is no option 'foo.bar'. The options are 'prefix', 'url', 'handlers', 'kinds' and 'limits'")
})

t.test('the message about an unknown option in an entry of a record names the options of that entry', async t => {
  t.equal(messageOf({ kinds: { a: { allowed: true, sizes: 1 } } }), "there is no option 'kinds.a.sizes'. Did you mean 'kinds.a.size'?")
  t.equal(messageOf({ kinds: { 'a/b': { allowed: true, foo: 1 } } }), "there is no option 'kinds.a/b.foo'. In 'kinds.a/b' there are 'allowed' and 'size'")
})

t.test('a section that is not a plain object is refused, and checkSections does not check the options in a section', async t => {
  for (const section of [null, 5, [], new Map(), new Date(), () => {}]) {
    t.match(messageOf({ limits: section }), /^option 'limits' is .*\. It must be a plain object, such as \{ rate: 20 \}$/)
    t.throws(() => checkSections(schema, { limits: section }), { code: 'RT_ERR_OPTIONS' })
  }
  t.doesNotThrow(() => checkSections(schema, { limits: { rate: 'x' }, foo: 1 }), 'the options in a section are not checked')
})

t.test('options that are not an object are refused, and the message does not contain them', async t => {
  for (const given of [undefined, null, 'redis://u:s3cr3t@host', 5]) {
    t.equal(messageOf(given, 'redisBroker'), 'the options of redisBroker must be an object, such as {}')
  }
})

t.test('isPlain returns true only for object literals and objects without a prototype', async t => {
  for (const value of [{}, Object.create(null)]) t.equal(isPlain(value), true)
  for (const value of [null, undefined, 'x', [], new Map(), () => {}, new (class {})()]) t.equal(isPlain(value), false)
})
