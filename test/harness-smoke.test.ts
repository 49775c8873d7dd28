import t from 'tap'
import { connect, refusedWith, start } from './harness.js'

t.test('a message reaches its user', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, `${url}/ws/notifications/u1`)
  const { id } = await app.ws.sendToUser('u1', { type: 'notification', data: { title: 'x' } })
  t.equal((await client.next()).id, id)
  t.equal(await refusedWith(`${url}/ws/notifications/a%20b`), 400)
})
