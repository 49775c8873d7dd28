import t from 'tap'
import { keeping } from '../../lib/adapters/ag-ui-kept.js'

t.test('an event keeps the fields of its message that it does not have itself', async t => {
  t.same(keeping({ type: 'a' }), { metadata: { 'fastify-realtime': { type: 'a' } } })
  t.same(keeping({ type: 'a', action: 'b', message: 'c', data: { d: 1 } }, { e: 1 }, { isOutput: true }),
    { metadata: { 'fastify-realtime': { type: 'a', data: { e: 1 }, action: 'b', message: 'c', isOutput: true } } })
})

t.test('a timestamp that milliseconds cannot express is kept as it is', async t => {
  t.same(keeping({ type: 'a', timestamp: '1970-01-01T00:00:01.000Z' }), { timestamp: 1_000, metadata: { 'fastify-realtime': { type: 'a' } } })
  for (const timestamp of ['1970-01-01T00:00:01Z', 'soon']) {
    t.same(keeping({ type: 'a', timestamp }), { metadata: { 'fastify-realtime': { type: 'a', timestamp } } }, timestamp)
  }
})
