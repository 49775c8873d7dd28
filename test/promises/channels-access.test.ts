import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { defineChannel, type Envelope, type Identity } from '../../lib/index.js'
import { connect, start, type Client } from '../harness.js'
import { eventually, gate } from '../waiting.js'
import { found } from '../every.js'

const behaviours = ['true', 'false', 'undefined', 'throw', 'hang', 'slow'] as const
type Behaviour = typeof behaviours[number]

/** An identity of the nth credential of a user. */
type Versioned = Identity & { version: number }
const versioned = (token: string): Versioned => {
  const [userId, version] = token.split(' ')
  return { userId, version: Number(version) }
}
const authenticate = ({ headers }: FastifyRequest) => versioned(headers['x-token'] as string)
const renew = (token: string) => versioned(token)
const withToken = (token: string) => ({ headers: { 'x-token': token } })

const users = behaviours.map((_, n) => `user_${n}`)
const numbers = behaviours.map((_, n) => n)
const numberOf = (name: string) => Number(name.slice(-1))

/** Time of a hook of the app, in ms; a slow one takes a third of it. */
const hookTime = 300

function act (behaviour: Behaviour): Promise<boolean | undefined> | boolean | undefined {
  switch (behaviour) {
    case 'true': return true
    case 'false': return false
    case 'undefined': return undefined
    case 'throw': throw new Error('the database is away')
    case 'hang': return new Promise(() => {})
    // The time of a slow query.
    case 'slow': return new Promise(resolve => { setTimeout(resolve, hookTime / 3, true) })
  }
}

type Outcome = 'subscribed' | 'forbidden' | 'unavailable'

function outcomeOf (behaviour: Behaviour): Outcome {
  if (behaviour === 'true' || behaviour === 'slow') return 'subscribed'
  return behaviour === 'throw' || behaviour === 'hang' ? 'unavailable' : 'forbidden'
}

/** Rights by user, channel and version of the credential: each user has each behaviour in one channel of each kind. */
class Rights {
  /** Whether the app can decide about everything: what would throw or hang is allowed. */
  isWell = false

  of ({ userId, version }: Versioned, id: string): Behaviour {
    const behaviour = behaviours[(numberOf(userId) + numberOf(id) + version) % behaviours.length]
    return this.isWell && outcomeOf(behaviour) === 'unavailable' ? 'true' : behaviour
  }

  /** One answer for several channels. */
  ofAll (identity: Versioned, ids: readonly string[]): Promise<readonly string[]> {
    const all = ids.map(id => this.of(identity, id))
    if (all.includes('throw')) act('throw')
    if (all.includes('hang')) return act('hang') as Promise<never>
    return Promise.all(all.map(act)).then(answers => ids.filter((_, at) => answers[at]))
  }
}

type Data = { round: number, reason?: string }

const kinds = ['room', 'joint', 'chat'] as const
type Kind = typeof kinds[number]
const chatOf = (id: string) => ({ workflow: 'w', appId: 'a', chatId: id, userId: 'owner' })
const channelOf = (kind: Kind, id: string) => kind === 'chat' ? `chat:w/a/${id}/owner` : `${kind}:${id}`
const allIds = numbers.map(n => `c${n}`)
const allChannels = kinds.flatMap(kind => allIds.map(id => ({ kind, id, channel: channelOf(kind, id) })))

async function startMatrix (scope: Parameters<typeof start>[0]) {
  const rights = new Rights()
  const { app, url } = await start(scope, {
    authenticate,
    renew,
    timeouts: { authenticate: hookTime },
    // A chat is decided like a channel; a user may have the own path.
    authorize: (identity, target) => target.kind === 'chat' ? act(rights.of(identity as Versioned, target.chatId)) : undefined,
    channels: {
      room: defineChannel({ authorize: (identity, { id }) => act(rights.of(identity as Versioned, id)) }),
      joint: defineChannel({ authorize: () => false, authorizeAll: (identity, ids) => rights.ofAll(identity as Versioned, ids) })
    }
  })
  let round = 0
  /** Publishes to all channels, and then to all users, so that all earlier publications have arrived. */
  const publish = async (clients: Client[]) => {
    const data = { round: ++round }
    const isFence = ({ type, data }: Envelope) => type === 'fence' && (data as Data).round === round
    for (const id of allIds) {
      for (const kind of ['room', 'joint'] as const) await app.ws.channel(kind, id).send({ type: 'n', data })
      await app.ws.chat(chatOf(id)).send({ type: 'n', data })
    }
    await app.ws.broadcast({ type: 'fence', data })
    await Promise.all(clients.map(client => client.until(() => client.received.some(isFence))))
    return round
  }
  const join = async (user: string, version: number) => connect(scope, `${url}/ws/notifications/${user}`, withToken(`${user} ${version}`))
  return { app, url, rights, publish, join }
}

