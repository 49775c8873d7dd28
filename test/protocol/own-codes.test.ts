import t from 'tap'
import { closeCodes } from '../../lib/protocol/close-codes.js'
import { ownCode, ownCodes } from '../../lib/protocol/own-codes.js'

t.test('a client does after each code what the whole table says', async t => {
  for (const { code, action } of Object.values(closeCodes)) t.equal(ownCode(code).action, action, `${code}`)
  for (const [name, row] of Object.entries(ownCodes)) t.equal(closeCodes[name as keyof typeof ownCodes], row)
})

t.test('a code that is not in the table is a lost connection', async t => {
  for (const code of [0, 999, 1004, 1010, 1014, 1015, 3000, 4000, 4404, 4999, NaN]) t.strictSame(ownCode(code), { name: 'LOST', action: 'backoff' })
})
