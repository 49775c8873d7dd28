import { Type, type TSchema } from '@sinclair/typebox'
import t from 'tap'
import { answerFrom } from '../../../lib/server/messages/answer.js'

const from = (schema: TSchema, maxBytes = 100) => answerFrom({ schema, option: 'channels.board.answers', type: 'move' }, maxBytes)

t.test('the answer is the JSON form of what the handler returned', async t => {
  const answer = from(Type.Object({ at: Type.String(), tags: Type.Array(Type.Integer()) }))
  t.equal(answer({ at: new Date(0), tags: [1, 2], missing: undefined }), '{"at":"1970-01-01T00:00:00.000Z","tags":[1,2]}')
  t.strictSame([from(Type.Null())(null), from(Type.Integer())(7), from(Type.String())('ü')], ['null', '7', '"ü"'])
})

t.test('a handler that returns nothing has an answer without data, if the schema matches that', async t => {
  const schemas = [Type.Unknown(), Type.Undefined(), Type.Void(), Type.Union([Type.Integer(), Type.Undefined()])]
  for (const schema of schemas) t.equal(from(schema)(undefined), undefined)
  t.throws(() => from(Type.Object({}))(undefined), { name: 'TypeError', message: /'move'.*'channels\.board\.answers': Expected object/ })
})

t.test('a value that does not match the schema throws a TypeError that says where it is wrong', async t => {
  const answer = from(Type.Object({ version: Type.Integer() }))
  t.throws(() => answer({ version: 'x' }), {
    name: 'TypeError',
    message: "the handler of 'move' returned a value that does not match its schema in 'channels.board.answers' at /version: Expected integer"
  })
  t.throws(() => answer({ version: NaN }), { name: 'TypeError', message: /at \/version/ }, 'the JSON form is checked')
})

t.test('fields outside of the schema are not in the answer, and the value of the handler is not changed', async t => {
  const returned = { version: 1, secret: 2, by: { id: 'ada', password: 'x' } }
  const schema = Type.Object({ version: Type.Integer(), by: Type.Object({ id: Type.String() }, { additionalProperties: false }) })
  t.equal(from(schema)(returned), '{"version":1,"by":{"id":"ada"}}')
  t.strictSame(returned, { version: 1, secret: 2, by: { id: 'ada', password: 'x' } })
})

t.test('a value that JSON cannot represent, and one that is too large, are refused', async t => {
  t.throws(() => from(Type.Unknown())({ a: [5n] }), { code: 'RT_ERR_INVALID_MESSAGE', message: /answer\/a\/0 is a BigInt/ })
  t.equal(from(Type.String(), 10)('x'.repeat(8)), `"${'x'.repeat(8)}"`)
  t.throws(() => from(Type.String(), 10)('x'.repeat(9)), { code: 'RT_ERR_MESSAGE_TOO_LARGE', message: /11 bytes/ })
  t.throws(() => from(Type.String(), 10)('ü'.repeat(5)), { code: 'RT_ERR_MESSAGE_TOO_LARGE', message: /12 bytes/ })
  t.throws(() => from(Type.Unknown(), 10)(Array(10_000).fill(1)), { code: 'RT_ERR_MESSAGE_TOO_LARGE' })
})

t.test('a schema that cannot be used throws RT_ERR_OPTIONS that names it', async t => {
  for (const schema of [{}, { type: 'integer' }, Type.String({ format: 'no-such-format' })]) {
    t.throws(() => from(schema as TSchema), { code: 'RT_ERR_OPTIONS', message: /channels\.board\.answers: the schema of 'move'/ }, JSON.stringify(schema))
  }
})
