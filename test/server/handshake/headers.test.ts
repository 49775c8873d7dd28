import t from 'tap'
import { handshakeFault } from '../../../lib/server/handshake/headers.js'
import { RawClient, authenticateByHeader, start } from '../../harness.js'

const right = { 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'sec-websocket-version': '13' }
const rows: Array<[name: string, headers: Record<string, string>, says: RegExp]> = [
  ['no key', { 'sec-websocket-key': '' }, /Sec-WebSocket-Key/],
  ['a key of another length', { 'sec-websocket-key': 'AAAA' }, /Sec-WebSocket-Key/],
  ['two keys', { 'sec-websocket-key': `${right['sec-websocket-key']}, ${right['sec-websocket-key']}` }, /Sec-WebSocket-Key/],
  ['another version', { 'sec-websocket-version': '7' }, /Sec-WebSocket-Version/],
  ['a credential that is not encoded', { 'sec-websocket-protocol': 'fastify-realtime, token.a/b==' }, /Sec-WebSocket-Protocol.*encodeURIComponent/],
  ['an empty subprotocol', { 'sec-websocket-protocol': 'a,,b' }, /Sec-WebSocket-Protocol/],
  ['a repeated subprotocol', { 'sec-websocket-protocol': 'a, a' }, /Sec-WebSocket-Protocol/]
]

t.test('a handshake with a wrong header gets 400, its fault names the header, and authenticate is not called', async t => {
  let asked = 0
  const { port } = await start(t, { authenticate: request => { asked++; return authenticateByHeader(request) } })
  for (const [name, headers, says] of rows) {
    t.match(handshakeFault({ ...right, ...headers }), says, name)
    const client = await RawClient.open(t, port, '/ws/notifications/u1', { headers: { 'x-user': 'u1', ...headers } })
    t.equal(client.status, 400, name)
  }
  t.equal(asked, 0)
})

t.test('a handshake with valid headers gets 101', async t => {
  const { port } = await start(t, { authenticate: authenticateByHeader })
  for (const headers of [{}, { 'sec-websocket-version': '8' }, { 'sec-websocket-protocol': 'fastify-realtime , token.a%2Fb%3D%3D' }] as Array<Record<string, string>>) {
    t.equal(handshakeFault({ ...right, ...headers }), undefined)
    t.equal((await RawClient.open(t, port, '/ws/notifications/u1', { headers: { 'x-user': 'u1', ...headers } })).status, 101)
  }
})
