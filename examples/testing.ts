/** Testing an app that pushes, without a port: `node --test dist/examples/testing.js`. */
import assert from 'node:assert/strict'
import { on } from 'node:events'
import { test } from 'node:test'
import Fastify from 'fastify'
import realtime, { type Envelope } from 'fastify-realtime'

async function build () {
  const app = Fastify()
  await app.register(realtime)
  app.post('/greet/:user_id', async request => {
    const { user_id: userId } = request.params as { user_id: string }
    return app.ws.sendToUser(userId, { type: 'notification', data: { title: `Hello ${userId}` } })
  })
  await app.ready()
  return app
}

test('a plain GET is told to connect with a WebSocket client', async t => {
  const app = await build()
  t.after(() => app.close())
  const response = await app.inject('/ws/notifications/user_123')
  assert.equal(response.statusCode, 426)
  assert.equal(response.json().code, 'RT_ERR_UPGRADE_REQUIRED')
})

test('a push reaches its user', async t => {
  const app = await build()
  let frames!: ReturnType<typeof on>
  const socket = await app.injectWS('/ws/notifications/user_123', {}, {
    // Listens before anything can arrive: once injectWS has resolved, the first frames may be gone.
    onInit: socket => { frames = on(socket, 'message') }
  })
  t.after(() => {
    // First, or app.close() waits for it; and with close() alone the server would not notice that it has gone.
    socket.terminate()
    return app.close()
  })
  const next = async (): Promise<Envelope> => JSON.parse(String((await frames.next()).value[0]))

  assert.equal((await next()).type, 'connection_ack')
  const { id } = (await app.inject({ method: 'POST', url: '/greet/user_123' })).json()
  const envelope = await next()
  assert.deepEqual(envelope.data, { title: 'Hello user_123' })
  assert.equal(envelope.id, id)
})
