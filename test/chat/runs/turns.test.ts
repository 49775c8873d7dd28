import { once } from 'node:events'
import t from 'tap'
import { LiveRun } from '../../../lib/chat/runs/run.js'
import { Turns } from '../../../lib/chat/runs/turns.js'
import { errors, type Run } from '../../../lib/index.js'
import { Cluster, subject } from '../../../lib/server/cluster.js'
import { movedClock } from '../../clock.js'
import { connect, start } from '../../harness.js'
import { eventually, gate } from '../../waiting.js'
import { FakeCluster, brokersOfNodes } from '../../fake-nodes.js'
import { FakeContext } from './context.js'

const target = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' }

t.test('one run goes at a time, whichever server it is on', async t => {
  const [one, two] = brokersOfNodes(2)
  const [a, b] = await Promise.all([one, two].map(broker => start(t, { broker })))
  const order: string[] = []
  const handler = (name: string) => async (run: Run) => {
    order.push(`${name} starts`)
    await run.tool('t', {}, () => new Promise(resolve => setImmediate(resolve)))
    order.push(`${name} ends`)
  }
  const runs = [a, b, a, b].map(({ app }, n) => app.ws.chat(target).start(handler(`${n}`)))
  t.strictSame(await Promise.all(runs.map(({ finished }) => finished)), Array(4).fill('complete'))
  for (let n = 0; n < order.length; n += 2) t.equal(order[n].replace('starts', 'ends'), order[n + 1], `${order}`)
})

t.test('a run that is over before its turn leaves nothing', async t => {
  const [one, two] = brokersOfNodes(2)
  const [a, b] = await Promise.all([one, two].map(broker => start(t, { broker })))
  const client = await connect(t, `${b.url}/ws/w/a/c/u`)
  const letGo = new AbortController()
  const first = a.app.ws.chat(target).start(() => once(letGo.signal, 'abort'))
  await client.next('run_started')
  const second = b.app.ws.chat(target).start(() => t.fail('it was cancelled'))
  second.cancel()
  t.equal(await second.finished, 'cancelled')
  letGo.abort()
  t.equal(await first.finished, 'complete')
  t.equal(await b.app.ws.chat(target).start(() => {}).finished, 'complete', 'the chat is free')
})

t.test('the run of a server that is gone is ended by another, with what was open in it', async t => {
  const [one, two] = brokersOfNodes(2)
  const [a, b] = await Promise.all([one, two].map(broker => start(t, { broker })))
  const client = await connect(t, `${b.url}/ws/w/a/c/u`)
  const run = a.app.ws.chat(target).start(async run => {
    const reply = run.reply({ agent: 'x' })
    reply.write('so far')
    run.tool('search', {}, () => new Promise(() => {}))
    await run.ask({ prompt: '?' })
  }, { ref: 'r1' })
  await client.next('input_request')
  one.nodes.die()
  t.equal(await run.finished, 'interrupted', 'the one that came back has nothing more to say')
  t.match(await client.next(), { type: 'chat_message', data: { agent: 'x', content: 'so far', status: 'interrupted' } })
  t.match(await client.next(), { type: 'tool_output', data: { name: 'search', status: 'interrupted' } })
  t.match(await client.next(), { type: 'input_closed', data: { reason: 'interrupted' } })
  t.match(await client.next(), { type: 'run_finished', data: { run_id: run.id, ref: 'r1', status: 'interrupted' } })
  t.equal(await b.app.ws.chat(target).start(() => {}).finished, 'complete', 'the chat is free')
  await client.next('run_finished')
  t.equal(client.received.filter(({ type }) => type === 'run_finished').length, 2)
})

