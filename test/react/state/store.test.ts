import t, { type Test } from 'tap'
import type { WebSocketLike } from '../../../lib/client/index.js'
import { Reloader } from '../../../lib/react/reload.js'
import { Store, type StoreOptions } from '../../../lib/react/state/store.js'
import { fakeClient } from '../../../lib/testing/index.js'
import { eventually, timersDue } from '../../waiting.js'

/** A WebSocket whose server is the test. */
class FakeSocket implements WebSocketLike {
  static all: FakeSocket[] = []
  onmessage: WebSocketLike['onmessage'] = null
  onclose: WebSocketLike['onclose'] = null
  onerror: WebSocketLike['onerror'] = null
  isClosed = false
  readonly sent: Array<{ ref?: string }> = []
  readonly url: string

  constructor (url: string) {
    this.url = url
    FakeSocket.all.push(this)
  }

  send (frame: string): void {
    this.sent.push(JSON.parse(frame))
  }

  close (): void {
    this.isClosed = true
  }

  receive (envelope: object): void {
    this.onmessage?.({ data: JSON.stringify({ timestamp: '2026-01-01T00:00:00.000Z', ...envelope }) })
  }

  open (recovered?: boolean): void {
    this.receive({ type: 'connection_ack', data: { position: 'u.e.0,b.e.0', recovered, replayed: 0, heartbeat_ms: 25_000 } })
  }

  notify (n: number): void {
    this.receive({ type: 'notification', id: `u.e.${n}`, data: { title: `n${n}` } })
  }
}

function storeOf (t: Test, onError?: (error: unknown) => void) {
  FakeSocket.all = []
  const store = new Store({ url: 'ws://localhost/ws/notifications/u', WebSocket: FakeSocket, backoff: () => 0, onError })
  t.teardown(() => store.end())
  const socket = async (n = 0) => {
    await eventually(() => FakeSocket.all.length > n)
    return FakeSocket.all[n]
  }
  return { store, socket }
}

t.test('a store does not connect until it is started', async t => {
  const { store } = storeOf(t)
  t.strictSame(store.snapshot(), { status: 'connecting', isConnected: false, closed: undefined, lastMessage: undefined })
  t.equal(store.snapshot(), store.snapshot())
  await timersDue()
  t.equal(FakeSocket.all.length, 0)
  store.end()
})

t.test('a store that is started, ended and started at once opens one connection, and end closes it', async t => {
  const { store, socket } = storeOf(t)
  store.start()
  store.end()
  store.start()
  const only = await socket()
  await timersDue()
  t.equal(FakeSocket.all.length, 1)
  t.notOk(only.isClosed)
  store.end()
  await timersDue()
  t.ok(only.isClosed)
})

t.test('listeners from before the start get the same messages as others, until they are removed', async t => {
  const { store, socket } = storeOf(t)
  const heard: string[] = []
  const unbind = store.on('notification', ({ title }) => { heard.push(`early ${title}`) })
  store.start()
  store.on('notification', ({ title }) => { heard.push(`late ${title}`) })
  const server = await socket()
  server.open()
  server.notify(1)
  unbind()
  server.notify(2)
  t.strictSame(heard.sort(), ['early n1', 'late n1', 'late n2'])
})

t.test('subscribers are called at once for a status, and once for all messages of a turn', async t => {
  const { store, socket } = storeOf(t)
  store.start()
  const server = await socket()
  let told = 0
  const unsubscribe = store.subscribe(() => { told++ })
  server.open()
  t.equal(told, 1)
  t.match(store.snapshot(), { status: 'open', isConnected: true })
  for (let n = 1; n <= 10; n++) server.notify(n)
  t.equal(told, 1)
  await timersDue()
  t.equal(told, 2)
  t.match(store.snapshot().lastMessage, { id: 'u.e.10' })
  t.equal(store.notifications.list.length, 10)
  unsubscribe()
  server.notify(11)
  await timersDue()
  t.equal(told, 2)
})

