import { Type } from '@sinclair/typebox'
import { Activity, createElement, useEffect, type ReactElement } from 'react'
import { renderToString } from 'react-dom/server'
import t, { type Test } from 'tap'
import { defineChannel, type RealtimeConnection } from '../../lib/index.js'
import { RealtimeProvider, useChannel, type ChannelHandlers, type ChannelOptions } from '../../lib/react/index.js'
import { fakeClient } from '../../lib/testing/index.js'
import { eventually, timersDue } from '../waiting.js'
import { connected } from './connected.js'
import { mount } from './render.js'

type Shown = ReturnType<typeof useChannel>

/** Starts an app with boards, and returns an element for components that show boards below a provider. */
async function boards (t: Test, isAllowed: () => boolean = () => true) {
  const board = defineChannel({
    authorize: isAllowed,
    messages: { moved: Type.Object({ card: Type.Integer() }), move: Type.Object({ card: Type.Integer() }) },
    answers: { move: Type.Object({ version: Type.Integer() }) },
    onMessage: { move: ({ data }) => ({ version: data.card * 2 }) },
    history: { size: 5, ttl: 60_000 }
  })
  const all = await connected(t, { channels: { board } })
  const provider = (children: ReactElement[], more: object = {}) =>
    createElement(RealtimeProvider, { ...all.props, onError () {}, ...more }, ...children)
  return { ...all, provider, move: (id: string, card: number) => all.app.ws.channel('board', id).send({ type: 'moved', data: { card } }) }
}

/** A component that shows a board, and records what it gets. */
function recorder () {
  const shown: Shown[] = []
  const got: unknown[] = []
  const onResume: ChannelOptions['onResume'] = ({ recovered }) => { got.push({ recovered }) }
  function Board ({ id, handlers }: { id: string | undefined, handlers?: ChannelHandlers }) {
    shown.push(useChannel('board', id, handlers ?? { moved: data => { got.push((data as { card: number }).card) } }, { onResume }))
    return null
  }
  return { shown, got, Board, now: () => shown.at(-1)! }
}

t.test('components of a channel share one subscription on the connection of the provider, under StrictMode too', async t => {
  const { app, provider, move, made, subscribed } = await boards(t)
  const [one, other] = [recorder(), recorder()]
  const { unmount } = mount(t, provider([
    createElement(one.Board, { key: 1, id: 'b1' }), createElement(other.Board, { key: 2, id: 'b1' })
  ]))
  await eventually(() => one.shown.at(-1)?.status === 'open' && other.now().status === 'open')
  t.equal(one.shown[0].status, 'connecting')
  for (const card of [1, 2, 3]) await move('b1', card)
  await eventually(() => other.got.length === 3)
  t.strictSame([one.got, other.got], [[1, 2, 3], [1, 2, 3]])
  t.strictSame([made.length, subscribed], [1, ['board:b1']])
  unmount()
  await eventually(() => app.ws.stats().connections === 0)
  await t.rejects(one.now().send('move', { card: 1 }), { name: 'RealtimeError', code: 'closed', message: /not mounted/ })
})

t.test('the handlers of the latest render get the data and the envelope, and an error of one does not affect the others', async t => {
  const { provider, move } = await boards(t)
  const errors: string[] = []
  const { Board, now } = recorder()
  const got: unknown[] = []
  const element = (name: string) => provider([createElement(Board, {
    key: 1,
    id: 'b1',
    handlers: {
      moved (data, { channel }) {
        got.push([name, data, channel])
        throw new Error('of a handler')
      },
      '*': async ({ type }) => {
        got.push([name, type])
        throw new Error('of a promise')
      }
    }
  })], { onError: (error: Error) => errors.push(error.message) })
  const { render, committed } = mount(t, element('first'))
  await eventually(() => now()?.status === 'open')
  await move('b1', 1)
  await eventually(() => got.length === 2)
  render(element('second'))
  await committed()
  await move('b1', 2)
  await eventually(() => errors.length === 4)
  t.strictSame(got, [['first', { card: 1 }, 'board:b1'], ['first', 'moved'], ['second', { card: 2 }, 'board:b1'], ['second', 'moved']])
  t.strictSame(errors, ['of a handler', 'of a promise', 'of a handler', 'of a promise'])
})