t.test('a run that was over is not ended again, and one that had not begun is', async t => {
  const [one, two] = brokersOfNodes(2)
  const [a, b] = await Promise.all([one, two].map(broker => start(t, { broker })))
  const client = await connect(t, `${b.url}/ws/w/a/c/u`)
  const first = a.app.ws.chat(target).start(() => new Promise(() => {}))
  await client.next('run_started')
  const waiting = a.app.ws.chat(target).start(() => t.fail('it never begins'))
  await new Promise(resolve => setImmediate(resolve))
  one.nodes.die()
  t.strictSame([await first.finished, await waiting.finished], ['interrupted', 'interrupted'])
  const ended = [await client.next('run_finished'), await client.next('run_finished')]
  t.strictSame(ended.map(({ data }) => data!.run_id).toSorted(), [first.id, waiting.id].toSorted())
})

t.test('a run waits for a broker that is away for a while', async t => {
  const [one] = brokersOfNodes(1)
  const { app } = await start(t, { broker: one })
  one.nodes.fault = new Error('away')
  const run = app.ws.chat(target).start(() => {})
  await new Promise(resolve => setImmediate(resolve))
  one.nodes.fault = undefined
  t.equal(await run.finished, 'complete')
})

t.test("a user's message has a run, whatever becomes of the server that took it", async t => {
  const [one, two] = brokersOfNodes(2)
  const { publish } = one
  const onMessage = () => t.fail('it is gone')
  const [a, b] = await Promise.all([one, two].map(broker => start(t, { broker, chat: { onMessage } })))
  const [sender, other] = [await connect(t, `${a.url}/ws/w/a/c/u`), await connect(t, `${b.url}/ws/w/a/c/u`)]
  let isStored = (_stored: void) => {}
  const stored = new Promise<void>(resolve => { isStored = resolve })
  one.publish = async (channel, body) => {
    await publish(channel, body)
    isStored()
    return new Promise(() => {})
  }
  sender.send({ type: 'chat_message', ref: 'm1', data: { content: '?' } })
  await stored
  one.nodes.die()
  t.match(await other.next('chat_message'), { data: { message_id: 'm1', content: '?' } })
  t.match(await other.next('run_finished'), { data: { message_id: 'm1', status: 'interrupted' } })
})

t.test("a user's message that could not be stored leaves no run", async t => {
  const [one, two] = brokersOfNodes(2)
  const { publish } = one
  const [a, b] = await Promise.all([one, two].map(broker => start(t, { broker, chat: { onMessage () {} } })))
  const client = await connect(t, `${a.url}/ws/w/a/c/u`)
  one.publish = async () => { throw new errors.BROKER('away') }
  client.send({ type: 'chat_message', ref: 'm1', data: { content: '?' } })
  t.match(await client.next(), { type: 'error', ref: 'm1' })
  one.publish = publish
  one.nodes.die()
  const run = b.app.ws.chat(target).start(() => {})
  t.match(await client.next(), { type: 'run_started', data: { run_id: run.id } })
  t.match(await client.next(), { type: 'run_finished', data: { run_id: run.id } })
})

t.test('a chat that another server has by now: its run here is over, and says so', async t => {
  const [one, two] = brokersOfNodes(2)
  const [a, b] = await Promise.all([one, two].map(broker => start(t, { broker })))
  const client = await connect(t, `${b.url}/ws/w/a/c/u`)
  const run = a.app.ws.chat(target).start(() => new Promise(() => {}))
  await client.next('run_started')
  one.nodes.lose('chat ')
  t.equal(await run.finished, 'interrupted')
  t.match(await client.next(), { type: 'run_finished', data: { run_id: run.id, status: 'interrupted' } })
})

t.test('a server that is taken for dead while it ends the runs of another leaves them to a third', async t => {
  const [one, two, three] = brokersOfNodes(3)
  const [a, , c] = await Promise.all([one, two, three].map(broker => start(t, { broker })))
  const client = await connect(t, `${c.url}/ws/w/a/c/u`)
  const run = a.app.ws.chat(target).start(async run => {
    run.reply().write('so far')
    await new Promise(() => {})
  })
  await client.next('chat_delta')
  const { publish } = two
  let goOn = () => {}
  two.publish = async (...args) => {
    await new Promise<void>(resolve => { goOn = resolve })
    return publish(...args)
  }
  one.nodes.die(two.nodes)
  await new Promise(resolve => setImmediate(resolve))
  two.publish = publish
  two.nodes.die(three.nodes)
  t.match(await client.next('run_finished'), { data: { run_id: run.id, status: 'interrupted' } })
  goOn()
  t.match(await client.next('chat_message'), { data: { content: 'so far' } }, 'what was on its way already')
  t.equal(await c.app.ws.chat(target).start(() => {}).finished, 'complete')
  t.match(await client.next('run_finished'), { data: { status: 'complete' } }, 'once')
})

