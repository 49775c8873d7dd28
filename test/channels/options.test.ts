import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import t from 'tap'
import { channelContradictions } from '../../lib/channels/options.js'
import realtime, { defineChannel } from '../../lib/index.js'
import { found } from '../every.js'

const authorize = () => true
const handler = () => {}

/** Error of the registration with these channels; `undefined` if there is none. */
async function errorOf (channels: unknown): Promise<{ code?: string, message: string } | undefined> {
  const app = Fastify()
  try {
    await app.register(realtime, { channels: channels as never })
    return undefined
  } catch (error) {
    return error as Error
  } finally {
    await app.close()
  }
}

const aSchema = /It must be a TypeBox schema, such as Type\.Object\(\{\}\)/
const wrongHistories = [true, { size: 0 }, { size: 1.5 }, { ttl: 0 }, { ttl: 2 ** 31 }, { count: 5 }, null, 100]
const cases: Array<[title: string, channels: unknown, option: RegExp, cure: RegExp]> = [
  ['no object', 'board', /'channels' is 'board'/, /\{ board: defineChannel\(\{ authorize \}\) \}/],
  ['a kind that is no definition', { board: authorize }, /'channels\.board' is \[Function/, /defineChannel\(\{ authorize: \(\) => true \}\)/],
  ['a kind that is undefined', { board: undefined }, /'channels\.board' is undefined/, /defineChannel/],
  ['a kind without authorize', { board: {} }, /'channels\.board\.authorize' is undefined/, /a function that says who may subscribe/],
  ['authorize that is no function', { board: { authorize: true } }, /'channels\.board\.authorize' is true/, /a function that says who may subscribe/],
  ['authorizeAll that is no function', { board: { authorize, authorizeAll: [] } }, /'channels\.board\.authorizeAll' is \[\]/, /a function that returns the ids/],
  ['an unknown option', { board: { authorize, autorizeAll: handler } }, /no option 'channels\.board\.autorizeAll'/, /Did you mean 'channels\.board\.authorizeAll'\?/],
  ['messages that are no object', { board: { authorize, messages: [] } }, /'channels\.board\.messages' is \[\]/, /a plain object with a TypeBox schema for each type/],
  ['a message without a schema', { board: { authorize, messages: { moved: 'x' } } }, /'channels\.board\.messages\.moved' is 'x'/, aSchema],
  ['a schema that TypeBox did not make', { board: { authorize, messages: { moved: { type: 'string' } } } }, /channels\.board\.messages: the schema of 'moved'/, /Write it with Type/],
  ['an answer without a schema', { board: { authorize, answers: { move: 5 }, onMessage: { move: handler } } }, /'channels\.board\.answers\.move' is 5/, aSchema],
  ['an answer with a schema that TypeBox did not make', { board: { authorize, answers: { move: { type: 'x' } }, onMessage: { move: handler } } },
    /channels\.board\.answers: the schema of 'move'/, /Write it with Type/],
  ['an answer without a handler', { board: { authorize, answers: { move: Type.Null() } } }, /'channels\.board\.answers\.move'/, /Add 'channels\.board\.onMessage\.move'/],
  ['an answer of an undefined handler', { board: { authorize, answers: { move: Type.Null() }, onMessage: { move: undefined } } },
    /'channels\.board\.answers\.move'/, /Add 'channels\.board\.onMessage\.move'/],
  ['handlers that are no object', { board: { authorize, onMessage: handler } }, /'channels\.board\.onMessage' is \[Function/, /a plain object with a function for each type/],
  ['a handler that is no function', { board: { authorize, onMessage: { move: 'x' } } }, /'channels\.board\.onMessage\.move' is 'x'/, /a function/],
  ...wrongHistories.map((history): [string, unknown, RegExp, RegExp] =>
    [`the history ${JSON.stringify(history)}`, { board: { authorize, history } }, /'channels\.board\.history' is/, /false, or \{ size, ttl \}/]),
  ...['', 'Board', 'my-board', 'a:b', '1a', 'x'.repeat(33), 'é'].map((name): [string, unknown, RegExp, RegExp] =>
    [`the name '${name}'`, { [name]: { authorize } }, new RegExp(`'${name}' in 'channels' is not a name`), /write a lower-case letter/]),
  ...['user', 'broadcast', 'chat', 'inbox', 'presence'].map((name): [string, unknown, RegExp, RegExp] =>
    [`the name '${name}'`, { [name]: { authorize } }, new RegExp(`'${name}' in 'channels' is reserved`), /Choose another name/]),
  ...['subscribe', 'unsubscribe', 'presence', 'ping', 'renew'].flatMap((type): Array<[string, unknown, RegExp, RegExp]> => [
    [`a handler for '${type}'`, { board: { authorize, onMessage: { [type]: handler } } }, new RegExp(`'${type}' in 'channels\\.board'`), /Choose another type/],
    [`a schema for '${type}'`, { board: { authorize, messages: { [type]: Type.Null() } } }, new RegExp(`'${type}' in 'channels\\.board'`), /Choose another type/]
  ]),
  ...['ack', 'subscribed', 'notification', 'chat_message'].map((type): [string, unknown, RegExp, RegExp] =>
    [`a schema for '${type}'`, { board: { authorize, messages: { [type]: Type.Null() } } }, new RegExp(`'${type}' is reserved`), /Choose another name/])
]

for (const [title, channels, option, cure] of cases) {
  t.test(`${title} in the option channels is refused with the cure`, async t => {
    const error = await errorOf(channels)
    t.equal(error?.code, 'RT_ERR_OPTIONS')
    t.match(error?.message, option)
    t.match(error?.message, cure)
  })
}

t.test('valid channel kinds are accepted', async t => {
  const right = {
    board: defineChannel({ authorize }),
    [`a_2${'x'.repeat(29)}`]: {
      authorize,
      authorizeAll: (_identity: unknown, ids: string[]) => ids,
      messages: { moved: Type.Null(), order: Type.Object({}) },
      answers: { move: Type.Integer() },
      onMessage: { move: handler, gone: undefined, subscribe: undefined },
      history: { size: 1, ttl: 2 ** 31 - 1 }
    },
    none: { authorize, authorizeAll: undefined, messages: undefined, answers: undefined, onMessage: undefined, history: undefined },
    live: { authorize, history: false },
    half: { authorize, history: { size: undefined, ttl: 5 } }
  }
  t.equal(await errorOf(right), undefined)
  t.strictSame(found(channelContradictions({ channels: right as never }), ([isWrong]) => isWrong), [])
})

t.test('a kind and the option onMessage may handle the same type', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const onMessage = { move: handler }
  await t.resolves(async () => { await app.register(realtime, { onMessage, channels: { board: { authorize, onMessage } } }) })
})