t.test('onGap calls its listener once connected, and after each loss that is not recovered', async t => {
  const { store, socket } = storeOf(t)
  let gaps = 0
  const resumes: boolean[] = []
  const unbind = store.onGap(() => { gaps++ })
  store.onResume(({ recovered }) => { resumes.push(recovered) })
  store.start()
  const first = await socket()
  t.equal(gaps, 0)
  first.open()
  t.equal(gaps, 1)
  let late = 0
  store.onGap(() => { late++ })()
  t.equal(late, 1, 'a later listener is called too')

  first.onclose?.({ code: 4430, reason: '' })
  const second = await socket(1)
  second.open(true)
  t.equal(gaps, 1)
  second.onclose?.({ code: 1006, reason: '' })
  const third = await socket(2)
  third.open(false)
  t.equal(gaps, 2)
  t.strictSame(resumes, [true, false])
  unbind()
  third.receive({ type: 'resync', data: { position: 'u.e.9' } })
  t.equal(gaps, 2)
  t.strictSame(resumes, [true, false, false])
})

t.test('a listener that is added during an outage has a gap, even when the connection recovers', async t => {
  const { store, socket } = storeOf(t)
  store.start()
  const first = await socket()
  first.open()
  first.onclose?.({ code: 4430, reason: '' })
  let gaps = 0
  let gone = 0
  store.onGap(() => { gaps++ })
  store.onGap(() => { gone++ })()
  const second = await socket(1)
  t.equal(gaps, 0)
  second.open(true)
  t.equal(gaps, 1)
  t.equal(gone, 0)
  second.onclose?.({ code: 4430, reason: '' })
  const third = await socket(2)
  third.open(true)
  t.equal(gaps, 1, 'once')
})

t.test('a store that is ended and started again resumes with the same client', async t => {
  const { store, socket } = storeOf(t)
  const resumes: boolean[] = []
  let gaps = 0
  store.onResume(({ recovered }) => { resumes.push(recovered) })
  store.onGap(() => { gaps++ })
  store.start()
  const first = await socket()
  first.open()
  first.notify(3)
  store.end()
  await timersDue()
  t.match(store.snapshot(), { status: 'connecting', isConnected: false, closed: undefined }, 'this is not shown as a failure')
  t.equal(first.isClosed, true)
  store.start()
  const second = await socket(1)
  t.match(second.url, /since=u\.e\.3/)
  second.open(true)
  t.strictSame(resumes, [true])
  t.equal(gaps, 1)
  t.equal(store.notifications.list.length, 1)
})

t.test('a store that ends waits for the answers to sent messages before it closes', async t => {
  const { store, socket } = storeOf(t)
  store.start()
  const server = await socket()
  server.open()
  const sent = store.send('vote', 1)
  store.end()
  await timersDue()
  t.equal(server.isClosed, false)
  await t.rejects(store.send('vote', 2), { code: 'closed' })
  server.receive({ type: 'ack', ref: server.sent[0].ref })
  await sent
  await timersDue()
  t.equal(server.isClosed, true)
})

t.test('a store that is started again while it waits for an answer stays connected', async t => {
  const { store, socket } = storeOf(t)
  store.start()
  const server = await socket()
  server.open()
  const sent = store.send('vote', 1)
  store.end()
  await timersDue()
  store.start()
  server.receive({ type: 'ack', ref: server.sent[0].ref })
  await sent
  await timersDue()
  t.equal(server.isClosed, false)
  t.equal(store.snapshot().status, 'open')
})

t.test('a listener that is added with a bookmark gets the messages and resumes since then', async t => {
  const { store, socket } = storeOf(t)
  store.start()
  const server = await socket()
  server.open()
  const got: string[] = []
  const hear = (name: string) => ({ title }: { title: string }) => { got.push(`${name} ${title}`) }
  store.on('notification', hear('first'))()
  const stopped = store.bookmark
  server.notify(1)
  server.onclose?.({ code: 4430, reason: '' })
  const next = await socket(1)
  next.open(true)
  next.notify(2)
  store.on('notification', hear('again'), stopped)
  store.on('other', hear('other'), stopped)
  store.on('*', ({ type, id }) => { got.push(`* ${type} ${id}`) }, stopped)()
  const resumes: boolean[] = []
  store.onResume(({ recovered }) => { resumes.push(recovered) }, stopped)
  next.notify(3)
  t.strictSame(got, ['again n1', 'again n2', '* notification u.e.1', '* notification u.e.2', 'again n3'])
  t.strictSame(resumes, [true])
})

