import t from 'tap'
import { defineChannel } from '../../../lib/index.js'
import { connect, start } from '../../harness.js'

const chat = '/ws/support/app/c1/u1'
const notifications = '/ws/notifications/u1'

const rows: Array<[type: string, path: string, says: RegExp]> = [
  ['chat_message', chat, /needs the option 'chat\.onMessage'/],
  ['chat_history', chat, /needs the option 'chat\.loadHistory'/],
  ['chat_message', notifications, /for chats only.*\/:workflow\/:app_id\/:chat_id\/:user_id/],
  ['chat_history', notifications, /for chats only/],
  ['chat_cancel', notifications, /for chats only/],
  ['input_response', notifications, /for chats only/],
  ['renew', chat, /no option 'renew'/],
  ['renew', notifications, /no option 'renew'/],
  ['vote', chat, /no handler for 'vote'.*'onMessage'/],
  ['chat_delta', chat, /no handler for 'chat_delta'.*'onMessage'/]
]
const dataOf: Record<string, object> = {
  chat_message: { content: 'q' },
  renew: { token: 't' },
  input_response: { request_id: 'r', value: 1 },
  chat_delta: { message_id: 'm', at: 0, text: 't' }
}

t.test('a type that only a channel kind of the app handles is for its channels, and the error says so', async t => {
  const board = defineChannel({ authorize: () => true, onMessage: { move () {} } })
  const { url } = await start(t, { channels: { board } })
  for (const path of [chat, notifications]) {
    const client = await connect(t, url + path)
    client.send({ type: 'move', ref: 1 })
    t.match(await client.next('error'), { data: { code: 'unknown_type', message: "'move' is for boards only. Subscribe to such a channel and name it in 'channel'" } })
  }
})

t.test('a channel kind and the option onMessage may handle the same type, and each gets the messages of its channels', async t => {
  const handled: string[] = []
  const kindOf = (name: string) => defineChannel({ authorize: () => true, onMessage: { move: (_message, { channel }) => { handled.push(`${name} ${channel.id}`) } } })
  const other = defineChannel({ authorize: () => true })
  const { url } = await start(t, {
    onMessage: { move: ({ channel }) => { handled.push(`app ${channel}`) } },
    channels: { board: kindOf('board'), list: kindOf('list'), other }
  })
  const client = await connect(t, url + notifications)
  client.send({ type: 'subscribe', data: { channels: ['board:b', 'list:l', 'other:o'].map(channel => ({ channel })) } })
  for (const channel of ['board:b', 'list:l', 'other:o', 'user:u1', undefined]) client.send({ type: 'move', ref: 1, channel })
  for (let n = 0; n < 5; n++) await client.next('ack')
  t.strictSame(handled.sort(), ['app other:o', 'app undefined', 'app user:u1', 'board b', 'list l'])
})

for (const hasChat of [false, true]) {
  for (const [type, path, says] of rows.filter(([, path]) => !hasChat || path === notifications)) {
    t.test(`${type} on ${path}${hasChat ? ' with all hooks of chats' : ''}: the error names the missing option or the right path`, async t => {
      const options = hasChat ? { chat: { onMessage () {}, loadHistory: () => [] } } : {}
      const { url } = await start(t, options)
      const client = await connect(t, url + path)
      client.send({ type, ref: 1, data: dataOf[type] })
      const { data } = await client.next('error')
      t.equal(data!.code, 'unknown_type')
      t.match(data!.message, says)
    })
  }
}

t.test('an app that handles a message type of a path itself is refused at its start', async t => {
  const cure = { code: 'RT_ERR_OPTIONS', message: /'onMessage\.chat_cancel': the plugin handles 'chat_cancel' itself\. Choose another type/ }
  await t.rejects(start(t, { onMessage: { chat_cancel () {} }, chat: { onMessage () {} } }), cure)
})
