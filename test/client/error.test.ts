import t from 'tap'
import { RealtimeError } from '../../lib/client/error.js'

t.test('has a code', async t => {
  t.match(new RealtimeError('timeout', 'too late'), { name: 'RealtimeError', code: 'timeout', message: 'too late' })
})
