import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'ws'
import { every } from './every.js'
import { connect, start } from './harness.js'
import { eventually, within } from './waiting.js'
import { rawConnect } from './process.js'

const path = '/ws/notifications/attacker'

/** A masked frame; the mask is zeros. */
function frame (opcode: number, payload: Buffer | string, { isLast = true, length = payload.length } = {}): Buffer {
  const head = [(isLast ? 0x80 : 0) | opcode]
  if (length < 126) head.push(0x80 | length)
  else if (length < 65_536) head.push(0x80 | 126, length >> 8, length & 0xff)
  else head.push(0x80 | 127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff)
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), Buffer.from(payload)])
}

/** The code of the Close that a raw socket gets. */
async function closeOf (socket: Awaited<ReturnType<typeof rawConnect>>): Promise<number> {
  let bytes = Buffer.alloc(0)
  for (;;) {
    const at = bytes.lastIndexOf(Buffer.from([0x88, 0x02]))
    if (at >= 0 && bytes.length >= at + 4) return bytes.readUInt16BE(at + 2)
    const [chunk] = await once(socket, 'data')
    bytes = Buffer.concat([bytes, chunk])
  }
}

const attacks: Record<string, { code: number, bytes: () => Iterable<Buffer> }> = {
  'invalid JSON': { code: 4400, bytes: () => Array.from({ length: 5 }, () => frame(1, '{')) },
  'unknown types': { code: 4400, bytes: () => Array.from({ length: 5 }, () => frame(1, '{"type":"nope"}')) },
  '__proto__ keys': { code: 4400, bytes: () => Array.from({ length: 5 }, () => frame(1, '{"type":"x","data":{"__proto__":{"a":1}}}')) },
  'deep nesting': { code: 4400, bytes: () => Array.from({ length: 5 }, () => frame(1, `{"type":"x","data":${'['.repeat(30_000)}${']'.repeat(30_000)}}`)) },
  'a binary frame': { code: 1003, bytes: () => [frame(2, 'x')] },
  'a frame of 99 MiB': { code: 1009, bytes: () => [frame(1, '', { length: 99 * 1024 * 1024 }), Buffer.alloc(1024 * 1024)] },
  'a million tiny fragments': {
    code: 1008,
    * bytes () {
      yield frame(1, 'x', { isLast: false })
      const fragments = Buffer.concat(Array.from({ length: 1_000 }, () => frame(0, 'x', { isLast: false })))
      for (let n = 0; n < 1_000; n++) yield fragments
    }
  },
  'text that is not UTF-8': { code: 1007, bytes: () => [frame(1, Buffer.from([0xff, 0xfe]))] },
  'unmasked frames': { code: 1002, bytes: () => [Buffer.from([0x81, 0x01, 0x78])] },
  'a reserved opcode': { code: 1002, bytes: () => [frame(5, 'x')] },
  'a flood of messages': {
    code: 4429, * bytes () { for (let n = 0; n < 1_000; n++) yield Buffer.concat(Array.from({ length: 100 }, () => frame(1, '{"type":"ping"}'))) }
  },
  'a flood of pings': {
    code: 4429, * bytes () { for (let n = 0; n < 1_000; n++) yield Buffer.concat(Array.from({ length: 100 }, () => frame(9, ''))) }
  },
  'a flood of pongs': {
    code: 4429, * bytes () { for (let n = 0; n < 1_000; n++) yield Buffer.concat(Array.from({ length: 100 }, () => frame(10, ''))) }
  }
}

for (const [name, { code, bytes }] of Object.entries(attacks)) {
  t.test(`a client that sends ${name} is closed with ${code}, and its neighbour keeps working`, async t => {
    const { app, url, port } = await start(t)
    const neighbour = await connect(t, `${url}/ws/notifications/neighbour`)
    const attacker = await rawConnect(t, port, path)
    const closed = closeOf(attacker)
    for (const chunk of bytes()) {
      if (attacker.destroyed) break
      attacker.write(chunk)
      // Bounds the memory of the attacker, which is not under test.
      if (attacker.writableLength > 4 * 1024 * 1024) await Promise.race([once(attacker, 'drain'), closed])
      if (attacker.writableLength > 4 * 1024 * 1024) break
    }
    t.equal(await within(closed, `a Close with ${code}`), code)
    neighbour.send({ type: 'ping', ref: name })
    t.match(await neighbour.next(), { type: 'pong', ref: name })
    const { id } = await app.ws.sendToUser('neighbour', { type: 'hello' })
    t.equal((await neighbour.next()).id, id)
    attacker.destroy()
    await eventually(() => app.ws.stats().connections === 1)
  })
}

t.test('a frame that arrives byte by byte is read', async t => {
  const { port } = await start(t)
  const socket = await rawConnect(t, port, path)
  for (const byte of frame(1, '{"type":"ping","ref":"slowly"}')) socket.write(Buffer.from([byte]))
  let text = ''
  while (!text.includes('"pong"')) text += (await once(socket, 'data'))[0].toString('latin1')
  t.match(text, /"ref":"slowly"/)
})

t.test('a client that floods the server without reading is disconnected', async t => {
  const { app, port } = await start(t)
  const socket = await rawConnect(t, port, path)
  socket.pause()
  const flood = Buffer.concat(Array.from({ length: 1_000 }, () => frame(1, '{"type":"ping"}')))
  for (let n = 0; n < 20; n++) socket.write(flood)
  await eventually(() => app.ws.stats().connections === 0)
  await eventually(() => app.websocketServer.clients.size === 0)
})

t.test('a connection gets only frames of its own channel, and a path of another user is closed with 4403', async t => {
  const users = ['alice', 'bob', 'alice|bob']
  const paths = (user: string) => [`/ws/notifications/${user}`, `/ws/w/a/c/${user}`]
  const { app, url } = await start(t, {
    authenticate: ({ headers }) => ({ userId: String(headers['x-user']) }), limits: { connectionsPerUser: 100 }
  })
  const open = async (identity: string, path: string) => {
    const socket = new WebSocket(url + path, { headers: { 'x-user': identity } })
    const frames: string[] = []
    socket.on('message', data => frames.push(data.toString()))
    socket.on('error', () => {})
    await once(socket, 'open')
    return { socket, frames }
  }
  for (const identity of users) {
    for (const path of users.filter(owner => owner !== identity).flatMap(paths)) {
      const { socket, frames } = await open(identity, path)
      const [code] = await once(socket, 'close')
      t.equal(code, 4403)
      t.strictSame(frames, [])
    }
    for (const path of paths(identity)) {
      const { socket, frames } = await open(identity, path)
      await eventually(() => frames.length > 0)
      for (const user of users) {
        await app.ws.sendToUser(user, { type: 'secret', data: `user ${user}` })
        await app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: user }).send({ type: 'secret', data: `chat ${user}` })
      }
      // A message of another user on this connection would arrive before the pong.
      socket.send('{"type":"ping","ref":"end"}')
      await eventually(() => frames.at(-1)!.includes('"pong"'))
      const mine = path.includes('notifications') ? `"user ${identity}"` : `"chat ${identity}"`
      const secrets = frames.filter(text => text.includes('"secret"'))
      t.ok(every(secrets, text => text.includes(mine)))
      socket.terminate()
    }
  }
})