t.test('a run that was cancelled on one server before its message came to another never begins', async t => {
  const [a, b] = await Promise.all(brokersOfNodes(2).map(broker => start(t, { broker, chat: { onMessage () { t.fail('it was cancelled') } } })))
  const [one, two] = [await connect(t, `${a.url}/ws/w/a/c/u`), await connect(t, `${b.url}/ws/w/a/c/u`)]
  one.send({ type: 'chat_cancel', ref: 'stop', data: { ref: 'm1' } })
  await one.next('ack')
  await new Promise(resolve => setImmediate(resolve))
  two.send({ type: 'chat_message', ref: 'm1', data: { content: '?' } })
  t.match(await two.next('run_finished'), { data: { message_id: 'm1', status: 'cancelled' } })
})

t.test('messages are answered in their order, also when a lease is late', async t => {
  const [one] = brokersOfNodes(1)
  const { app, url } = await start(t, { broker: one, chat: { onMessage () {} } })
  t.ok(app.ws)
  const client = await connect(t, `${url}/ws/w/a/c/u`)
  const { hold } = one.nodes
  one.nodes.hold = async () => {
    one.nodes.hold = hold
    throw new errors.BROKER('away')
  }
  client.send({ type: 'chat_message', ref: 'm1', data: { content: '1' } })
  client.send({ type: 'chat_message', ref: 'm2', data: { content: '2' } })
  const ends = [await client.next('run_finished'), await client.next('run_finished')]
  t.strictSame(ends.map(({ data }) => data!.message_id), ['m1', 'm2'])
})

t.test('the next run begins when all is told of the one before, and the app saves what there was of it', async t => {
  const all = brokersOfNodes(2)
  const [one, two] = all
  for (const broker of all) {
    const { publish } = broker
    broker.publish = async (...args) => {
      // A broker that takes its time.
      await new Promise(resolve => setTimeout(resolve, 10))
      return publish(...args)
    }
  }
  const saved: unknown[] = []
  const chat = { save: (message: { content?: string, status?: string }) => { saved.push([message.content, message.status]) } }
  const [a, b] = [await start(t, { broker: one }), await start(t, { broker: two, chat })]
  const client = await connect(t, `${b.url}/ws/w/a/c/u`)
  const first = a.app.ws.chat(target).start(async run => {
    run.reply().write('so far')
    await new Promise(() => {})
  })
  await client.next('chat_delta')
  const second = b.app.ws.chat(target).start(() => {})
  one.nodes.die(two.nodes)
  await second.finished
  const runs = []
  while (runs.length < 4) {
    const { type, data } = await client.next()
    if (type.startsWith('run_')) runs.push([type, (data as { run_id: string }).run_id])
  }
  t.strictSame(runs, [['run_queued', second.id], ['run_finished', first.id], ['run_started', second.id], ['run_finished', second.id]])
  t.strictSame(saved, [['so far', 'interrupted']])
})

