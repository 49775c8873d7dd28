import t from 'tap'
import { redisBroker } from '../../lib/redis.js'
import { connect, start } from '../harness.js'
import { ChaosProxy, RedisServer, skipRedis } from '../redis-server.js'
import { gate, within } from '../waiting.js'

/** Simulates the pace of a model. */
const wait = (ms: number) => new Promise<void>(resolve => { setTimeout(resolve, ms) })

t.test('a node that was cut off and declared dead does not continue a run that another node has ended', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const proxy = await ChaosProxy.start(t, server.port)
  const [cut, well] = await Promise.all([proxy.url, server.url].map(url => start(t, { broker: redisBroker({ url }) })))
  const client = await connect(t, `${well.url}/ws/w/a/c/u`)
  const chat = cut.app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' })
  const stopped = gate()
  const run = chat.start(async run => {
    const reply = run.reply()
    while (reply.write('word ')) await wait(100)
    stopped.open()
  })
  await client.next('chat_delta')
  proxy.hold()
  t.match(await client.next('run_finished'), { data: { run_id: run.id, status: 'interrupted' } })
  proxy.release()
  t.equal(await run.finished, 'interrupted')
  await within(stopped.opened, 'the end of the writing')
  /** Types of what the client gets until the end of a run that the node that was cut off starts. */
  const typesOfNext = async () => {
    const { length } = client.received
    t.equal(await chat.start(() => {}).finished, 'complete')
    t.match(await client.next('run_finished'), { data: { status: 'complete' } })
    return client.received.slice(length).map(({ type }) => type)
  }
  // Text that the node wrote before it knew may still arrive. Clients ignore it.
  t.strictSame((await typesOfNext()).filter(type => type !== 'chat_delta'), ['run_started', 'run_finished'], 'the run does not end a second time')
  t.strictSame(await typesOfNext(), ['run_started', 'run_finished'], 'the run writes nothing more')
})
