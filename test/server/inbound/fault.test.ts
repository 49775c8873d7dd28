import t from 'tap'
import { isOffence, Refusal } from '../../../lib/server/inbound/fault.js'
import { every, found } from '../../every.js'

t.test('bad_json, bad_message and unknown_type are offences, and the other codes are not', async t => {
  const offences = ['bad_json', 'bad_message', 'unknown_type'] as const
  const others = ['too_big', 'rate_limited', 'handler_failed', 'handler_timeout', 'renew_refused', 'chat_busy', 'bad_value', 'input_closed'] as const
  t.ok(every(offences, code => isOffence({ code, message: '' })))
  t.strictSame(found(others, code => isOffence({ code, message: '' })), [])
})

t.test('a Refusal is an Error with the code and the message for the client', async t => {
  const refusal = new Refusal('renew_refused', 'no')
  t.type(refusal, Error)
  t.match(refusal, { code: 'renew_refused', message: 'no' })
})
