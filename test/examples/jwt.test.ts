import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { build, type JwtOptions } from '../../examples/jwt.js'
import { Client, connect } from '../harness.js'

async function start (t: Test, options: Partial<JwtOptions> = {}) {
  const app = await build({ isPassword: async (userId, password) => password === `${userId}'s secret`, ...options })
  t.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const login = (userId: string, password = `${userId}'s secret`) =>
    app.inject({ method: 'POST', url: '/login', payload: { user_id: userId, password } })
  const url = `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/ws/notifications`
  return { app, url, login }
}

async function refusal (t: Test, url: string, headers: Record<string, string> = {}): Promise<number> {
  const client = new Client(url, { headers })
  t.teardown(() => client.socket.terminate())
  const { code } = await client.close()
  t.strictSame(client.received, [], 'no message was sent before')
  return code
}

t.test('a token in the header or in the query opens the channel of its user', async t => {
  const { url, login } = await start(t)
  const { token } = (await login('user_123')).json()
  const inHeader = await connect(t, `${url}/user_123`, { headers: { authorization: `Bearer ${token}` } })
  t.equal(inHeader.ack.data!.user_id, 'user_123')
  const inQuery = await connect(t, `${url}/user_123?token=${token}`)
  t.equal(inQuery.ack.data!.user_id, 'user_123')
})

t.test('a wrong password gets no token, and an invalid body gets 400', async t => {
  const { app, login } = await start(t)
  t.equal((await login('user_123', 'guessed')).statusCode, 401)
  t.equal((await app.inject({ method: 'POST', url: '/login', payload: { user_id: 'a b', password: 'x' } })).statusCode, 400)
})

t.test('a missing, an invalid and a foreign token are refused with 4401', async t => {
  const { url } = await start(t)
  const other = await start(t)
  const { token: foreign } = (await other.login('user_123')).json()
  t.equal(await refusal(t, `${url}/user_123`), 4401)
  t.equal(await refusal(t, `${url}/user_123?token=x`), 4401)
  t.equal(await refusal(t, `${url}/user_123?token=a&token=b`), 4401)
  t.equal(await refusal(t, `${url}/user_123?token=${foreign}`), 4401)
  t.equal(await refusal(t, `${url}/user_123`, { authorization: `Bearer ${foreign}` }), 4401)
})

t.test("another user's channel is refused with 4403", async t => {
  const { url, login } = await start(t)
  const { token } = (await login('user_123')).json()
  t.equal(await refusal(t, `${url}/user_456?token=${token}`), 4403)
})

t.test('a connection is closed when its token expires', async t => {
  const { url, login } = await start(t, { expiresIn: '2s' }) // In whole seconds: between one and two of them are left.
  const { token } = (await login('user_123')).json()
  const client = await connect(t, `${url}/user_123?token=${token}`)
  t.equal((await client.close()).code, 4401)
  t.equal(await refusal(t, `${url}/user_123?token=${token}`), 4401, 'the expired token is refused')
})
