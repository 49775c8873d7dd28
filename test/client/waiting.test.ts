import t from 'tap'
import { fakeClient } from '../../lib/testing/index.js'

t.test('connected() rejects after its timeout, with the outage', async t => {
  const client = fakeClient('waiting')
  client.outage = new Error('the server is down')
  await t.rejects(client.connected({ timeout: 5 }), { code: 'timeout', message: /5 ms.*the server is down/ })
  client.setStatus('open')
  await client.connected({ timeout: 0 })
})

t.test('connected() rejects with the reason of its signal, at once or later', async t => {
  const client = fakeClient('connecting')
  const aborting = new AbortController()
  const waiting = client.connected({ signal: aborting.signal })
  aborting.abort(new Error('enough'))
  await t.rejects(waiting, { message: 'enough' })
  await t.rejects(client.connected({ signal: aborting.signal }), { message: 'enough' })
})

t.test('connected() rejects with how the client is closed', async t => {
  const client = fakeClient('connecting')
  const waiting = client.connected()
  client.setStatus('closed', 4403)
  await t.rejects(waiting, { code: 'forbidden', closed: { code: 4403, reason: '', name: 'FORBIDDEN' } })
})
