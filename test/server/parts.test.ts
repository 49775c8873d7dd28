import { Kind, Type } from '@sinclair/typebox'
import t from 'tap'
import { resolveOptions } from '../../lib/plugin-options.js'
import { createParts } from '../../lib/server/parts.js'
import { brokersOfNodes } from '../fake-nodes.js'
import { logSink } from '../log-sink.js'

const partsOf = (options = {}) => createParts(resolveOptions(options), logSink() as never)

t.test('createParts() applies the schemas and limits of messages, and makes a cluster only for a broker with nodes', async t => {
  const { catalogue, cluster, timers } = partsOf({ messages: { vote: Type.Integer() }, limits: { message: 1_000 } })
  t.teardown(() => timers.close())
  t.throws(() => catalogue.encode({ type: 'vote', data: 'a' } as never), { code: 'RT_ERR_INVALID_MESSAGE' })
  t.throws(() => catalogue.encode({ type: 'x', data: 'x'.repeat(1_000) }), { code: 'RT_ERR_MESSAGE_TOO_LARGE' })
  t.equal(cluster, undefined)
  const [broker] = brokersOfNodes(1)
  t.equal(partsOf({ broker }).cluster!.nodes, broker.nodes)
})

t.test('createParts() throws RT_ERR_OPTIONS for a schema that cannot be compiled', async t => {
  t.throws(() => partsOf({ messages: { vote: { ...Type.Integer(), [Kind]: 'Nothing' } } }), { code: 'RT_ERR_OPTIONS', message: /vote/ })
})
