import type { AddressInfo } from 'node:net'
import t from 'tap'
import { build } from '../../examples/plugin-route.js'
import { connect } from '../harness.js'

t.test('the route that ships an order pushes a message to its user', async t => {
  const app = await build()
  t.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const url = `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/ws/notifications`
  const client = await connect(t, `${url}/user_123`)
  const ship = (payload: object) => app.inject({ method: 'POST', url: '/orders/o_1/ship', payload })

  const response = await ship({ user_id: 'user_123', carrier: 'Post' })
  t.equal(response.statusCode, 202)
  t.strictSame(await client.next(), { type: 'order_shipped', data: { order_id: 'o_1', carrier: 'Post' }, ...response.json() })
  t.equal((await ship({ user_id: 'user_123' })).statusCode, 400)
  t.equal((await ship({ user_id: 'a b', carrier: 'Post' })).statusCode, 400)
})

t.test('messages of the app are checked against their schema', async t => {
  const app = await build()
  t.teardown(() => app.close())
  const wrong = { type: 'order_shipped', data: { orderId: 1 } } as const
  // @ts-expect-error the compiler knows the schema
  await t.rejects(app.ws.sendToUser('user_123', wrong), { code: 'RT_ERR_INVALID_MESSAGE' })
})
