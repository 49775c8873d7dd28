import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineChannel } from '../../lib/index.js'
import { as, authenticateByHeader, connect, start, type Client } from '../harness.js'
import { framesOf, isSpy, startBoards, stateOf, subscribe, update, usersOf } from '../presence/boards.js'
import { found } from '../every.js'

// Most of a test is waiting.
t.jobs = 4

t.test('a subscriber gets the state after subscribed, and the others get the difference', async t => {
  const { join, app } = await startBoards(t)
  const [ada, bob] = [await join('ada'), await join('bob')]
  await subscribe(ada)
  const types = ada.received.map(({ type }) => type)
  t.strictSame(types.slice(types.indexOf('subscribed')), ['subscribed', 'presence'])
  t.strictSame(framesOf(ada), [{ count: 1, members: [{ user_id: 'ada', connections: [{ id: ada.ack.data.connection_id }] }] }])
  await subscribe(bob)
  await ada.until(() => framesOf(ada).length === 2)
  t.strictSame(framesOf(ada)[1], { count: 2, joined: [{ user_id: 'bob', connections: [{ id: bob.ack.data.connection_id }] }] })
  t.equal((await update(bob, { cursor: 'c1' })).type, 'ack')
  await ada.until(() => framesOf(ada).length === 3)
  const updated = [{ user_id: 'bob', connections: [{ id: bob.ack.data.connection_id, data: { cursor: 'c1' } }] }]
  t.strictSame(framesOf(ada)[2], { count: 2, updated })
  t.strictSame(await app.ws.channel('board', 'b1').members(), [
    { userId: 'ada', connections: [{ id: ada.ack.data.connection_id }] },
    { userId: 'bob', connections: [{ id: bob.ack.data.connection_id, data: { cursor: 'c1' } }] }
  ])
  bob.send({ type: 'unsubscribe', data: { channels: ['board:b1'] } })
  await ada.until(() => framesOf(ada).length === 4)
  t.strictSame(framesOf(ada)[3], { count: 1, left: [{ user_id: 'bob', connections: [bob.ack.data.connection_id] }] })
})

t.test('a goodbye and a removal are shown at once', async t => {
  const { join, app } = await startBoards(t)
  const [ada, bob, eve] = [await join('ada'), await join('bob'), await join('eve')]
  for (const client of [ada, bob, eve]) await subscribe(client)
  await ada.until(() => stateOf(ada).count === 3)
  const began = performance.now()
  bob.socket.close(1000)
  await ada.until(() => stateOf(ada).count === 2)
  await app.ws.channel('board', 'b1').remove('eve')
  await ada.until(() => stateOf(ada).count === 1)
  t.ok(performance.now() - began < 3_000, 'before a grace period could end')
  t.strictSame(usersOf(ada), ['ada'])
})

t.test('a connection that is cut stays for 5 s', async t => {
  const { join } = await startBoards(t)
  const [ada, bob] = [await join('ada'), await join('bob')]
  for (const client of [ada, bob]) await subscribe(client)
  await ada.until(() => stateOf(ada).count === 2)
  const began = performance.now()
  bob.socket.terminate()
  await ada.until(() => stateOf(ada).count === 1)
  const took = performance.now() - began
  t.ok(took > 4_900 && took < 6_500, `${took} ms`)
})

t.test('a connection within the grace period of another one of its user replaces it in one frame, without its data', async t => {
  const { join } = await startBoards(t)
  const [ada, bob] = [await join('ada'), await join('bob')]
  for (const client of [ada, bob]) await subscribe(client)
  await update(bob, { cursor: 'c1' })
  await ada.until(() => stateOf(ada).members[1]?.connections[0].data)
  const before = framesOf(ada).length
  bob.socket.terminate()
  const again = await join('bob')
  await subscribe(again)
  await ada.until(() => framesOf(ada).length > before)
  t.strictSame(framesOf(ada).slice(before), [{
    count: 2,
    joined: [{ user_id: 'bob', connections: [{ id: again.ack.data.connection_id }] }],
    left: [{ user_id: 'bob', connections: [bob.ack.data.connection_id] }]
  }])
})

