import t from 'tap'
import { caught } from '../../lib/server/caught.js'
import { TimeoutError } from '../../lib/server/timers.js'
import { connect, start } from '../harness.js'

const hostile = { get message (): string { throw new Error('of the getter') } }

t.test('whatever was thrown becomes an error that can be logged', async t => {
  const timeout = new TimeoutError('late')
  t.equal(caught(timeout), timeout)
  t.match(caught(Object.assign(new Error('known'), { statusCode: 401 })), { message: 'known', statusCode: 401, stack: /caught\.test/ })
  for (const thrown of [null, undefined, 'text', 7, Symbol('s'), {}]) t.type(caught(thrown).message, 'string')
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  for (const thrown of [hostile, proxy]) t.equal(caught(thrown).message, 'what was thrown cannot be read')
})

t.test('hooks that throw it do not end the process', async t => {
  const { url } = await start(t, {
    onMessage: { x: async () => { throw hostile } },
    onDisconnect: async () => { throw hostile }
  }, { logger: { level: 'silent' } })
  const client = await connect(t, `${url}/ws/notifications/u1`)
  client.send({ type: 'x', ref: 1 })
  t.match(await client.next(), { type: 'error', ref: 1, data: { code: 'handler_failed' } })
  client.socket.close()
  await client.close()
})
