import t from 'tap'
import { parse } from '../../lib/client/frame.js'

t.test('an envelope has a type', async t => {
  t.strictSame(parse('{"type":"pong","ref":1}'), { type: 'pong', ref: 1 })
  for (const other of ['', '{', 'null', '1', '{}', '{"type":1}', undefined]) t.equal(parse(other), undefined, String(other))
})