t.test('a user is present until the last connection has left', async t => {
  const { join } = await startBoards(t)
  const [ada, phone, laptop] = [await join('ada'), await join('bob'), await join('bob')]
  for (const client of [ada, phone, laptop]) await subscribe(client)
  await ada.until(() => stateOf(ada).members[1]?.connections.length === 2)
  t.equal(stateOf(ada).count, 2)
  phone.socket.close(1000)
  await ada.until(() => stateOf(ada).members[1].connections.length === 1)
  t.strictSame([stateOf(ada).count, usersOf(ada)], [2, ['ada', 'bob']])
})

t.test('a hidden user sees the others and is listed for nobody', async t => {
  const { join, app } = await startBoards(t)
  const [ada, spy] = [await join('ada'), await join('spy')]
  await subscribe(spy)
  t.strictSame(framesOf(spy), [{ count: 0, members: [] }])
  await subscribe(ada)
  await spy.until(() => stateOf(spy).count === 1)
  t.strictSame([usersOf(ada), usersOf(spy)], [['ada'], ['ada']])
  t.equal((await app.ws.channel('board', 'b1').members()).length, 1)
})

t.test('updates that are hostile get an error and reach nobody', async t => {
  const { join } = await startBoards(t)
  const [ada, bob, spy] = [await join('ada'), await join('bob'), await join('spy')]
  for (const client of [ada, bob, spy]) await subscribe(client)
  await subscribe(bob, 'board:other')
  bob.send({ type: 'subscribe', data: { channels: [{ channel: 'plain:p1' }] } })
  await ada.until(() => stateOf(ada).count === 2)
  const before = framesOf(ada).length
  const codeOf = async (client: Client, data: unknown, channel?: string) => {
    const answer = await update(client, data, channel)
    return (answer.data as { code?: string } | undefined)?.code
  }
  t.equal(await codeOf(bob, { cursor: 'x'.repeat(2_000) }), 'too_big')
  t.equal(await codeOf(bob, { cursor: 7 }), 'bad_message')
  t.equal(await codeOf(bob, { cursor: 'c', id: ada.ack.data.connection_id }), 'bad_message', 'another connection')
  t.equal(await codeOf(ada, { cursor: 'c' }, 'board:other'), 'not_subscribed')
  t.equal(await codeOf(ada, { cursor: 'c' }, 'presence:board:b1'), 'not_subscribed')
  t.equal(await codeOf(spy, { cursor: 'c' }), 'presence_hidden')
  t.equal(await codeOf(bob, { cursor: 'c' }, 'plain:p1'), 'no_presence')
  ada.send({ type: 'subscribe', data: { channels: [{ channel: 'presence:board:b1' }] } })
  t.match(await ada.next('unsubscribed'), { data: { reason: 'forbidden' } })
  t.equal(await codeOf(bob, undefined), undefined, 'no data is valid')
  t.strictSame(framesOf(ada).slice(before), [])
})

t.test('updates that come too often are no error, and the last one is shown', async t => {
  const { join } = await startBoards(t, { limits: { rate: 1_000, burst: 1_000 } })
  const [ada, bob] = [await join('ada'), await join('bob')]
  for (const client of [ada, bob]) await subscribe(client)
  await ada.until(() => stateOf(ada).count === 2)
  const before = framesOf(ada).length
  const began = performance.now()
  for (let n = 1; n <= 100; n++) t.equal((await update(bob, { cursor: `c${n}` })).type, 'ack')
  await ada.until(() => (stateOf(ada).members[1].connections[0].data as { cursor: string })?.cursor === 'c100')
  const took = performance.now() - began
  const frames = framesOf(ada).length - before
  t.ok(frames <= 2 + took / 200, `${frames} frames in ${took} ms`)
})

t.test('above the maximum only the number of members is sent, and below 90 % of it a state', async t => {
  const { join } = await startBoards(t)
  const ada = await join('ada')
  await subscribe(ada)
  const others = await Promise.all(Array.from({ length: 11 }, (_, n) => join(`user_${n}`)))
  await Promise.all(others.map(other => subscribe(other)))
  await ada.until(() => stateOf(ada).count === 12)
  t.strictSame(framesOf(ada).at(-1), { count: 12, members: null })
  const before = framesOf(ada).length
  await update(others[0], { cursor: 'c' })
  for (const other of others.slice(0, 2)) other.socket.close(1000)
  await ada.until(() => stateOf(ada).count === 10)
  t.strictSame(found(framesOf(ada).slice(before), ({ members }) => members !== null), [], 'no list yet')
  others[2].socket.close(1000)
  await ada.until(() => stateOf(ada).count === 9)
  t.equal(framesOf(ada).at(-1)!.members!.length, 9)
})