t.test('send and request work from the first effect on, and the result changes with the status only', async t => {
  const { provider } = await boards(t)
  const shown: Array<ReturnType<typeof useChannel<'board'>>> = []
  const answers: unknown[] = []
  function Child ({ request }: Pick<typeof shown[number], 'request'>) {
    useEffect(() => { request('move', { card: 4 }).then(answer => answers.push(answer), error => answers.push(error)) }, [request])
    return null
  }
  function Board ({ round }: { round: number }) {
    const channel = useChannel('board', 'b1', {})
    shown.push(channel)
    return createElement(Child, { key: round, request: channel.request })
  }
  const { render, committed } = mount(t, provider([createElement(Board, { key: 1, round: 1 })]))
  await eventually(() => answers.length === 2)
  t.strictSame(answers, [{ version: 8 }, { version: 8 }], 'twice, because of StrictMode')
  const before = shown.at(-1)!
  render(provider([createElement(Board, { key: 1, round: 2 })]))
  await committed()
  t.equal(shown.at(-1), before)
  t.equal(shown[0].request, before.request)
  t.equal(await before.send('move', { card: 1 }), undefined)
  await t.rejects(before.request('move', { card: 'x' }), { code: 'bad_message' })
  t.strictSame(new Set(shown.map(({ status }) => status)), new Set(['connecting', 'open']))
})

t.test('a component that changes its channel gets no messages of the channel before, and sends none to it', async t => {
  const { provider, move, subscribed } = await boards(t)
  const { Board, shown, got, now } = recorder()
  const element = (id: string) => provider([createElement(Board, { key: 1, id })])
  const { render } = mount(t, element('b1'))
  await eventually(() => now()?.status === 'open')
  const { send } = now()
  const from = shown.length
  render(element('b2'))
  await eventually(() => now().status === 'open' && subscribed.length === 2)
  t.equal(shown[from].status, 'connecting')
  await move('b1', 1)
  await move('b2', 2)
  await eventually(() => got.length > 0)
  t.strictSame(got, [2])
  await t.rejects(send('move', { card: 1 }), { code: 'closed' })
})

t.test('a channel with an unknown id, or below a provider without a user, is idle until both are known', async t => {
  const { provider, move, made, subscribed } = await boards(t)
  const { Board, got, now } = recorder()
  const element = (id: string | undefined, more: object) => provider([createElement(Board, { key: 1, id })], more)
  const { render, committed } = mount(t, element(undefined, { userId: undefined }))
  for (const [id, more] of [['b1', { userId: undefined }], [undefined, {}]] as const) {
    render(element(id, more))
    await committed()
    await timersDue()
    t.strictSame([now().status, now().closed], ['idle', undefined])
    await t.rejects(now().send('move', { card: 1 }), { code: 'closed', message: /unknown yet/ })
    now().retry()
  }
  t.strictSame([made.length, subscribed], [1, []])
  render(element('b1', {}))
  await eventually(() => now().status === 'open')
  await move('b1', 1)
  await eventually(() => got.length === 1)
  render(element(undefined, {}))
  await eventually(() => now().status === 'idle')
})

for (const where of ['inside the provider', 'around the provider']) {
  t.test(`a component that is hidden ${where} for less than 5 s gets each message once, in order`, async t => {
    const { provider, move, subscribed, unsubscribed } = await boards(t)
    const { Board, got, now } = recorder()
    const isInside = where === 'inside the provider'
    const element = (mode: 'hidden' | 'visible') => isInside
      ? provider([createElement(Activity, { key: 1, mode, children: createElement(Board, { id: 'b1' }) })])
      : createElement(Activity, { mode, children: provider([createElement(Board, { key: 1, id: 'b1' })]) })
    const { render, committed } = mount(t, element('visible'))
    await eventually(() => now()?.status === 'open')
    for (const card of [1, 4, 7]) {
      await move('b1', card)
      await eventually(() => got.includes(card))
      render(element('hidden'))
      await committed()
      await timersDue()
      await move('b1', card + 1)
      render(element('visible'))
      await move('b1', card + 2)
      await eventually(() => got.includes(card + 2))
    }
    t.strictSame(got.filter(each => typeof each === 'number'), [1, 2, 3, 4, 5, 6, 7, 8, 9])
    t.strictSame(got.filter(each => typeof each !== 'number'), isInside ? [] : Array.from({ length: 3 }, () => ({ recovered: true })))
    t.strictSame(isInside ? [subscribed, unsubscribed] : [], isInside ? [['board:b1'], []] : [])
  })
}

