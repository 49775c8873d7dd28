import t from 'tap'
import { checkId, shown } from '../../lib/server/ids.js'

t.test('checkId() returns an id, and throws RT_ERR_INVALID_ID with the value if it is not an id', async t => {
  t.equal(checkId('user_1'), 'user_1')
  t.throws(() => checkId('a/b'), { code: 'RT_ERR_INVALID_ID', message: /^"a\/b"/ })
  t.throws(() => checkId(undefined), { code: 'RT_ERR_INVALID_ID', message: /^undefined/ })
})

t.test('the text of a value in an error has at most 140 characters, and no content of an object', async t => {
  t.equal(shown('x'.repeat(1_000)).length, 140)
  t.strictSame([shown({ secret: 1 }), shown(null), shown(5), shown(Symbol('s'))], ['An object', 'null', '5', 'Symbol(s)'])
})
