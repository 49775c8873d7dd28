import t from 'tap'
import type { Inbound } from '../../../lib/index.js'
import { refKey, rowOf, type Sender } from '../../../lib/server/inbound/message-row.js'

const sender = (channel: string) => ({ channel }) as Sender
const message = (ref?: string | number): Inbound => ({ type: 'vote', ref })

t.test('a message is told from others by a string as ref, and by its channel', async t => {
  t.not(refKey(message('r'), sender('user:u')), refKey(message('s'), sender('user:u')))
  t.not(refKey(message('r'), sender('user:u')), refKey(message('r'), sender('chat:w/a/c/u')))
  t.equal(refKey(message('r'), sender('user:u')), refKey(message('r'), sender('user:u')))
  for (const ref of [undefined, 0, 7]) t.equal(refKey(message(ref), sender('user:u')), undefined, String(ref))
})

t.test("a handler of the app's gets the message and its connection, and nothing else; its messages are answered once, in order", async t => {
  const calls: unknown[][] = []
  const row = rowOf((...parameters) => { calls.push(parameters) })
  const [given, from] = [message('r'), sender('user:u')]
  row.handle(given, from, { isRetry: false, bytes: 1 })
  t.strictSame(calls, [[given, from]])
  t.equal(row.onceKey, refKey)
  t.same([row.mayRetry, row.isUrgent], [undefined, undefined])
})
