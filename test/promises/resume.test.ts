import t from 'tap'
import type { Envelope } from '../../lib/index.js'
import { every } from '../every.js'
import { Client, connect, start } from '../harness.js'
import { eventually } from '../waiting.js'

/** The last position per label, as a client keeps it. */
class Positions {
  readonly #last = new Map<string, string>()

  note (position: string): void {
    for (const part of position.split(',')) this.#last.set(part[0], part)
  }

  get since (): string {
    return [...this.#last.values()].join(',')
  }
}

t.test('ten clients with 1,000 random disconnects under a steady stream lose, repeat and reorder no message', async t => {
  const { app, url } = await start(t)
  const clients = 10
  const rounds = 100
  let sent = { user: 0, broadcast: 0 }
  const streaming = { isOn: true }
  const stream = async () => {
    while (streaming.isOn) {
      for (let user = 0; user < clients; user++) app.ws.sendToUser(`u${user}`, { type: 'user', data: { n: sent.user } })
      app.ws.broadcast({ type: 'broadcast', data: { n: sent.broadcast } })
      sent = { user: sent.user + 1, broadcast: sent.broadcast + 1 }
      // The pace of the stream.
      await new Promise(resolve => setTimeout(resolve, 2))
    }
  }

  const run = async (user: number) => {
    const positions = new Positions()
    const seen: Record<string, number[]> = { user: [], broadcast: [] }
    const note = ([ack, ...publications]: Envelope[]) => {
      t.match(ack, { type: 'connection_ack', data: { recovered: true } })
      positions.note((ack.data as { position: string }).position)
      for (const { id, type, data } of publications) {
        positions.note(id!)
        seen[type].push((data as { n: number }).n)
      }
    }
    for (let round = 0; round <= rounds; round++) {
      const client = new Client(`${url}/ws/notifications/u${user}?since=${positions.since === '' ? '0' : positions.since}`)
      const enough = Math.floor(Math.random() * 6)
      await client.until(() => client.received.length > enough)
      const isCut = Math.random() < 0.5
      if (isCut) client.socket.terminate()
      else client.socket.close()
      await client.close()
      note(client.received)
    }
    return seen
  }

  const streamed = stream()
  const all = await Promise.all(Array.from({ length: clients }, (_, user) => run(user)))
  streaming.isOn = false
  await streamed
  for (const seen of all) {
    for (const numbers of Object.values(seen)) t.ok(every(numbers, (n, at) => n === numbers[0] + at))
  }
  t.equal(app.ws.stats().resyncs, 0)
})

t.test('a resume from a position that cannot be recovered gets recovered: false and replays nothing', async t => {
  const { app, url } = await start(t, { history: { size: 10 } })
  const path = `${url}/ws/notifications/u1`
  const first = await connect(t, path)
  const atStart = first.ack.data!.position
  const epochs = atStart.split(',').map(part => part.split('.')[1])
  for (let n = 1; n <= 30; n++) await app.ws.sendToUser('u1', { type: 'count', data: { n } })
  const at = (offset: number | string, epoch = epochs[0]) => `u.${epoch}.${offset}`

  const lost = [
    atStart, at(19), at(31), at(25, 'other'), at('x'), 'garbage', '', 'c.abc.1', `${at(25)},${at(26)}`, at(25).toUpperCase(),
    `${at(25)},b.${epochs[1]}.7`, `${at(19)},b.${epochs[1]}.0`, `${at(25)}&since=${at(25)}`
  ]
  for (const since of lost) {
    const client = await connect(t, `${path}?since=${since}`)
    t.match(client.ack.data, { recovered: false, replayed: 0, position: `${at(30)},b.${epochs[1]}.0` }, since)
    client.send({ type: 'ping' })
    t.equal((await client.next()).type, 'pong', 'nothing was replayed')
    client.socket.terminate()
    await client.close()
    await eventually(() => app.ws.connections().length === 1)
  }

  const kept = await connect(t, `${path}?since=${at(20)}`)
  t.match(kept.ack.data, { recovered: true, replayed: 10 })
  for (let n = 21; n <= 30; n++) t.match(await kept.next(), { id: at(n), data: { n } })
})

t.test('a client that received only its ack can resume', async t => {
  const { app, url } = await start(t)
  for (const path of ['/ws/notifications/u1', '/ws/support/app/chat/u1']) {
    const first = await connect(t, url + path)
    first.socket.terminate()
    await first.close()
    await eventually(() => app.ws.stats().connections === 0)
    const { id } = path.includes('notifications')
      ? await app.ws.sendToUser('u1', { type: 'missed' })
      : await app.ws.chat({ workflow: 'support', appId: 'app', chatId: 'chat', userId: 'u1' }).send({ type: 'missed' })
    const second = await connect(t, `${url}${path}?since=${first.ack.data!.position}`)
    t.match(second.ack.data, { recovered: true, replayed: 1 })
    t.equal((await second.next()).id, id)
    second.socket.terminate()
    await second.close()
    await eventually(() => app.ws.stats().connections === 0)
  }
})

t.test('since=0 is answered with recovered: true while the log still has its first publication, else with false', async t => {
  const { app, url } = await start(t, { history: { size: 3 } })
  const targets: Record<string, [string, (n: number) => Promise<unknown>]> = {
    notifications: ['notifications/u1', n => app.ws.sendToUser('u1', { type: 'n', data: n })],
    chat: ['w/a/c/u1', n => app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'u1' }).send({ type: 'n', data: n })]
  }
  for (const [name, [path, publish]] of Object.entries(targets)) {
    const ack = async (query: string) => {
      const client = await connect(t, `${url}/ws/${path}${query}`)
      client.socket.terminate()
      return client.ack.data
    }
    t.match(await ack('?since=0'), { recovered: true, replayed: 0 }, `${name}: nothing was published`)
    for (let n = 0; n < 3; n++) await publish(n)
    t.match(await ack('?since=0'), { recovered: true, replayed: 3 }, `${name}: the log has all publications`)
    await publish(3)
    t.match(await ack('?since=0'), { recovered: false, replayed: 3 }, `${name}: the log has lost the first publication`)
    t.equal((await ack('')).recovered, undefined, `${name}: without a since there is nothing to recover`)
  }
})
