import { once } from 'node:events'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { defineChannel, type Envelope, type RealtimeOptions } from '../../lib/index.js'
import { redisBroker, type RedisClient } from '../../lib/redis.js'
import { start } from '../harness.js'
import { RedisServer, skipRedis, startCluster } from '../redis-server.js'
import { eventually, within, loopTurns } from '../waiting.js'

/** With `FULL=1` the number of cuts per broker is the promised one. */
const isFull = process.env.FULL === '1'
const cuts = isFull ? 1_000 : 60
const users = Array.from({ length: isFull ? 50 : 10 }, (_, n) => `user_${n}`)
const ids = Array.from({ length: 24 }, (_, n) => `b${n}`)
const channelsOf = 20

type App = Awaited<ReturnType<typeof start>>['app']

const below = (limit: number) => Math.floor(Math.random() * limit)
const pick = <T> (items: readonly T[]): T => items[below(items.length)]
const offsetOf = (position: string) => Number(position.slice(position.lastIndexOf('.') + 1))

/** A few turns of the event loop, or a few milliseconds. */
async function dawdle (): Promise<void> {
  // The time of a query.
  if (below(2) === 0) return new Promise(resolve => { setTimeout(resolve, below(8)) })
  await loopTurns(below(4))
}

/** What the app knows: its publications, and who may read what. */
class Ledger {
  /** Order of all publications and removals. */
  clock = 0
  /** Offsets of the publications of each channel, and their epochs. */
  readonly offsets = new Map<string, number[]>()
  readonly epochs = new Map<string, Set<string>>()
  readonly complaints: string[] = []
  readonly #revoked = new Set<string>()
  #pending = 0

  readonly board = defineChannel({
    messages: { count: Type.Object({ n: Type.Integer(), text: Type.Optional(Type.String()) }) },
    history: { size: 100_000, ttl: 600_000 },
    // The answer is from before the wait, like that of a database.
    authorize: async ({ userId }, { id }) => {
      const isAllowed = !this.isRevoked(userId, `board:${id}`)
      await dawdle()
      return isAllowed
    }
  })

  isRevoked (userId: string, channel: string): boolean {
    return this.#revoked.has(`${userId} ${channel}`)
  }

  revoke (userId: string, channel: string): void {
    this.#revoked.add(`${userId} ${channel}`)
  }

  grant (userId: string, channel: string): void {
    this.#revoked.delete(`${userId} ${channel}`)
  }

  async publish (app: App): Promise<void> {
    const id = pick(ids)
    const text = below(100) === 0 ? 'x'.repeat(8_000) : undefined
    this.#pending++
    try {
      const receipt = await app.ws.channel('board', id).send({ type: 'count', data: { n: this.clock++, text } })
      const [, epoch, offset] = receipt.id.split('.')
      const channel = `board:${id}`
      this.offsets.set(channel, [...this.offsets.get(channel) ?? [], Number(offset)])
      this.epochs.set(channel, (this.epochs.get(channel) ?? new Set()).add(epoch))
    } catch (error) {
      this.complaints.push(`not stored: ${error}`)
    }
    this.#pending--
  }

  /** Publishes to all nodes until the returned function is called, which waits until everything is stored. */
  stream (apps: App[]): () => Promise<void> {
    // The pace of the stream.
    const timer = setInterval(() => { for (let times = below(8); times > 0; times--) this.publish(pick(apps)) }, 2)
    return async () => {
      clearInterval(timer)
      await eventually(() => this.#pending === 0)
      for (const offsets of this.offsets.values()) offsets.sort((a, b) => a - b)
    }
  }

  /** Offsets of the publications after a position, up to another one. */
  between (channel: string, from: number, to = Infinity): number[] {
    return (this.offsets.get(channel) ?? []).filter(offset => offset > from && offset <= to)
  }

  headOf (channel: string): number {
    return this.offsets.get(channel)?.at(-1) ?? 0
  }
}

interface Subscribed {
  readonly position: string
  readonly recovered?: boolean
  readonly replayed: number
}

/** An unbroken sequence of a channel's publications, across connections: from a position to the last publication that was received. */
interface Session {
  readonly from: number
  readonly got: number[]
}

/** What a client knows of a channel. */
class Row {
  readonly channel: string
  state: 'away' | 'asking' | 'subscribed' | 'leaving' = 'away'
  isWanted = false
  /** Position after the last publication; `undefined`: the next subscription begins with later publications. */
  position: string | undefined
  readonly sessions: Session[] = []
  /** Clock of the app when a removal of the user was done; `undefined` while the user may read the channel. */
  removedAt: number | undefined
  /** Whether the app removes the user, or has removed the user. */
  isOut = false

