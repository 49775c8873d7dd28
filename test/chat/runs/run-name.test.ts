import t from 'tap'
import { isStartedBy, runNameOf, type RunOrigin } from '../../../lib/chat/runs/run-name.js'

const target = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'ada' }
const isMeant = (ref: string | number, userId: string, origin: RunOrigin) => isStartedBy(origin, runNameOf(ref, userId, target))

t.test('a name without a slash stands for messages of the user who sends it', async t => {
  const owners = { userId: 'ada', ref: 'r', messageId: 'm' }
  const guests = { userId: 'bob', ref: 'r', messageId: 'bob/m' }
  for (const name of ['r', 'm']) {
    t.strictSame(['ada', 'bob', 'eve'].map(user => isMeant(name, user, owners)), [true, false, false], name)
    t.strictSame(['ada', 'bob', 'eve'].map(user => isMeant(name, user, guests)), [false, true, false], name)
  }
})

t.test('a name with a slash is a message_id for every user', async t => {
  const origin = { userId: 'bob', ref: 'r', messageId: 'bob/m' }
  for (const user of ['ada', 'bob', 'eve']) t.equal(isMeant('bob/m', user, origin), true)
  for (const name of ['ada/m', 'bob/r', 'bob/', '/m', 'eve/bob/m']) t.equal(isMeant(name, 'ada', origin), false, name)
})

t.test('every user can name a run of the app by its ref', async t => {
  for (const user of ['ada', 'bob']) t.equal(isMeant('greeting', user, { userId: 'ada', ref: 'greeting' }), true)
  t.strictSame(['undefined', 'other'].map(name => isMeant(name, 'ada', { userId: 'ada' })), [false, false])
  t.equal(isMeant('other', 'ada', { userId: 'ada', ref: 'greeting' }), false)
})

t.test('a number and its digits are the same name', async t => {
  t.strictSame([isMeant(5, 'ada', { userId: 'ada', ref: 5 }), isMeant('5', 'ada', { userId: 'ada', ref: 5 }), isMeant(5, 'bob', { userId: 'ada', ref: 5, messageId: '/x' })],
    [true, true, false])
})

t.test('the id of a run is not a name for its message', async t => {
  for (const messageId of ['r', undefined]) t.equal(isStartedBy({ userId: 'ada', ref: 'r', messageId }, { runId: 'r' }), false)
})
