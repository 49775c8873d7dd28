import t from 'tap'
import Fastify from 'fastify'
import { WebSocket } from 'ws'
import realtime, { MemoryBroker } from '../../../lib/index.js'
import type { Connection } from '../../../lib/server/connection/connection.js'
import { Client, connect, start } from '../../harness.js'
import { eventually, gate, loopTurns } from '../../waiting.js'
import { brokersOfNodes } from '../../fake-nodes.js'
import { rawConnect } from '../../process.js'

const path = '/ws/notifications/u1'

t.test('a client gets the connection_ack first, then the messages of onConnect, then live messages', async t => {
  const { app, url } = await start(t, {
    async onConnect (connection) {
      connection.send({ type: 'to_this_one' })
      await app.ws.sendToUser(connection.userId, { type: 'published' })
    }
  })
  const client = await connect(t, url + path)
  t.match(client.ack.data, { user_id: 'u1', heartbeat_ms: 25_000, position: /^u\.\w+\.0,b\.\w+\.0$/ })
  t.equal((await client.next()).type, 'to_this_one')
  t.equal((await client.next()).type, 'published')
  await app.ws.broadcast({ type: 'live' })
  t.equal((await client.next()).type, 'live')
})

t.test('a client of a chat gets the whole history, then live messages', async t => {
  const { app, url } = await start(t)
  const chat = app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'u1' })
  for (let n = 0; n < 3; n++) await chat.send({ type: 'count', data: n })
  const client = await connect(t, `${url}/ws/w/a/c/u1`)
  t.match(client.ack.data, { replayed: 3, position: /^c\.\w+\.0$/ })
  t.notOk('recovered' in client.ack.data!)
  await chat.send({ type: 'count', data: 3 })
  for (let n = 0; n < 4; n++) t.equal((await client.next()).data, n)
})

for (const leave of ['destroy', 'resetAndDestroy'] as const) {
  t.test(`a client that calls ${leave} while onConnect runs leaves no connection`, async t => {
    const { opened, open } = gate()
    let disconnects = 0
    const greeted: Connection[] = []
    const onConnect = async (connection: object) => { greeted.push(connection as Connection); await opened }
    const { app, url, port } = await start(t, { onConnect, onDisconnect: () => { disconnects++ } })
    const socket = await rawConnect(t, port, path)
    await eventually(() => app.ws.stats().users === 1)
    t.equal(app.ws.isOnline('u1'), false)
    socket[leave]()
    await eventually(() => app.ws.stats().users === 0)
    t.equal(disconnects, 0)
    open()
    await eventually(() => disconnects === 1)
    t.equal(app.ws.stats().connections, 0)
    await connect(t, url + path)
    t.equal(app.ws.isOnline('u1'), true)
    t.equal(greeted[0].state, 'closed')
  })
}

t.test('a client of injectWS gets its connection_ack and its messages', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(realtime)
  await app.ready()
  const received: string[] = []
  const socket = await app.injectWS(path, {}, { onInit: ws => ws.on('message', data => received.push(JSON.parse(data.toString()).type)) })
  await eventually(() => received.length === 1)
  await app.ws.sendToUser('u1', { type: 'hello' })
  await eventually(() => received.length === 2)
  t.strictSame(received, ['connection_ack', 'hello'])
  t.equal(socket.readyState, WebSocket.OPEN)
  socket.terminate()
})

t.test('a client gets recovered: false if messages of onConnect leave the history before the connection_ack', async t => {
  const history = { size: 5 }
  const { app, url } = await start(t, {
    history,
    limits: { lag: 1_000 },
    async onConnect ({ target, userId }) {
      const send = (n: number) => target.kind === 'chat' ? app.ws.chat(target).send({ type: 'n', data: n }) : app.ws.sendToUser(userId, { type: 'n', data: n })
      for (let n = 0; n < 50; n++) await send(n)
    }
  })
  for (const channel of [path, `${path}?since=nonsense`, '/ws/w/a/c/u1']) {
    const client = await connect(t, url + channel)
    t.match(client.ack.data, { replayed: 0, recovered: false, position: /^[uc]\.\w+\.\d*[05]0(,|$)/ })
    client.send({ type: 'ping' })
    t.equal((await client.next()).type, 'pong', 'no message is replayed')
  }
})

t.test('a client that is authenticated while the server closes is closed with 1012', async t => {
  const asked = gate()
  const answered = gate<{ userId: string }>()
  const { app, url } = await start(t, { authenticate: () => { asked.open(); return answered.opened } })
  const client = new Client(url + path)
  await asked.opened
  const closed = app.close()
  setImmediate(() => answered.open({ userId: 'u1' }))
  t.equal((await client.close()).code, 1012)
  await closed
})

t.test('a connection keeps its user if the app changes the identity later', async t => {
  const identity = { userId: 'u1' }
  const { app, url } = await start(t, { authenticate: () => identity })
  const client = await connect(t, url + path)
  identity.userId = 'u2'
  t.equal(app.ws.connections('u1')[0].userId, 'u1')
  client.socket.terminate()
  await eventually(() => app.ws.stats().users === 0)
})

t.test('a connection whose channel the broker cannot subscribe to is closed with 1011', async t => {
  const broker = new MemoryBroker({ size: 1, ttl: 1, bytes: 1, lag: 1 })
  broker.subscribe = () => { throw new Error('of the broker') }
  const { url } = await start(t, { broker })
  t.equal((await new Client(url + path).close()).code, 1011)
})

t.test('a client that disconnects before the broker answers reads no log, and onConnect is not called', async t => {
  for (const step of ['enter', 'subscribe'] as const) {
    const { opened, open } = gate()
    const [broker] = brokersOfNodes(1)
    const calls: string[] = []
    const { nodes, subscribe } = broker
    const enter = nodes.enter.bind(nodes)
    nodes.enter = async (...parameters) => {
      calls.push('enter')
      if (step === 'enter') await opened
      return enter(...parameters)
    }
    const readers: number[] = []
    broker.subscribe = async channel => {
      calls.push('subscribe')
      if (step === 'subscribe') await opened
      const log = await subscribe(channel)
      setImmediate(() => readers.push(log.readers.length))
      return log
    }
    const { app, port } = await start(t, { broker, onConnect: () => { calls.push('onConnect') } })
    const socket = await rawConnect(t, port, path)
    await eventually(() => calls.includes(step))
    socket.destroy()
    await eventually(() => app.ws.stats().connections === 0)
    open()
    if (step === 'subscribe') await eventually(() => readers.length === 2)
    await loopTurns(5)
    t.strictSame(calls, step === 'enter' ? ['enter'] : ['enter', 'subscribe', 'subscribe'])
    t.strictSame(readers, step === 'enter' ? [] : [0, 0])
  }
})

t.test('a credential that expires while onConnect runs gives expires_in_ms: 0, and closes with 4401', async t => {
  let expiresAt = 0
  const { url } = await start(t, {
    authenticate () {
      expiresAt = Date.now() + 50
      return { userId: 'u1', expiresAt }
    },
    onConnect: () => eventually(() => Date.now() > expiresAt + 20)
  })
  const client = await connect(t, url + path)
  t.equal(client.ack.data!.expires_in_ms, 0)
  t.equal((await client.close()).code, 4401)
})