t.test('the leases of a run are held until it is stored that the run is over', async t => {
  const [one, two] = brokersOfNodes(2)
  const [a] = await Promise.all([one, two].map(broker => start(t, { broker })))
  const { publish } = one
  const ending = gate()
  const stored = gate()
  one.publish = async (channel, body) => {
    if (!body.includes('run_finished')) return publish(channel, body)
    ending.open()
    await stored.opened
    return publish(channel, body)
  }
  const run = a.app.ws.chat(target).start(() => {})
  await ending.opened
  t.equal(await run.finished, 'complete')
  for (let turn = 0; turn < 10; turn++) await new Promise(resolve => setImmediate(resolve))
  const keys = [`run ${run.id}`, 'chat chat:w/a/c/u']
  for (const key of keys) t.equal(await two.nodes.hold(key, ''), undefined, 'the lease is not free yet')
  stored.open()
  const free = new Set<string>()
  while (free.size < keys.length) {
    for (const key of keys) if (!free.has(key) && await two.nodes.hold(key, '') !== undefined) free.add(key)
    await new Promise(resolve => setImmediate(resolve))
  }
  t.strictSame([...free], keys)
})

t.test('a run that ends while it waits for its chat waits no longer, and leaves no clock', async t => {
  const { timers, planned } = movedClock(t)
  const nodes = new FakeCluster()
  const [here, there] = [nodes.join(), nodes.join()]
  const context = new FakeContext()
  const parts = { timers, log: context.log, onOrphan: async () => {} }
  const turns = new Turns({ ...parts, cluster: new Cluster(here, timers, context.log) })
  const channel = 'chat:w/a/c/u'
  const held = (await there.hold(`chat ${channel}`, ''))!
  const enter = () => {
    const run = new LiveRun(context, { userId: 'u', handler: () => {} })
    return { run, turn: turns.enter({ channel, target, about: run.about }, run) }
  }
  const [first, second] = [enter(), enter()]
  const taken = [first, second].map(({ turn }) => turn.take())
  await eventually(() => context.types.length === 2)
  t.strictSame(context.types, ['run_queued', 'run_queued'])
  await eventually(() => planned.size === 2)
  first.run.cancel()
  await taken[0]
  t.equal(planned.size, 1, 'the other one still waits')
  await held.release()
  await new Cluster(there, timers, context.log).tell(subject<{ channel: string }>('chat_free'), { channel })
  await taken[1]
  t.equal(planned.size, 0)
  t.equal(await there.hold(`chat ${channel}`, ''), undefined, 'the second one has it')
  await second.turn.end()
  t.not(await there.hold(`chat ${channel}`, ''), undefined)
  turns.close()
})

t.test('the next run of a chat begins as soon as that of another server has ended, without a wait', async t => {
  const { timers, planned } = movedClock(t)
  const nodes = new FakeCluster()
  const context = new FakeContext()
  const turnsOf = () => {
    const cluster = new Cluster(nodes.join(), timers, context.log)
    return new Turns({ timers, log: context.log, onOrphan: async () => {}, cluster })
  }
  const [here, there] = [turnsOf(), turnsOf()]
  const enter = (turns: Turns) => {
    const run = new LiveRun(context, { userId: 'u', handler: () => {} })
    return turns.enter({ channel: 'chat:w/a/c/u', target, about: run.about }, run)
  }
  const first = enter(there)
  await first.take()
  const second = enter(here).take()
  // Its clock never moves.
  await eventually(() => planned.size === 1)
  await first.end()
  await second
  t.equal(planned.size, 0)
  here.close()
  there.close()
})

t.test('the lease of a run whose server is gone is held until another one has stored its end', async t => {
  const { timers } = movedClock(t)
  const nodes = new FakeCluster()
  const [gone, heir, third] = [nodes.join(), nodes.join(), nodes.join()]
  const context = new FakeContext()
  const [ending, stored] = [gate(), gate()]
  const onOrphan = async () => {
    ending.open()
    await stored.opened
  }
  const turns = new Turns({ timers, log: context.log, onOrphan, cluster: new Cluster(heir, timers, context.log) })
  const run = new LiveRun(context, { userId: 'u', handler: () => {} })
  await gone.hold(`run ${run.id}`, JSON.stringify({ channel: 'chat:w/a/c/u', target, about: run.about }))
  gone.die()
  await ending.opened
  for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
  t.equal(await third.hold(`run ${run.id}`, ''), undefined)
  stored.open()
  await eventually(async () => await third.hold(`run ${run.id}`, '') !== undefined)
  turns.close()
})
