import t from 'tap'
import { controlTypes } from '../../lib/protocol/envelope.js'
import { isMessage, parse } from '../../lib/client/frame.js'

t.test('parse returns an envelope, or undefined for data without a type', async t => {
  t.strictSame(parse('{"type":"pong","ref":1}'), { type: 'pong', ref: 1 })
  for (const other of ['', '{', 'null', '1', '{}', '{"type":1}', undefined]) t.equal(parse(other), undefined, String(other))
})

t.test('a connection-level frame is not a message', async t => {
  for (const type of controlTypes) t.equal(isMessage({ type, timestamp: '' }), false, type)
  for (const type of ['notification', 'chat_history', 'my_own']) t.equal(isMessage({ type, timestamp: '' }), true, type)
})