interface Wanted {
  readonly channel: string
  readonly since?: string | undefined
}

/** Subscribes to channels, those of the joint kind one by one. Resolves with the outcome of each. */
async function subscribe (client: Client, channels: Wanted[]): Promise<Record<string, Outcome>> {
  const before = client.received.length
  const outcomes: Record<string, Outcome> = {}
  const ask = async (channels: Wanted[]) => {
    client.send({ type: 'subscribe', data: { channels: channels.map(({ channel, since }) => ({ channel, since })) } })
    for (const { channel } of channels) {
      const answer = await client.until(() => client.received.slice(before)
        .find(envelope => envelope.channel === channel && ['subscribed', 'unsubscribed'].includes(envelope.type)))
      outcomes[channel] = ((answer.data as Data).reason as Outcome | undefined) ?? 'subscribed'
    }
  }
  const isJoint = ({ channel }: Wanted) => channel.startsWith('joint:')
  await ask(channels.filter(channel => !isJoint(channel)))
  for (const channel of channels.filter(isJoint)) await ask([channel])
  return outcomes
}

/** Channels of which a client got something in a round, in order. */
function gotIn (client: Client, round: number): string[] {
  const isOfRound = ({ type, data }: Envelope) => type === 'n' && (data as Data).round === round
  return client.received.filter(isOfRound).map(({ channel }) => channel!).sort()
}

/** Names of the channels with an outcome, in order. */
function those (outcomes: Record<string, Outcome>, wanted: Outcome): string[] {
  return Object.entries(outcomes).filter(([, outcome]) => outcome === wanted).map(([channel]) => channel).sort()
}

const expectedOf = (rights: Rights, user: string, version: number): Record<string, Outcome> => Object.fromEntries(
  allChannels.map(({ id, channel }) => [channel, outcomeOf(rights.of({ userId: user, version }, id))]))

t.test('each user gets the publications of exactly the channels for which authorize returned true, and unavailable heals with the next subscribe', async t => {
  const { rights, publish, join } = await startMatrix(t)
  const clients = await Promise.all(users.map(user => join(user, 0)))
  const all = await Promise.all(clients.map(client => subscribe(client, allChannels)))
  const first = await publish(clients)
  for (const [at, user] of users.entries()) {
    t.strictSame(all[at], expectedOf(rights, user, 0), user)
    t.strictSame(gotIn(clients[at], first), those(all[at], 'subscribed'), user)
    t.equal(those(all[at], 'subscribed').length, 2 * kinds.length)
  }
  rights.isWell = true
  const healed = await Promise.all(clients.map((client, at) => subscribe(client, those(all[at], 'unavailable').map(channel => ({ channel })))))
  rights.isWell = false
  const second = await publish(clients)
  for (const [at, user] of users.entries()) {
    t.strictSame(those(healed[at], 'subscribed'), those(all[at], 'unavailable'), user)
    t.strictSame(gotIn(clients[at], second), [...those(all[at], 'subscribed'), ...those(healed[at], 'subscribed')].sort(), user)
    t.equal(those(healed[at], 'subscribed').length, 2 * kinds.length)
  }
})

