import t from 'tap'
import type { Inbound } from '../../../lib/index.js'
import { refKey, rowOf, type Sender } from '../../../lib/server/inbound/message-row.js'

const sender = (channel: string) => ({ channel, connection: { id: 'c1' } }) as Sender
const message = (ref?: string | number): Inbound => ({ type: 'vote', ref })

t.test('a message is identified by its channel and its ref, if the ref is a string', async t => {
  t.not(refKey(message('r'), sender('user:u')), refKey(message('s'), sender('user:u')))
  t.not(refKey(message('r'), sender('user:u')), refKey(message('r'), sender('chat:w/a/c/u')))
  t.equal(refKey(message('r'), sender('user:u')), refKey(message('r'), sender('user:u')))
  for (const ref of [undefined, 0, 7]) t.equal(refKey(message(ref), sender('user:u')), undefined, String(ref))
})

t.test('a handler of the app gets only the message and its connection, and its messages are handled once and in order', async t => {
  const calls: unknown[][] = []
  const row = rowOf((...parameters) => { calls.push(parameters) })
  const [given, from] = [message('r'), sender('user:u')]
  row.handle(given, from, { isRetry: false, bytes: 1 })
  t.strictSame(calls, [[given, from.connection]])
  t.equal(row.onceKey, refKey)
  t.same([row.mayRetry, row.isUrgent], [undefined, undefined])
})

t.test('the row of a handler has an answer with data only if the app defines one', async t => {
  const answerOf = JSON.stringify
  t.equal(rowOf(() => {}).answerOf, undefined)
  t.equal(rowOf(() => {}, answerOf).answerOf, answerOf)
})