  constructor (channel: string) {
    this.channel = channel
  }
}

/** A client with JSON over WebSocket, and a table of its channels. */
class TableClient {
  readonly rows = new Map(ids.map(id => [`board:${id}`, new Row(`board:${id}`)]))
  readonly userId: string
  readonly #ledger: Ledger
  readonly #urls: string[]
  #socket!: WebSocket
  frames = 0
  removals = 0
  resumed = 0
  replayed = 0

  constructor (userId: string, ledger: Ledger, urls: string[]) {
    this.userId = userId
    this.#ledger = ledger
    this.#urls = urls
  }

  async connect (): Promise<void> {
    const socket = new WebSocket(`${pick(this.#urls)}/ws/notifications/${this.userId}`)
    this.#socket = socket
    const acked = new Promise<void>(resolve => {
      socket.on('message', data => {
        if (this.#socket !== socket) return
        const envelope: Envelope = JSON.parse(data.toString())
        if (envelope.type === 'connection_ack') resolve()
        else this.#take(envelope)
      })
    })
    socket.on('error', error => this.#complain(`the socket failed: ${error}`))
    await within(acked, 'a connection_ack')
    const wanted = [...this.rows.values()].filter(({ isWanted }) => isWanted).sort(() => Math.random() - 0.5)
    for (let from = 0, size = 0; from < wanted.length; from += size) {
      size = 1 + below(wanted.length)
      this.#subscribe(wanted.slice(from, from + size))
    }
  }

  /** Cuts the connection, in one way or the other, and connects again. */
  async cut (): Promise<void> {
    const socket = this.#socket
    const closed = once(socket, 'close')
    if (below(2) === 0) socket.close()
    else socket.terminate()
    await within(closed, 'the close')
    const before = this.#ledger.clock
    await eventually(() => this.#ledger.clock > before + below(100))
    for (const row of this.rows.values()) {
      // A lost `unsubscribed`, or one that this client does not wait for.
      row.state = 'away'
    }
    await this.connect()
  }

  #send (type: string, data: object): void {
    this.#socket.send(JSON.stringify({ type, ref: below(1_000), data }))
  }

  #subscribe (rows: Row[]): void {
    for (const row of rows) row.state = 'asking'
    this.#send('subscribe', { channels: rows.map(({ channel, position }) => ({ channel, since: position })) })
  }

  /** Subscribes to a channel, or unsubscribes from one. Returns what it knows of the channel. */
  toggle (): Row {
    const row = pick([...this.rows.values()].filter(({ isOut, state }) => !isOut && state !== 'leaving'))
    row.isWanted = !row.isWanted
    if (row.isWanted) {
      // Some clients want what they missed, and some do not.
      if (below(2) === 0) row.position = undefined
      this.#subscribe([row])
    } else {
      row.state = 'leaving'
      this.#send('unsubscribe', { channels: [row.channel] })
    }
    return row
  }

  /** The app removes the user from a channel, and admits the user again when the subscription has ended. */
  async remove (app: App, row = pick([...this.rows.values()])): Promise<void> {
    const { userId } = this
    const ledger = this.#ledger
    if (row.isOut || row.state === 'leaving') return
    this.removals++
    row.isOut = true
    row.isWanted = false
    ledger.revoke(userId, row.channel)
    await app.ws.channel('board', row.channel.slice('board:'.length)).remove(userId)
    row.removedAt = ledger.clock++
    await eventually(() => row.state === 'away')
    const head = ledger.headOf(row.channel)
    await eventually(() => ledger.between(row.channel, head).length > 5)
    ledger.grant(userId, row.channel)
    row.removedAt = undefined
    row.position = undefined
    row.isOut = false
  }

  #take ({ type, channel, id, data }: Envelope): void {
    this.frames++
    if (type === 'ack' || type === 'pong') return
    const row = this.rows.get(channel!)
    if (row === undefined) return this.#complain(`${type} of ${channel}: ${JSON.stringify(data)}`)
    if (type === 'subscribed') return this.#onSubscribed(row, data as Subscribed)
    if (type === 'unsubscribed') return this.#onUnsubscribed(row, (data as { reason: string }).reason)
    if (type !== 'count') return this.#complain(`${type} of ${channel}: ${JSON.stringify(data)}`)
    const { n } = data as { n: number }
    if (row.state !== 'subscribed' && row.state !== 'leaving') this.#complain(`${id} of ${channel} arrived while ${row.state}`)
    if (row.removedAt !== undefined && n > row.removedAt) this.#complain(`${id} of ${channel} was published after the removal`)
    row.position = id
    row.sessions.at(-1)?.got.push(offsetOf(id!))
  }

  #onSubscribed (row: Row, { position, recovered, replayed }: Subscribed): void {
    // Sent before the client wanted to leave, or was removed.
    if (row.state === 'asking') row.state = 'subscribed'
    if (row.position === undefined) {
      row.sessions.push({ from: offsetOf(position), got: [] })
    } else {
      this.resumed++
      this.replayed += replayed
      if (recovered !== true || offsetOf(position) !== offsetOf(row.position)) {
        this.#complain(`${row.channel} resumed from ${row.position} at ${position}, recovered: ${recovered}`)
      }
    }
    row.position = position
  }