t.test('a client that did not read gets one frame for all that it has missed', async t => {
  const { join } = await startBoards(t)
  const [ada, bob] = [await join('ada'), await join('bob')]
  for (const client of [ada, bob]) await subscribe(client)
  await ada.until(() => stateOf(ada).count === 2)
  const before = framesOf(ada).length
  ada.send({ type: 'unsubscribe', data: { channels: ['board:b1'] } })
  await ada.next('unsubscribed')
  for (let n = 0; n < 4; n++) {
    await update(bob, { cursor: `${n}` })
    await bob.until(() => (stateOf(bob).members.at(-1)!.connections[0].data as { cursor: string })?.cursor === `${n}`)
  }
  await subscribe(ada)
  t.equal(framesOf(ada).length, before + 1)
  t.strictSame(framesOf(ada).at(-1)!.members!.length, 2)
})

t.test('a chat has presence on its path and by frame, and the data of a connection', async t => {
  const { app, url } = await start(t, {
    authenticate: authenticateByHeader,
    authorize: ({ userId }) => isSpy(userId) ? { presence: 'hidden' } : true,
    chat: { presence: { data: Type.Object({ typing: Type.Boolean() }) } }
  })
  const path = `${url}/ws/support/shop/c1/ada`
  const channel = 'chat:support/shop/c1/ada'
  const ada = await connect(t, path, as('ada'))
  await ada.until(() => framesOf(ada, channel).length === 1)
  const [bob, spy] = [await connect(t, `${url}/ws/notifications/bob`, as('bob')), await connect(t, path, as('spy'))]
  await subscribe(bob, channel)
  await ada.until(() => stateOf(ada, channel).count === 2)
  ada.send({ type: 'presence', data: { typing: true } })
  await bob.until(() => stateOf(bob, channel).members.find(({ userId }) => userId === 'ada')?.connections[0].data)
  await spy.until(() => stateOf(spy, channel).count === 2)
  const address = { workflow: 'support', appId: 'shop', chatId: 'c1', userId: 'ada' }
  t.strictSame((await app.ws.chat(address).members()).map(({ userId }) => userId), ['ada', 'bob'])
})

t.test('members of a channel that nobody reads are none, and of a kind without presence an error', async t => {
  const { app } = await startBoards(t)
  t.strictSame(await app.ws.channel('board', 'empty').members(), [])
  await t.rejects(app.ws.channel('plain', 'p1').members(), { code: 'RT_ERR_NO_PRESENCE', message: /channels\.plain\.presence/ })
})

t.test('an identity that is renewed may become hidden, and listed again', async t => {
  const isHidden = (identity: object) => 'isHidden' in identity && identity.isHidden === true
  const board = defineChannel({ authorize: identity => isHidden(identity) ? { presence: 'hidden' } : true, presence: true })
  const { url } = await start(t, {
    channels: { board },
    authenticate: authenticateByHeader,
    authorize: identity => isHidden(identity) ? { presence: 'hidden' } : undefined,
    renew: token => ({ userId: 'ada', isHidden: token === 'hide' }),
    chat: { presence: true }
  })
  const chat = 'chat:support/shop/c1/ada'
  const ada = await connect(t, `${url}/ws/support/shop/c1/ada`, as('ada'))
  await subscribe(ada)
  for (const [token, count] of [['hide', 0], ['show', 1]] as const) {
    ada.send({ type: 'renew', data: { token } })
    await ada.until(() => stateOf(ada).count === count && stateOf(ada, chat).count === count)
    t.pass(token)
  }
})

t.test('authorizeAll may hide a user in some of the channels', async t => {
  const board = defineChannel({
    authorize: () => false,
    authorizeAll: (_identity, ids) => new Map(ids.map(id => [id, id === 'b2' ? { presence: 'hidden' as const } : true])),
    presence: true
  })
  const { join } = await startBoards(t, { channels: { board } })
  const ada = await join('ada')
  for (const channel of ['board:b1', 'board:b2']) await subscribe(ada, channel)
  t.strictSame([usersOf(ada, 'board:b1'), usersOf(ada, 'board:b2')], [['ada'], []])
})