t.test('a component that is hidden for longer unsubscribes, and resumes where it was, or learns that messages were missed', async t => {
  const { app, provider, move, subscribed, unsubscribed } = await boards(t)
  const [one, other] = [recorder(), recorder()]
  const element = (one_: 'hidden' | 'visible', other_: 'hidden' | 'visible') => provider([
    createElement(Activity, { key: 1, mode: one_, children: createElement(one.Board, { id: 'b1' }) }),
    createElement(Activity, { key: 2, mode: other_, children: createElement(other.Board, { id: 'b1' }) })
  ])
  const { render, committed } = mount(t, element('visible', 'visible'))
  await eventually(() => other.now()?.status === 'open' && one.now().status === 'open')
  await move('b1', 1)
  await eventually(() => other.got.length === 1)
  render(element('hidden', 'visible'))
  await committed()
  await move('b1', 2)
  await eventually(() => other.got.length === 2)
  render(element('hidden', 'hidden'))
  await eventually(() => unsubscribed.length === 1)
  await move('b1', 3)
  t.strictSame([one.got, other.got], [[1], [1, 2]])
  render(element('visible', 'visible'))
  await eventually(() => one.got.length === 4 && other.got.length === 4)
  t.strictSame([one.got, other.got], [[1, 2, { recovered: true }, 3], [1, 2, { recovered: true }, 3]])
  t.strictSame(subscribed, ['board:b1', 'board:b1'])

  render(element('hidden', 'hidden'))
  await eventually(() => unsubscribed.length === 2)
  for (let card = 4; card < 20; card++) await move('b1', card)
  t.equal(app.ws.connections('user_123').length, 1)
  render(element('visible', 'hidden'))
  await eventually(() => one.got.length === 5)
  t.strictSame(one.got[4], { recovered: false })
})

t.test('handlers get each message once across a cut, and onResume says whether all were recovered', async t => {
  const { app, provider, move } = await boards(t)
  const { Board, shown, got, now } = recorder()
  mount(t, provider([createElement(Board, { key: 1, id: 'b1' })]))
  await eventually(() => now()?.status === 'open')
  await move('b1', 1)
  await eventually(() => got.length === 1)
  for (const connection of app.ws.connections('user_123')) (connection as RealtimeConnection & { terminate (): void }).terminate()
  await move('b1', 2)
  await eventually(() => got.length === 3)
  t.strictSame(got, [1, { recovered: true }, 2])
  t.ok(shown.some(({ status }) => status === 'waiting'))
})

t.test('a channel that the user may not have is closed with the reason, and retry asks again', async t => {
  let isAllowed = false
  const { app, provider } = await boards(t, () => isAllowed)
  const errors: unknown[] = []
  const { Board, now } = recorder()
  mount(t, provider([createElement(Board, { key: 1, id: 'b1' })], { onError: (error: unknown) => errors.push(error) }))
  await eventually(() => now()?.status === 'closed')
  t.match(now().closed, { code: 4403, reason: 'forbidden' })
  t.match(errors, [{ code: 'forbidden' }])
  isAllowed = true
  now().retry()
  await eventually(() => now().status === 'open' && now().closed === undefined)
  await app.ws.channel('board', 'b1').remove('user_123')
  await eventually(() => now().status === 'closed')
  t.match(now().closed, { reason: 'removed' })
})

t.test('a component that is mounted again after its channel has ended asks for it again', async t => {
  let isAllowed = false
  const { provider, online } = await boards(t, () => isAllowed)
  const { Board, now } = recorder()
  const { render, committed } = mount(t, provider([createElement(Board, { key: 1, id: 'b1' })]))
  await eventually(() => now()?.status === 'closed')
  render(provider([]))
  await committed()
  await online()
  isAllowed = true
  render(provider([createElement(Board, { key: 2, id: 'b1' })]))
  await eventually(() => now().status === 'open')
})

t.test('useChannel renders on a server without a connection, and throws a TypeError for an invalid id', async t => {
  function Status ({ id }: { id: string | undefined }) {
    return createElement('p', null, useChannel('board', id, { moved () {} }).status)
  }
  const rendered = (id: string | undefined, userId: string | undefined) =>
    renderToString(createElement(RealtimeProvider, { userId }, createElement(Status, { id })))
  t.equal(rendered('b1', 'ada'), '<p>connecting</p>')
  t.equal(rendered('b1', undefined), '<p>idle</p>')
  t.equal(rendered(undefined, 'ada'), '<p>idle</p>')
  t.throws(() => rendered('a b', 'ada'), { name: 'TypeError', message: /channel 'board:a b' does not match/ })
})

t.test('a fake client lets a component test control a channel', async t => {
  const client = fakeClient()
  const { Board, got, now } = recorder()
  const errors: unknown[] = []
  mount(t, createElement(RealtimeProvider, { client, onError: error => errors.push(error) }, createElement(Board, { id: 'b1' })))
  await eventually(() => now()?.status === 'open')
  const server = client.channelOf('board', 'b1')
  server.emit('moved', { card: 1 })
  server.resume(false)
  server.emit('__defineGetter__', { card: 2 })
  t.strictSame([got, errors], [[1, { recovered: false }], []], 'what every object inherits is no handler')
  const answered = now().request('move', { card: 4 })
  t.match(server.sent, [{ type: 'move', data: { card: 4 } }])
  server.sent[0].ack({ version: 8 })
  t.strictSame(await answered, { version: 8 })
  server.setStatus('closed', 4403)
  await eventually(() => now().status === 'closed')
  t.match(now().closed, { code: 4403 })
})
