import t from 'tap'
import { closeCode, closeCodes, closeMeaning, formatDelay, isSendable, parseDelay } from '../../lib/protocol/close-codes.js'

t.test('the table of close codes has the promised codes and actions', async t => {
  const actions = Object.values(closeCodes).map(({ code, action }) => [code, action])
  t.strictSame(actions, [
    [1000, 'backoff'], [1001, 'backoff'], [1002, 'backoff'], [1003, 'backoff'], [1005, 'backoff'], [1006, 'backoff'], [1007, 'backoff'],
    [1008, 'backoff'], [1009, 'backoff'],
    [1011, 'backoff'], [1012, 'delay'], [1013, 'backoff'], [4400, 'stop'], [4401, 'renew'], [4403, 'stop'], [4408, 'backoff'], [4409, 'stop'],
    [4429, 'backoff'], [4430, 'reconnect']
  ])
})

t.test('each code has one row, with a meaning of three words or more', async t => {
  const rows = Object.values(closeCodes)
  t.equal(new Set(rows.map(({ code }) => code)).size, rows.length)
  t.equal(new Set(rows.map(({ code }) => closeMeaning(code))).size, rows.length)
  for (const row of rows) {
    t.equal(closeCode(row.code), row)
    t.match(closeMeaning(row.code), /\w+ \w+ \w+/, `${row.code}`)
  }
  for (const code of [0, 999, 1004, 1010, 1015, 3000, 4000, 4404, 5000, NaN]) {
    t.equal(closeCode(code), undefined)
    t.equal(closeMeaning(code), undefined)
  }
})

t.test('a server may send every code of the table except 1005 and 1006, and no other', async t => {
  const notSendable = Object.values(closeCodes).map(({ code }) => code).filter(code => !isSendable(code))
  t.strictSame(notSendable, [1005, 1006])
  for (const code of [999, 1004, 1010, 1014, 1015, 3000, 4999, NaN]) t.equal(isSendable(code), false)
})

t.test('parseDelay parses the delay of formatDelay, and no other text', async t => {
  t.equal(formatDelay(1234), 'retry_ms=1234')
  for (const ms of [0, 1, 4_999, 86_400_000, 999_999_999]) t.equal(parseDelay(formatDelay(ms)), ms)
  t.equal(parseDelay(formatDelay(1.6)), 2)
  for (const reason of ['', 'retry_ms=', 'retry_ms=-1', 'retry_ms=1.5', 'retry_ms=1e3', 'retry_ms=1 ', ' retry_ms=1', 'retry_ms=1\n', 'RETRY_MS=1', 'restart', 'retry_ms=10000000000']) {
    t.equal(parseDelay(reason), undefined, JSON.stringify(reason))
  }
})
