import t from 'tap'
import { insertPage } from '../../../lib/client/chat/history.js'
import { at, conversation, delta, ids, pending, publication, texts } from './conversation.js'

const stored = (id: string, second: number, more: object = {}) => ({ message_id: id, role: 'user', content: id, status: 'complete' as const, timestamp: at(second), ...more })

t.test('insertPage inserts a page of the history into the items', async t => {
  const live = () => conversation(['chat_message', { message_id: 'c', content: 'c' }, 30], ['tool_call', { call_id: 't', run_id: 'r', name: 'n' }, 31], ['chat_message', { message_id: 'd', content: 'd' }, 32])

  t.test('a page of the history adds its unknown items before the known ones', async t => {
    const chat = live()
    const before = chat.items[0]
    insertPage(chat, { messages: [stored('a', 10), stored('b', 20), stored('c', 29)], is_complete: false })
    t.strictSame(ids(chat), ['a', 'b', 'c', 't', 'd'])
    t.equal(chat.items[2], before)
    t.equal(chat.isComplete, false)
    insertPage(chat, { messages: [stored('-1', 10), stored('0', 10)], is_complete: true }, 'a')
    t.strictSame(ids(chat), ['-1', '0', 'a', 'b', 'c', 't', 'd'])
    t.equal(chat.isComplete, true)
  })

  t.test('a page without a known message is sorted in by time', async t => {
    const chat = live()
    insertPage(chat, { messages: [stored('a', 10), stored('b', 31)], is_complete: true })
    t.strictSame(ids(chat), ['a', 'c', 't', 'b', 'd'])
  })

  t.test('a refused message that is in the page is complete, because only its answer was lost', async t => {
    const chat = live()
    chat.send(pending('m'))
    chat.refuse('m', { code: 'timeout', message: '' })
    insertPage(chat, { messages: [stored('m', 33)], is_complete: true })
    t.match(chat.items.at(-1), { id: 'm', status: 'complete', error: undefined })
  })

  t.test('a page before a known message is inserted there, whatever its timestamps are', async t => {
    for (const timestamp of [undefined, 'nonsense', at(99)]) {
      const chat = live()
      insertPage(chat, { messages: [stored('a', 0, { timestamp }), stored('b', 0, { timestamp })], is_complete: true }, 'c')
      t.strictSame(ids(chat), ['a', 'b', 'c', 't', 'd'], `${timestamp}`)
    }
  })

  t.test('a page of the history completes interrupted messages, and leaves streaming messages unchanged', async t => {
    const chat = conversation(delta('a', 0, 'abc'), delta('b', 0, 'xyz'))
    chat.doubt()
    chat.apply(publication(...delta('b', 3, '!')))
    insertPage(chat, { messages: [stored('a', 1, { content: 'abcdef' }), stored('b', 2, { content: 'x', status: 'streaming' }), stored('old', 0, { status: 'streaming' })], is_complete: true })
    t.strictSame(texts(chat).sort(), ['abcdef: complete', 'old: interrupted', 'xyz!: streaming'])
    t.strictSame(chat.runs, ['r'])
  })

  t.test('a pending message that is in the page is complete, because only its answer was lost', async t => {
    const chat = live()
    chat.send(pending('m'))
    insertPage(chat, { messages: [stored('d', 32), stored('m', 33)], is_complete: true })
    t.match(chat.items.at(-1), { id: 'm', status: 'complete', createdAt: at(33) })
    t.equal(chat.items.length, 4)
  })

  t.test('after a loss, a page without a link to the older items drops them', async t => {
    const chat = live()
    chat.isComplete = true
    chat.doubt()
    chat.apply(publication('chat_message', { message_id: 'z', content: 'z' }, 90))
    insertPage(chat, { messages: [stored('x', 70), stored('y', 80), stored('z', 90)], is_complete: false })
    t.strictSame(ids(chat), ['x', 'y', 'z'])
    t.equal(chat.isComplete, false)
  })

  t.test('only the newest page after a loss shows whether older items are missing, and a later one drops nothing', async t => {
    const chat = live()
    chat.doubt()
    insertPage(chat, { messages: [stored('older', 10)], is_complete: false }, 'c')
    t.equal(chat.hasHole, true, 'a page before a known message')
    insertPage(chat, { messages: [stored('d', 32), stored('y', 80)], is_complete: false })
    t.equal(chat.hasHole, false)
    insertPage(chat, { messages: [stored('x', 70), stored('z', 90)], is_complete: false })
    t.strictSame(ids(chat), ['older', 'c', 't', 'd', 'x', 'y', 'z'])
  })

  t.test('after a loss, a page with a link to the older items, or a complete one, keeps them', async t => {
    for (const [messages, isComplete] of [[[stored('d', 32), stored('y', 80)], false], [[stored('x', 70), stored('y', 80)], true]] as const) {
      const chat = live()
      chat.doubt()
      insertPage(chat, { messages, is_complete: isComplete })
      t.equal(ids(chat)[0], 'c')
      t.equal(ids(chat).at(-1), 'y')
    }
  })
})
