import t from 'tap'
import { closedError, RealtimeError } from '../../lib/client/error.js'

t.test('a RealtimeError is an Error with a code', async t => {
  t.match(new RealtimeError('timeout', 'too late'), { name: 'RealtimeError', code: 'timeout', message: 'too late' })
  t.ok(new RealtimeError('timeout', 'too late') instanceof Error)
})

t.test('the error of a close has the name of the close as its code, and closed has the code, reason and name', async t => {
  t.match(closedError({ code: 4403, reason: '' }), { code: 'forbidden', message: 'closed with 4403 FORBIDDEN', closed: { code: 4403, reason: '', name: 'FORBIDDEN' } })
  t.match(closedError({ code: 4409, reason: 'elsewhere' }), { code: 'replaced', message: 'closed with 4409 elsewhere' })
  t.match(closedError({ code: 1000, reason: '' }), { code: 'closed', closed: { code: 1000, name: 'NORMAL' } })
  t.match(closedError({ code: 1001, reason: '' }), { code: 'lost', closed: { code: 1001, name: 'LOST' } })
})
