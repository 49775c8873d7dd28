import t from 'tap'
import { RedisServer, skipRedis, startSentinel } from '../redis-server.js'
import { TestNode, complaints, deliveredAgain, outcomes, storedIn } from '../redis-nodes.js'
import { eventually } from '../waiting.js'

const channels = ['user:a', 'user:b', 'broadcast']

async function isMaster (t: { teardown (action: () => unknown): void }, server: RedisServer): Promise<() => Promise<boolean>> {
  const client = server.client(t)
  return async () => (await client.info('replication')).includes('role:master')
}

// Most of a test is waiting.
t.jobs = 3

t.test('when a Sentinel promotes the replica under load, all outcomes agree with the data in Redis', { skip: skipRedis }, async t => {
  const { master, replica, client } = await startSentinel(t)
  const app = client()
  const nodes = [await TestNode.start(t, { client: app }), await TestNode.start(t, { client: app })]
  for (const node of nodes) for (const channel of channels) await node.follow(channel)
  const ends = nodes.map((node, at) => node.load(channels, 300, String(at)))
  await eventually(() => nodes.every(node => node.sent.length > 100))
  // A replica that never synchronized would be an empty Redis.
  const replicaClient = replica.client(t)
  await eventually(async () => (await storedIn(replicaClient, 'broadcast')).length > 10)
  await master.kill()
  await eventually(await isMaster(t, replica))
  const back = await deliveredAgain(nodes, 'broadcast')
  t.ok(back < 5_000, `delivery resumes after ${Math.round(back)} ms`)
  await Promise.all(ends.map(end => end()))
  for (const channel of channels) await deliveredAgain(nodes, channel)
  t.strictSame(await complaints(replicaClient, nodes), [])
  t.comment(JSON.stringify({ ...outcomes(nodes), told: nodes.map(node => node.followers.map(({ told }) => told)) }))
})

t.test('nodes restore the publications that a promoted replica lacks', { skip: skipRedis }, async t => {
  const { master, replica, replication, client } = await startSentinel(t)
  const app = client()
  const nodes = [await TestNode.start(t, { client: app }), await TestNode.start(t, { client: app })]
  for (const node of nodes) await node.follow('user:a')
  for (let n = 0; n < 5; n++) await nodes[0].publish('user:a', `{"early":${n}}`)
  const replicaClient = replica.client(t)
  await eventually(async () => (await storedIn(replicaClient, 'user:a')).length === 5)
  replication.hold()
  for (let n = 0; n < 5; n++) await nodes[0].publish('user:a', `{"late":${n}}`)
  const followers = nodes.flatMap(node => node.followers)
  await eventually(() => followers.every(({ received }) => received.length === 10))
  await master.kill()
  await eventually(await isMaster(t, replica))
  await deliveredAgain(nodes, 'user:a')
  t.match(await storedIn(replicaClient, 'user:a'), [0, 1, 2, 3, 4].map(n => `{"early":${n}}`))
  t.ok((await storedIn(replicaClient, 'user:a')).includes('{"late":4}'))
  t.strictSame(followers.map(({ told }) => told), [0, 0], 'no follower missed a publication')
  t.strictSame(await complaints(replicaClient, nodes), [])
})

t.test('a follower is notified once when a promoted replica lacks publications that no node can restore', { skip: skipRedis }, async t => {
  const { master, replica, replication, client } = await startSentinel(t)
  const app = client()
  const node = await TestNode.start(t, { client: app })
  const [left, other] = [await node.follow('user:a'), await node.follow('user:b')]
  await node.publish('user:a', '{"early":1}')
  await node.publish('user:b', '{"early":1}')
  const replicaClient = replica.client(t)
  await eventually(async () => (await storedIn(replicaClient, 'user:b')).length === 1)
  replication.hold()
  // More publications than a node keeps for restoring.
  for (let n = 0; n < 600; n++) await node.publish('user:a', `{"late":${n}}`)
  await eventually(() => left.received.length === 601)
  const before = left.epoch
  await master.kill()
  await eventually(await isMaster(t, replica))
  await deliveredAgain([node], 'user:b')
  await eventually(() => left.told === 1)
  t.not(left.epoch, before, 'the epoch changes, so that no offset is used twice in an epoch')
  t.equal(other.told, 0, 'the follower of the other channel is not notified')
})