t.test('authorize is called again after a reconnect: a position in a channel does not open it', async t => {
  const { rights, publish, join } = await startMatrix(t)
  rights.isWell = true
  const before = await Promise.all(users.map(user => join(user, 0)))
  await Promise.all(before.map(client => subscribe(client, allChannels)))
  await publish(before)
  rights.isWell = false
  // One publication that all users receive, and one that is published while they are disconnected.
  const positions = before.map(client => new Map(client.received.filter(({ type }) => type === 'n').map(({ channel, id }) => [channel!, id!])))
  for (const client of before) client.socket.terminate()
  const missed = await publish([])
  const clients = await Promise.all(users.map(user => join(user, 1)))
  const wanted = positions.map(ofUser => allChannels.map(({ channel }) => ({ channel, since: ofUser.get(channel) })))
  const outcomes = await Promise.all(clients.map((client, at) => subscribe(client, wanted[at])))
  const live = await publish(clients)
  for (const [at, user] of users.entries()) {
    t.strictSame(outcomes[at], expectedOf(rights, user, 1), user)
    const allowed = those(outcomes[at], 'subscribed')
    t.strictSame(gotIn(clients[at], live), allowed, user)
    // A chat is read from its beginning. A channel of the app is read from the last position, if there is one.
    t.strictSame(gotIn(clients[at], missed), allowed.filter(channel => positions[at].has(channel) || channel.startsWith('chat:')), user)
    t.ok(allowed.some(channel => positions[at].has(channel)))
  }
})

for (const version of [1, 2, 3, 4, 5]) {
  t.test(`after a renewal each subscription ends for which authorize does not return true, with its reason: credential ${version}`, async t => {
    const { rights, publish, join } = await startMatrix(t)
    rights.isWell = true
    const clients = await Promise.all(users.map(user => join(user, 0)))
    const subscribed = (await Promise.all(clients.map(client => subscribe(client, allChannels)))).map(outcomes => those(outcomes, 'subscribed'))
    rights.isWell = false
    const expected = users.map((user, at) => {
      const outcomes = expectedOf(rights, user, version)
      // One answer for all of them.
      const joint = subscribed[at].filter(channel => channel.startsWith('joint:'))
      if (joint.some(channel => outcomes[channel] === 'unavailable')) for (const channel of joint) outcomes[channel] = 'unavailable'
      return Object.fromEntries(subscribed[at].map(channel => [channel, outcomes[channel]]))
    })
    const ends = (client: Client) => client.received.filter(({ type }) => type === 'unsubscribed')
    const before = clients.map(client => ends(client).length)
    for (const [at, client] of clients.entries()) client.send({ type: 'renew', data: { token: `${users[at]} ${version}` } })
    const lost = expected.map((outcomes, at) => subscribed[at].length - those(outcomes, 'subscribed').length)
    await Promise.all(clients.map((client, at) => client.until(() => ends(client).length === before[at] + lost[at])))
    const round = await publish(clients)
    for (const [at, client] of clients.entries()) {
      const outcomes = Object.fromEntries(subscribed[at].map(channel => [channel, 'subscribed']))
      for (const { channel, data } of ends(client).slice(before[at])) outcomes[channel!] = (data as Data).reason!
      t.strictSame(outcomes, expected[at], users[at])
      t.strictSame(gotIn(client, round), those(expected[at], 'subscribed'), users[at])
      t.ok(Object.values(outcomes).includes(version === 3 ? 'unavailable' : 'forbidden'))
      t.equal(client.closed, undefined)
    }
  })
}

t.test('remove ends the subscriptions of that user only, with removed, and a new subscribe gets what authorize says', async t => {
  const { app, rights, publish, join } = await startMatrix(t)
  rights.isWell = true
  const clients = await Promise.all(users.map(user => join(user, 0)))
  const before = await Promise.all(clients.map(client => subscribe(client, allChannels)))
  rights.isWell = false
  const removed = users.slice(0, 3)
  for (const user of removed) for (const id of allIds) for (const kind of ['room', 'joint'] as const) await app.ws.channel(kind, id).remove(user)
  const round = await publish(clients)
  for (const [at, user] of users.entries()) {
    const had = those(before[at], 'subscribed')
    const lost = removed.includes(user) ? had.filter(channel => !channel.startsWith('chat:')) : []
    const ended = clients[at].received.filter(({ type, data }) => type === 'unsubscribed' && (data as Data).reason === 'removed')
    t.strictSame(ended.map(({ channel }) => channel).sort(), lost, user)
    t.strictSame(gotIn(clients[at], round), had.filter(channel => !lost.includes(channel)), user)
    t.equal(had.length, 4 * kinds.length)
  }
  const own = allChannels.filter(({ kind }) => kind !== 'chat')
  for (const [at, user] of removed.entries()) {
    const again = await subscribe(clients[at], own)
    const expected = expectedOf(rights, user, 0)
    t.strictSame(again, Object.fromEntries(own.map(({ channel }) => [channel, expected[channel]])), user)
    t.strictSame(found(gotIn(clients[at], round), channel => !channel.startsWith('chat:')), [], 'nothing from before the new subscribe')
  }
})

