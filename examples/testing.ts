/** Tests an app that pushes, without a port: `node --test dist/examples/testing.js`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Fastify from 'fastify'
import realtime, { tokenOf } from 'fastify-realtime'
import { connect } from 'fastify-realtime/testing'

const users: Record<string, string> = { 'token-of-ada': 'ada', 'token-of-bob': 'bob' }

function build () {
  const app = Fastify()
  app.register(realtime, {
    authenticate: request => {
      const userId = users[tokenOf(request) ?? '']
      return userId === undefined ? null : { userId }
    },
    onMessage: {
      async mark_read ({ data }, connection) {
        if (!Array.isArray(data)) throw new Error('not a list of ids')
        await app.ws.sendToUser(connection.userId, { type: 'marked_read', data })
      }
    }
  })
  app.post<{ Params: { id: string } }>('/greet/:id', ({ params }) =>
    app.ws.sendToUser(params.id, { type: 'notification', data: { title: `Hello ${params.id}` } }))
  return app
}

const ada = { userId: 'ada', headers: { authorization: 'Bearer token-of-ada' } }
const bob = { userId: 'bob', headers: { authorization: 'Bearer token-of-bob' } }

test('a push reaches its user and no other user', async t => {
  const app = build()
  t.after(() => app.close())
  const [hers, his] = await Promise.all([connect(app, ada), connect(app, bob)])
  const { id } = (await app.inject({ method: 'POST', url: '/greet/ada' })).json()
  const envelope = await hers.next('notification')
  assert.deepEqual(envelope.data, { title: 'Hello ada' })
  assert.equal(envelope.id, id)
  await his.expectNone()
})

test('a notification that is marked as read in one tab is read in the other', async t => {
  const app = build()
  t.after(() => app.close())
  const [phone, laptop] = await Promise.all([connect(app, ada), connect(app, ada)])
  await phone.send('mark_read', ['n1', 'n2'])
  assert.deepEqual((await laptop.next('marked_read')).data, ['n1', 'n2'])
  await assert.rejects(phone.send('mark_read', 'n1'), { code: 'handler_failed' })
})

test('a connection without a token is refused, and so is one for the notifications of another user', async t => {
  const app = build()
  t.after(() => app.close())
  await assert.rejects(connect(app, { userId: 'ada' }), /4401/)
  await assert.rejects(connect(app, { ...bob, userId: 'ada' }), /4403/)
})

test('a user who is disconnected gets the close code 4403', async t => {
  const app = build()
  t.after(() => app.close())
  const socket = await connect(app, ada)
  app.ws.disconnectUser('ada')
  await socket.expectClose(4403)
})
