import fc from 'fast-check'
import t from 'tap'
import { chatChannel, type ChatAddress } from '../../lib/chat/address.js'
import { broadcastChannel, userChannel } from '../../lib/notifications/kinds.js'
import { isId } from '../../lib/protocol/ids.js'

const alphabet = [...'aA0_.@:+~|-']
const id = fc.string({ unit: fc.constantFrom(...alphabet), minLength: 1, maxLength: 6 }).filter(isId)
const address: fc.Arbitrary<ChatAddress> = fc.record({ workflow: id, appId: id, chatId: id, userId: id }, { noNullPrototype: true })

t.test('an invalid id is refused with an error that shows the id', async t => {
  const wrong: Array<[id: unknown, message: RegExp]> = [
    ['', /^"" is not a valid id/], ['a/b', /^"a\/b"/], [undefined, /^undefined/], [null, /^null/], ['.', /^"\." is not a valid id.*neither '\.' nor '\.\.'/], ['..', /^"\.\."/], [5, /^5/], [Symbol('s'), /^Symbol\(s\)/],
    ['x'.repeat(1_000), /^"x{139} is not/], [{ toString: () => 'a' }, /^An object/]
  ]
  for (const [id, message] of wrong) {
    t.throws(() => userChannel(id as string), { code: 'RT_ERR_INVALID_ID', statusCode: 400, message })
    for (const part of ['workflow', 'appId', 'chatId', 'userId']) {
      const address = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'u', [part]: id } as ChatAddress
      t.throws(() => chatChannel(address), { code: 'RT_ERR_INVALID_ID' }, part)
    }
  }
  t.throws(() => chatChannel({ workflow: 'notifications', appId: 'a', chatId: 'c', userId: 'u' }), { code: 'RT_ERR_INVALID_ID', message: /'notifications'/ })
})

t.test('the error of an invalid chat address names its fields, and how to spell them', async t => {
  const right = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' }
  const cases: Array<[address: unknown, message: RegExp]> = [
    [{ workflow: 'w', app_id: 'a', chat_id: 'c', user_id: 'u' },
      /^undefined as 'appId', 'chatId', 'userId' of a chat \(there is 'app_id', 'chat_id', 'user_id': write 'appId', 'chatId', 'userId'\)/],
    [{ workflow: 'w', appId: 'a', chatId: 'c', user_id: 'u' }, /^undefined as 'userId' of a chat \(there is 'user_id': write 'userId'\)/],
    [{ ...right, chatId: undefined, chatid: 'c' }, /^undefined as 'chatId' of a chat \(there is 'chatid': write 'chatId'\)/],
    [{ workflow: 'w', appId: 'a', chatId: 'c' }, /^undefined as 'userId' of a chat is not a valid id/],
    [{ workflow: 'w', appId: 'a', user_id: 'u' }, /^undefined as 'chatId', 'userId' of a chat \(there is 'user_id': write 'userId'\)/],
    [{ workflow: 'w', appId: 'a', chatId: 'c', user_id: 'u', tenant: 't' }, /\(there is 'user_id': write 'userId'\)/],
    [{}, /^undefined as 'workflow', 'appId', 'chatId', 'userId' of a chat is not/],
    [{ ...right, appId: 'a/b' }, /^"a\/b" as 'appId' of a chat is not a valid id/],
    [{ ...right, userId: 5 }, /^5 as 'userId' of a chat is not/],
    [{ ...right, workflow: null }, /^null as 'workflow' of a chat is not/],
    ['w/a/c/u', /^The address of a chat is \{ workflow, appId, chatId, userId \}, and "w\/a\/c\/u" is not a valid id/],
    [undefined, /^The address of a chat is \{ workflow, appId, chatId, userId \}, and undefined is not/],
    [null, /^The address of a chat is .*, and null is not/]
  ]
  for (const [address, message] of cases) t.throws(() => chatChannel(address as ChatAddress), { code: 'RT_ERR_INVALID_ID', statusCode: 400, message })
})

t.test('no two addresses have the same channel', async t => {
  const key = (address: ChatAddress) => JSON.stringify([address.workflow, address.appId, address.chatId, address.userId])
  t.test('two different chat addresses have different channels', async t => {
    t.doesNotThrow(() => fc.assert(fc.property(address, address, (a, b) => {
      return (key(a) === key(b)) === (chatChannel(a) === chatChannel(b))
    }), { numRuns: 2_000 }))
  })

  t.test('addresses with the same characters, divided differently, have different channels', async t => {
    // All ways to divide one text into four ids.
    t.doesNotThrow(() => fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...alphabet), minLength: 4, maxLength: 10 }), text => {
      const channels: string[] = []
      for (let a = 1; a < text.length; a++) {
        for (let b = a + 1; b < text.length; b++) {
          for (let c = b + 1; c < text.length; c++) {
            const [workflow, appId, chatId, userId] = [text.slice(0, a), text.slice(a, b), text.slice(b, c), text.slice(c)]
            if ([workflow, appId, chatId, userId].every(isId)) channels.push(chatChannel({ workflow, appId, chatId, userId }))
          }
        }
      }
      return new Set(channels).size === channels.length
    }), { numRuns: 200 }))
  })

  t.test('a chat, a user and the broadcast have different channels', async t => {
    t.doesNotThrow(() => fc.assert(fc.property(address, id, id, (address, one, other) => {
      const channels = [chatChannel(address), userChannel(one), broadcastChannel]
      return new Set(channels).size === 3 && (one === other) === (userChannel(one) === userChannel(other))
    }), { numRuns: 500 }))
  })
})
