import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import t from 'tap'
import { spawnChild } from '../children.js'
import { every } from '../every.js'
import { connect } from '../harness.js'
import { AppProcess, fixture, rawConnect } from '../process.js'
import { eventually, within } from '../waiting.js'

const heartbeat = { interval: 500, timeout: 200 }

t.test('a blocked event loop closes no connection', async t => {
  // On a busy machine clients answer pings late.
  const app = await AppProcess.start(t, { heartbeat: { interval: 1_000, timeout: 800 } })
  const clients = await Promise.all(Array.from({ length: 50 }, (_, n) => connect(t, `${app.url}/ws/notifications/u${n}`)))
  // Long enough to start in each phase of the heartbeat of some connection.
  for (let round = 0; round < 3; round++) await app.post('/block', { ms: 2_000 })
  await app.post('/flood', { count: 1, bytes: 1, every: 1_800 })
  t.equal((await app.usage()).connections, clients.length)
  t.ok(every(clients, client => client.closed === undefined))
})

t.test('a client that answers no ping is disconnected, and a client that answers stays', async t => {
  const app = await AppProcess.start(t, { heartbeat })
  const silent = await rawConnect(t, app.port, '/ws/notifications/silent')
  const alive = await connect(t, `${app.url}/ws/notifications/alive`)
  silent.resume()
  await within(once(silent, 'close'), 'the end of the connection')
  t.equal((await app.usage()).connections, 1)
  t.equal(alive.closed, undefined)
})

const canIsolate = process.getuid?.() === 0 && existsSync('/usr/sbin/ip') && existsSync('/usr/sbin/iptables')

t.test('half-open peers that are cut off without a packet are disconnected', {
  skip: canIsolate ? false : 'needs root, iproute2 and iptables for a network namespace'
}, async t => {
  const run = (command: string) => {
    const { status, stderr } = spawnSync('/bin/sh', ['-c', command], { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } })
    if (status !== 0) throw new Error(`${command}: ${stderr}`)
  }
  const name = `rt${process.pid}`
  // One network per process, because a killed test leaves its own behind.
  const network = `10.213.${process.pid % 256}`
  const host = `${network}.1`
  t.teardown(() => run(`ip netns delete ${name}`))
  run(`ip netns add ${name} && ip link add ${name}a type veth peer name ${name}b && ip link set ${name}b netns ${name}`)
  run(`ip addr add ${host}/24 dev ${name}a && ip link set ${name}a up`)
  run(`ip netns exec ${name} sh -c 'ip addr add ${network}.2/24 dev ${name}b && ip link set ${name}b up'`)

  const app = await AppProcess.start(t, { heartbeat }, host)
  const peers = spawnChild('/usr/sbin/ip', ['netns', 'exec', name, process.execPath, fixture('peers.mjs'), app.url, '10'], {})
  t.teardown(() => peers.kill('SIGKILL'))
  await within(once(peers.stdout!, 'data'), 'the peers to connect')
  t.equal((await app.stats()).connections, 10)

  run(`ip netns exec ${name} iptables -A INPUT -j DROP && ip netns exec ${name} iptables -A OUTPUT -j DROP`)
  await eventually(async () => (await app.stats()).connections === 0, 20_000)
  t.equal((await app.stats()).connections, 0)
})