t.test("a renewal with a no for the path's channel closes with 4403; one where authorize throws or hangs is refused and changes nothing", async t => {
  const rights = new Map<number, Behaviour>(behaviours.map((behaviour, version) => [version, behaviour]))
  const asked: number[] = []
  const { app, url } = await start(t, {
    authenticate,
    renew,
    timeouts: { authenticate: hookTime },
    authorize: identity => act(rights.get((identity as Versioned).version)!),
    channels: { room: defineChannel({ authorize: identity => { asked.push((identity as Versioned).version); return true } }) }
  })
  const paths = { notifications: '/ws/notifications/ada', "another user's notifications": '/ws/notifications/owner', "another user's chat": '/ws/w/a/c/owner' }
  for (const [name, path] of Object.entries(paths)) {
    for (const [version, behaviour] of rights) {
      asked.length = 0
      const client = await connect(t, url + path, withToken('ada 0'))
      client.send({ type: 'subscribe', data: { channels: [{ channel: 'room:a' }] } })
      await client.next('subscribed')
      client.send({ type: 'renew', ref: 1, data: { token: `ada ${version}` } })
      const isOwn = path.endsWith('ada')
      const isDenied = behaviour === 'false' || (behaviour === 'undefined' && !isOwn)
      const end = await client.until(() => client.closed?.code ?? client.received.find(({ ref }) => ref === 1)?.type)
      t.equal(end, isDenied ? 4403 : outcomeOf(behaviour) === 'unavailable' ? 'error' : 'ack', `${name}, ${behaviour}`)
      await eventually(() => isDenied || asked.length === (end === 'ack' ? 2 : 1))
      if (isDenied) continue
      await app.ws.channel('room', 'a').send({ type: 'n', data: version })
      t.equal((await client.next('n')).data, version, `${name}, ${behaviour}`)
      client.socket.terminate()
    }
  }
})

/** Decisions that the test makes, by user and version of the credential. */
class Decisions {
  readonly #gates = new Map<string, ReturnType<typeof gate<Behaviour>>>()
  readonly #asked: string[] = []

  #gate (userId: string, version: number): ReturnType<typeof gate<Behaviour>> {
    const key = `${userId} ${version}`
    const known = this.#gates.get(key) ?? gate<Behaviour>()
    this.#gates.set(key, known)
    return known
  }

  readonly decide = async (identity: Identity): Promise<boolean | undefined> => {
    const { userId, version } = identity as Versioned
    this.#asked.push(userId)
    return act(await this.#gate(userId, version).opened)
  }

  /** Number of questions about a user. */
  asked (userId: string): number {
    return this.#asked.filter(asked => asked === userId).length
  }

  open (userId: string, version: number, behaviour: Behaviour): void {
    this.#gate(userId, version).open(behaviour)
  }
}

const kindsOf = {
  authorize: (decide: Decisions['decide']) => defineChannel({ authorize: decide }),
  authorizeAll: (decide: Decisions['decide']) => defineChannel({
    authorize: () => false,
    authorizeAll: async (identity, ids) => await decide(identity) === true ? ids : []
  })
}

const pairs = behaviours.flatMap(before => behaviours.map(after => ({ before, after, user: `${before}_${after}` })))

