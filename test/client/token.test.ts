import t from 'tap'
import { credentialed } from '../../lib/client/token.js'
import { tokenOf } from '../../lib/index.js'

const url = 'ws://a.example/ws/notifications/u1?since=0'

t.test('without a credential the URL stays the same and there are no subprotocols', async t => {
  t.strictSame(credentialed(url, undefined), [url, []])
})

t.test('the server reads the credential that the client sends, with any characters', async t => {
  for (const token of ['abc', 'a.b-c_d', 'with (parentheses), spaces; and "quotes"', 'ü漢👋', '%41', "!*'~"]) {
    const [, protocols] = credentialed(url, token)
    t.equal(protocols[0], 'fastify-realtime')
    for (const protocol of protocols) t.match(protocol, /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'a token of RFC 9110')
    t.equal(tokenOf({ headers: { 'sec-websocket-protocol': protocols.join(', ') }, query: {} }), token)
    const [address, none] = credentialed(url, token, 'query')
    t.strictSame(none, [])
    const asked = new URL(address)
    t.equal(asked.searchParams.get('since'), '0')
    t.equal(tokenOf({ headers: {}, query: Object.fromEntries(asked.searchParams) }), token)
  }
})
