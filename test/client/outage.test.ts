import t from 'tap'
import { outageOf } from '../../lib/client/outage.js'

const url = 'ws://a.example/ws/notifications/u1?token=secret'

t.test('the error of an outage names the address without its query, and the reason if it is known', async t => {
  const cases: Array<[Parameters<typeof outageOf>[1], boolean, string, string]> = [
    [{ code: 1006, reason: '', fault: 'connect ECONNREFUSED 127.0.0.1:1' }, true, 'unreachable', 'connect ECONNREFUSED 127.0.0.1:1'],
    [{ code: 1006, reason: '', fault: 'Unexpected server response: 404' }, true, 'unreachable', 'Unexpected server response: 404'],
    [{ code: 1006, reason: 'no connection_ack' }, true, 'unreachable', 'no connection_ack'],
    [{ code: 1006, reason: '' }, true, 'unreachable', 'no connection'],
    [{ code: 1006, reason: '' }, false, 'lost', 'closed with 1006 LOST'],
    [{ code: 4403, reason: '' }, true, 'forbidden', 'closed with 4403 FORBIDDEN'],
    [{ code: 1012, reason: 'retry_ms=5' }, false, 'restart', 'closed with 1012 retry_ms=5'],
    [{ code: 4999, reason: 'why' }, false, 'lost', 'closed with 4999 why']
  ]
  for (const [loss, isRefused, code, text] of cases) {
    const error = outageOf(url, loss, isRefused)
    t.strictSame({ code: error.code, message: error.message }, { code, message: `${text} at ws://a.example/ws/notifications/u1` })
  }
})