t.test('a snapshot has the close of a closed connection, until retry opens it again', async t => {
  const { store, socket } = storeOf(t, () => {})
  store.retry()
  store.start()
  const server = await socket()
  server.open()
  server.onclose?.({ code: 4403, reason: 'no' })
  t.match(store.snapshot(), { status: 'closed', closed: { code: 4403, reason: 'no', name: 'FORBIDDEN' } })
  store.retry()
  const second = await socket(1)
  second.open(true)
  t.match(store.snapshot(), { status: 'open', closed: undefined })
})

t.test('a store without an address is idle until it has one', async t => {
  FakeSocket.all = []
  const options: StoreOptions = { WebSocket: FakeSocket, backoff: () => 0 }
  const store = new Store(options)
  t.teardown(() => store.end())
  t.equal(store.first.status, 'idle')
  store.start()
  store.retry()
  t.equal(store.snapshot().status, 'idle')
  await t.rejects(store.send('x'), { code: 'closed', message: /no userId/ })
  store.end()
  await timersDue()
  t.equal(store.snapshot().status, 'idle')
  Object.assign(options, { baseUrl: 'ws://localhost/ws', userId: 'u' })
  store.start()
  await eventually(() => FakeSocket.all.length === 1)
  FakeSocket.all[0].open()
  t.equal(store.snapshot().status, 'open')
})

t.test('a client of the app is neither opened nor closed, and its messages between end and start are a gap', async t => {
  const client = fakeClient()
  const store = new Store({ client })
  const resumes: boolean[] = []
  let gaps = 0
  store.onResume(({ recovered }) => { resumes.push(recovered) })
  store.onGap(() => { gaps++ })
  store.start()
  t.match(store.snapshot(), { status: 'open', isConnected: true })
  client.emit('notification', { title: 'one' })
  store.end()
  await timersDue()
  t.equal(client.status, 'open')
  client.emit('notification', { title: 'unheard' })
  t.strictSame([gaps, resumes], [1, []])
  store.start()
  t.strictSame([gaps, resumes], [2, [false]])
  client.emit('notification', { title: 'two' })
  t.strictSame(store.notifications.list.map(({ title }) => title), ['two', 'one'])
})

t.test('an error of a listener is reported, and the others are called', async t => {
  const errors: unknown[] = []
  const { store, socket } = storeOf(t, error => { errors.push(error) })
  let heard = 0
  store.onResume(() => { throw new Error('mine') })
  store.onResume(() => { heard++ })
  store.onGap(() => { heard++ })
  store.start()
  const server = await socket()
  server.open()
  server.receive({ type: 'resync', data: { position: 'u.e.9' } })
  t.equal(heard, 3)
  t.match(errors, [{ message: 'mine' }])
})

t.test('an onError that throws affects neither the other listeners nor the next attempt to load', async t => {
  const { error } = console
  t.teardown(() => Object.assign(console, { error }))
  const logged: unknown[] = []
  console.error = fault => { logged.push(fault) }
  const { store, socket } = storeOf(t, () => { throw new Error('of onError') })
  let loads = 0
  const reloader = new Reloader(async () => { if (++loads === 1) throw new Error('no') }, () => 0, store.report)
  let heard = 0
  store.onResume(() => { throw new Error('mine') })
  store.onResume(() => { heard++ })
  store.onGap(() => reloader.reload())
  store.start()
  const server = await socket()
  server.open()
  await eventually(() => loads === 2)
  server.receive({ type: 'resync', data: { position: 'u.e.9' } })
  t.equal(heard, 1)
  await eventually(() => loads === 3)
  t.match(logged, [{ message: 'of onError' }, { message: 'of onError' }])
})

t.test('a store does not call subscribers after its end', async t => {
  const { store, socket } = storeOf(t)
  store.start()
  const server = await socket()
  server.open()
  server.notify(1)
  store.end()
  let told = 0
  await timersDue()
  store.subscribe(() => { told++ })
  await timersDue()
  t.equal(told, 0)
})

t.test('a message that is sent in the task in which the store starts is sent, and one to a store that does not start is refused', async t => {
  const { store, socket } = storeOf(t)
  await t.rejects(store.request('early'), { code: 'closed', message: /not mounted/ })
  const sent = store.request('n')
  store.start()
  const server = await socket()
  server.open()
  server.receive({ type: 'ack', ref: server.sent[0].ref, data: 'answer' })
  t.equal(await sent, 'answer')
})
