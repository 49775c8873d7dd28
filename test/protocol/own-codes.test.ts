import t from 'tap'
import { closeCodes } from '../../lib/protocol/close-codes.js'
import { ownCode, ownCodes, parseDelay } from '../../lib/protocol/own-codes.js'

t.test('the action of each code is that of the whole table', async t => {
  for (const { code, action } of Object.values(closeCodes)) t.equal(ownCode(code)[1].action, action, `${code}`)
  for (const [name, row] of Object.entries(ownCodes)) t.equal(closeCodes[name as keyof typeof ownCodes], row)
})

t.test('a code that is not in the table means a lost connection', async t => {
  for (const code of [0, 999, 1004, 1010, 1014, 1015, 3000, 4000, 4404, 4999, NaN]) t.strictSame(ownCode(code), ['LOST', { code, action: 'backoff' }])
})

t.test('the delay of a 1012 is a number of 1 to 10 digits after retry_ms=, and no other text is a delay', async t => {
  t.strictSame(['retry_ms=0', 'retry_ms=1500', 'retry_ms=9999999999'].map(parseDelay), [0, 1_500, 9_999_999_999])
  for (const reason of ['', 'retry_ms=', 'retry_ms=x', 'retry_ms=-1', ' retry_ms=1', 'retry_ms=1 ', 'retry_ms=12345678901']) {
    t.equal(parseDelay(reason), undefined, JSON.stringify(reason))
  }
})
