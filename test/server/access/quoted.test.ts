import t from 'tap'
import { quoted } from '../../../lib/server/access/quoted.js'

t.test('a quoted header has a maximum length, and its control and non-ASCII characters are escaped', async t => {
  t.equal(quoted('https://app.example'), '"https://app.example"')
  t.equal(quoted('a"b\\'), '"a\\"b\\\\"')
  t.equal(quoted('a\r\nb\u001b[31m\u009b2J\u007fé\u2028😀'), '"a\\r\\nb\\u001b[31m\\u009b2J\\u007f\\u00e9\\u2028\\ud83d\\ude00"')
  t.match(quoted('\u009b'.repeat(100_000)), /^[\x20-\x7e]{1,620}$/)
  t.equal(quoted('x'.repeat(101)), `"${'x'.repeat(100)}..."`)
})