  #onUnsubscribed (row: Row, reason: string): void {
    const isExpected = reason === 'asked' ? row.state === 'leaving' : row.isOut && ['removed', 'forbidden'].includes(reason)
    if (!isExpected) this.#complain(`${row.channel} ended with ${reason} while ${row.state}`)
    row.state = 'away'
  }

  #complain (text: string): void {
    this.#ledger.complaints.push(`${this.userId}: ${text}`)
  }

  get isCaughtUp (): boolean {
    return [...this.rows.values()].every(({ state, isWanted, channel, position }) => isWanted
      ? state === 'subscribed' && offsetOf(position!) >= this.#ledger.headOf(channel)
      : state === 'away')
  }

  /** What it lacks or has too often, when all publications have arrived. */
  review (): void {
    for (const { channel, sessions, isWanted } of this.rows.values()) {
      for (const [at, { from, got }] of sessions.entries()) {
        const isCurrent = isWanted && at === sessions.length - 1
        const expected = this.#ledger.between(channel, from, isCurrent ? Infinity : got.at(-1) ?? from)
        if (expected.join() === got.join()) continue
        const lost = expected.filter(offset => !got.includes(offset))
        this.#complain(`${channel} after ${from}: lost ${lost}, got ${got.length} of ${expected.length}, ${got.length - new Set(got).size} twice`)
      }
    }
  }

  end (): void {
    this.#socket.terminate()
  }
}

/** Runs clients against nodes, with random cuts. Returns the complaints. */
async function run (ledger: Ledger, nodes: Array<{ app: App, url: string }>): Promise<string> {
  const apps = nodes.map(({ app }) => app)
  const clients = users.map(userId => new TableClient(userId, ledger, nodes.map(({ url }) => url)))
  const end = ledger.stream(apps)
  const removals: Array<Promise<void>> = []
  await Promise.all(clients.map(async client => {
    for (const row of [...client.rows.values()].slice(0, channelsOf)) row.isWanted = true
    await client.connect()
    for (let round = 0; round < cuts / users.length; round++) {
      for (let step = below(4); step > 0; step--) {
        const before = client.frames
        const row = client.toggle()
        if (below(2) === 0) removals.push(client.remove(pick(apps)))
        // While `authorize` is deciding.
        if (below(2) === 0) removals.push(dawdle().then(() => client.remove(pick(apps), row)))
        await eventually(() => client.frames > before + below(60))
      }
      await client.cut()
    }
  }))
  await Promise.all(removals)
  await end()
  await eventually(() => clients.every(client => client.isCaughtUp))
  for (const client of clients) client.review()
  for (const [channel, epochs] of ledger.epochs) if (epochs.size > 1) ledger.complaints.push(`${channel} has the epochs ${[...epochs]}`)
  for (const client of clients) client.end()
  const sum = (count: (client: TableClient) => number) => clients.reduce((sum, client) => sum + count(client), 0)
  return [
    `${ledger.clock} publications`, `${sum(({ frames }) => frames)} frames`, `${sum(({ removals }) => removals)} removals`,
    `${sum(({ replayed }) => replayed)} publications replayed in ${sum(({ resumed }) => resumed)} resumed subscriptions`
  ].join(', ')
}

const title = 'with random cuts, subscriptions and removals each client gets every publication of its 20 channels once and in order, none of another channel, and none after its removal'

const options: RealtimeOptions = { limits: { stored: 256 * 1024 * 1024 } }

t.test(`${title}: memory`, async t => {
  const ledger = new Ledger()
  const node = await start(t, { ...options, channels: { board: ledger.board } })
  t.comment(await run(ledger, [node]))
  t.strictSame(ledger.complaints.slice(0, 10), [])
  t.equal(node.app.ws.stats().resyncs, 0)
})

/** Runs the clients against two nodes. */
async function runOnTwo (t: Test, client: () => RedisClient): Promise<void> {
  const ledger = new Ledger()
  const node = () => start(t, { ...options, broker: redisBroker({ client: client() }), channels: { board: ledger.board } })
  const nodes = [await node(), await node()]
  t.comment(await run(ledger, nodes))
  t.strictSame(ledger.complaints.slice(0, 10), [])
  t.strictSame(nodes.map(({ app }) => app.ws.stats().resyncs), [0, 0])
}

t.test(`${title}: two nodes on Redis`, { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  await runOnTwo(t, () => server.client(t))
})

t.test(`${title}: two nodes on Redis Cluster`, { skip: skipRedis }, async t => {
  const cluster = await startCluster(t)
  await runOnTwo(t, () => cluster.client())
})
