import t from 'tap'
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