for (const [name, kindOf] of Object.entries(kindsOf)) {
  const startDecided = async (scope: Parameters<typeof start>[0]) => {
    const decisions = new Decisions()
    const channels = { room: kindOf(decisions.decide), hanging: defineChannel({ authorize: () => act('hang') }) }
    const { app, url } = await start(scope, { authenticate, renew, timeouts: { authenticate: hookTime }, channels })
    const join = (user: string) => connect(scope, `${url}/ws/notifications/${user}`, withToken(`${user} 0`))
    const renewed = async (client: Client, user: string, version: number) => {
      client.send({ type: 'renew', data: { token: `${user} ${version}` } })
      await client.until(() => client.received.filter(({ type }) => type === 'renewed').length === version)
    }
    /** Publishes to the channel, and returns the frames that a client has received of it so far. */
    const publish = async (client: Client, user: string) => {
      await app.ws.channel('room', user).send({ type: 'n' })
      await app.ws.sendToUser(user, { type: 'fence' })
      await client.next('fence')
      return client.received.filter(({ channel }) => channel === `room:${user}`).map(({ type, data }) => (data as Data | undefined)?.reason ?? type)
    }
    return { app, decisions, join, renewed, publish }
  }
  const ask = (client: Client, channel: string) => client.send({ type: 'subscribe', data: { channels: [{ channel }] } })
  const framesOf = (behaviour: Behaviour) => outcomeOf(behaviour) === 'subscribed' ? ['subscribed', 'n'] : [outcomeOf(behaviour)]

  t.test(`a user who is removed while ${name} is deciding gets removed and no publication, even if the decision is true`, async t => {
    const { app, decisions, join, publish } = await startDecided(t)
    await Promise.all(behaviours.map(async behaviour => {
      const other = `other_${behaviour}`
      const [client, otherClient] = [await join(behaviour), await join(other)]
      for (const each of [client, otherClient]) ask(each, `room:${behaviour}`)
      await eventually(() => decisions.asked(behaviour) + decisions.asked(other) === 2)
      await app.ws.channel('room', behaviour).remove(behaviour)
      for (const user of [behaviour, other]) decisions.open(user, 0, behaviour)
      const answer = (each: Client) => each.until(() => each.received.find(({ channel }) => channel === `room:${behaviour}`))
      const ends = [await answer(client), await answer(otherClient)]
      t.match(ends[0], { type: 'unsubscribed', data: { reason: 'removed' } }, behaviour)
      t.equal((ends[1].data as Data).reason ?? ends[1].type, outcomeOf(behaviour), 'the removal of one user does not affect the other')
      t.strictSame(await publish(client, behaviour), ['removed'], behaviour)
    }))
  })

  t.test(`a user whose identity is renewed while ${name} is deciding gets what it decides about the new identity`, async t => {
    const { decisions, join, renewed, publish } = await startDecided(t)
    await Promise.all(pairs.map(async ({ before, after, user }) => {
      const client = await join(user)
      ask(client, `room:${user}`)
      await eventually(() => decisions.asked(user) === 1)
      await renewed(client, user, 1)
      decisions.open(user, 0, before)
      decisions.open(user, 1, after)
      await client.until(() => client.received.some(({ channel }) => channel === `room:${user}`))
      t.strictSame(await publish(client, user), framesOf(after), `${before}, then ${after}`)
    }))
  })

  t.test(`the last of several renewals counts, in whatever order ${name} decides about them`, async t => {
    const { decisions, join, renewed, publish } = await startDecided(t)
    await Promise.all(pairs.map(async ({ before, after, user }) => {
      const client = await join(user)
      ask(client, `room:${user}`)
      decisions.open(user, 0, 'true')
      await client.next('subscribed')
      for (const version of [1, 2]) await renewed(client, user, version)
      await eventually(() => decisions.asked(user) === 3)
      decisions.open(user, 2, after)
      const outcome = outcomeOf(after)
      await client.until(() => outcome === 'subscribed' || client.received.some(({ type }) => type === 'unsubscribed'))
      decisions.open(user, 1, before)
      // This one is asked last, so the others are decided or timed out when it times out.
      ask(client, 'hanging:a')
      await client.until(() => client.received.some(({ channel }) => channel === 'hanging:a'))
      t.strictSame(await publish(client, user), ['subscribed', outcome === 'subscribed' ? 'n' : outcome], `${before}, then ${after}`)
    }))
  })
}
