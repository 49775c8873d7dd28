import { Type } from '@sinclair/typebox'
import t from 'tap'
import type { Channel, ChannelDefinition } from '../../lib/channels/define.js'
import { kindOf } from '../../lib/channels/kind.js'
import { AppLog } from '../../lib/channels/log.js'
import type { Identity, RealtimeConnection } from '../../lib/index.js'
import { refKey, type Sender } from '../../lib/server/inbound/message-row.js'

const ada = { userId: 'ada' }
const parts = { maxBytes: 1_000, channelOf: (kind: string, id: string) => ({ kind, id }) as Channel }
const of = (definition: Partial<ChannelDefinition>) => kindOf('board', { authorize: () => true, ...definition }, parts)

t.test('a kind has its name, starts with the next publication and keeps removals in its logs', async t => {
  const kind = of({})
  t.match(kind, { name: 'board', label: 'k', start: 'now', isUnnamed: undefined, ownerOf: undefined })
  t.type(kind.createLog!('e', { size: 1, ttl: 1, lag: 1 }, () => ''), AppLog)
})

t.test('the history of a kind is that of the broker, its own, or none', async t => {
  t.equal(of({}).retention, undefined)
  t.strictSame(of({ history: { size: 5 } }).retention, { size: 5 })
  t.match(of({ history: false }).retention, { size: 0, ttl: 1, stored: { size: 1_000, ttl: 10_000 } })
})

t.test('ids of channels follow the rule for ids', async t => {
  const { isValid } = of({}).access!
  t.strictSame(['b1', 'a:b', 'a/b', '', 'a b', 'x'.repeat(128), 'x'.repeat(129)].map(isValid), [true, true, false, false, false, true, false])
})

t.test('authorize decides about each channel, and true is a yes, false and undefined are a no', async t => {
  const asked: unknown[] = []
  const verdicts: Record<string, boolean | undefined> = { yes: true, no: false, 'a:b': true }
  const { access } = of({
    authorize: (identity, channel) => {
      asked.push([identity, channel])
      return channel.id === 'no' ? Promise.resolve(false) : verdicts[channel.id]
    }
  })
  t.equal(access!.isJoint, false)
  t.strictSame(await access!.decide(ada, ['board:yes', 'board:no', 'board:other', 'board:a:b']), [true, false, false, true])
  t.strictSame(asked, ['yes', 'no', 'other', 'a:b'].map(id => [ada, { kind: 'board', id }]))
})

t.test('authorizeAll is asked once instead of authorize, and only ids that it returns are a yes', async t => {
  const asked: Array<[Identity, readonly string[]]> = []
  for (const allowed of [['b', 'c', 'never-asked'], new Set(['b', 'c'])]) {
    const { access } = of({
      authorize: () => { throw new Error('not asked') },
      authorizeAll: async (identity, ids) => {
        asked.push([identity, ids])
        return allowed
      }
    })
    t.equal(access!.isJoint, true)
    t.strictSame(await access!.decide(ada, ['board:a', 'board:b', 'board:c', 'board:constructor']), [false, true, true, false])
  }
  t.strictSame(asked, Array(2).fill([ada, ['a', 'b', 'c', 'constructor']]))
})

t.test('a user who is hidden may subscribe, by either hook, and a Map may hide the user in some channels', async t => {
  const hidden = { presence: 'hidden' as const }
  t.strictSame(await of({ authorize: () => hidden }).access!.decide(ada, ['board:a']), ['hidden'])
  const { access } = of({ authorizeAll: () => new Map<string, true | typeof hidden>([['a', hidden], ['b', true]]) })
  t.strictSame(await access!.decide(ada, ['board:a', 'board:b', 'board:c']), ['hidden', true, false])
})

t.test('a verdict of another type is an error that names the option', async t => {
  for (const verdict of ['yes', 1, 0, null, {}]) {
    await t.rejects(of({ authorize: () => verdict as never }).access!.decide(ada, ['board:a']), { name: 'TypeError', message: /'channels\.board\.authorize'/ })
  }
  for (const allowed of ['abc', true, undefined, null, { a: true }, new Map([['a', 'yes']])]) {
    const { access } = of({ authorizeAll: () => allowed as never })
    await t.rejects(access!.decide(ada, ['board:a']), { name: 'TypeError', message: /'channels\.board\.authorizeAll'.*an array or a Set/ })
  }
})

t.test('an error of authorize and of authorizeAll makes no decision', async t => {
  const fail = () => { throw new Error('of the app') }
  for (const definition of [{ authorize: fail }, { authorizeAll: fail }, { authorize: async () => fail() }]) {
    await t.rejects(of(definition).access!.decide(ada, ['board:a']), { message: 'of the app' })
  }
})

t.test('a handler gets the message, its channel and its connection, and is called once for a ref', async t => {
  const calls: unknown[][] = []
  const { rows } = of({ onMessage: { move: (...parameters) => { calls.push(parameters) }, gone: undefined } })
  t.strictSame([...rows!.keys()], ['move'])
  const row = rows!.get('move')!
  t.match(row, { onceKey: refKey, answerOf: undefined, mayRetry: undefined, isUrgent: undefined })
  const message = { type: 'move', ref: 'r' }
  const connection = { userId: 'ada' } as RealtimeConnection
  row.handle(message, { connection, channel: 'board:a:b', userId: 'ada' } as Sender, { bytes: 1, isRetry: false })
  t.strictSame(calls, [[message, { channel: { kind: 'board', id: 'a:b' }, connection }]])
})

t.test('what a handler returns is the answer if the type has a schema of answers', async t => {
  const handle = () => 7
  const { rows } = of({ onMessage: { move: handle, quiet: handle, constructor: handle }, answers: { move: Type.Integer() } })
  t.equal(rows!.get('move')!.answerOf!(7), '7')
  t.throws(() => rows!.get('move')!.answerOf!('x'), { name: 'TypeError', message: /'channels\.board\.answers'/ })
  t.strictSame([rows!.get('quiet')!.answerOf, rows!.get('constructor')!.answerOf], [undefined, undefined])
  t.throws(() => of({ onMessage: { move: handle }, answers: { move: { type: 'x' } as never } }), { code: 'RT_ERR_OPTIONS', message: /channels\.board\.answers/ })
})
