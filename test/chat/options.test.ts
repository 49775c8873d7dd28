import t from 'tap'
import { chatContradictions } from '../../lib/chat/options.js'

t.test('two hooks for the chat messages of users are a contradiction, whose text names the cure', async t => {
  const wrongOf = (chat: object, onMessage: object) => chatContradictions({ chat: { concurrency: 'queue', ...chat }, onMessage: onMessage as never })
    .filter(([isWrong]) => isWrong).map(([, cure]) => cure)
  const handler = () => {}
  t.strictSame(wrongOf({ onMessage: handler }, { vote: handler }), [])
  t.strictSame(wrongOf({}, { chat_message: handler }), [])
  t.match(wrongOf({ onMessage: handler }, { chat_message: handler }), [/both for users' chat messages. Remove one of them/])
})
