import t from 'tap'
import { chatContradictions } from '../../lib/chat/options.js'

t.test("users' chat messages go to one hook: a second one for them is a contradiction, and its cure is named", async t => {
  const wrongOf = (chat: object, onMessage: object) => chatContradictions({ chat: { concurrency: 'queue', ...chat }, onMessage: onMessage as never })
    .filter(([isWrong]) => isWrong).map(([, cure]) => cure)
  const handler = () => {}
  t.strictSame(wrongOf({ onMessage: handler }, { vote: handler }), [])
  t.strictSame(wrongOf({}, { chat_message: handler }), [])
  t.match(wrongOf({ onMessage: handler }, { chat_message: handler }), [/both for users' chat messages. Remove one of them/])
})
