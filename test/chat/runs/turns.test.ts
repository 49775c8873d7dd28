import { once } from 'node:events'
import t from 'tap'
import type { Lease } from '../../../lib/brokers/broker.js'
import { LiveRun } from '../../../lib/chat/runs/run.js'
import { Turns } from '../../../lib/chat/runs/turns.js'
import { errors, type Run } from '../../../lib/index.js'
import { Cluster, subject } from '../../../lib/server/cluster.js'
import { movedClock } from '../../clock.js'
import { connect, start } from '../../harness.js'
import { eventually, gate, loopTurns } from '../../waiting.js'
import { FakeCluster, brokersOfNodes } from '../../fake-nodes.js'
import { FakeContext } from './context.js'

const target = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' }

t.test('a chat has one active run at a time on all servers', async t => {
  const [one, two] = brokersOfNodes(2)
  const [a, b] = await Promise.all([one, two].map(broker => start(t, { broker })))
  const order: string[] = []
  const handler = (name: string) => async (run: Run) => {
    order.push(`${name} starts`)
    await run.tool('t', {}, () => loopTurns())
    order.push(`${name} ends`)
  }
  const runs = [a, b, a, b].map(({ app }, n) => app.ws.chat(target).start(handler(`${n}`)))
  t.strictSame(await Promise.all(runs.map(({ finished }) => finished)), Array(4).fill('complete'))
  for (let n = 0; n < order.length; n += 2) t.equal(order[n].replace('starts', 'ends'), order[n + 1], `${order}`)
})

t.test('an app that is closed listens to its node no longer', async t => {
  const [{ nodes }, other] = brokersOfNodes(2)
  const broker = { ...other, nodes }
  const { app } = await start(t, { broker })
  t.ok(nodes.listeners > 0)
  await app.close()
  t.equal(nodes.listeners, 0)
})

t.test('a run that is cancelled before its turn leaves no lease', async t => {
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

t.test('another server ends the run of a dead server, and closes its open parts', async t => {
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
  t.equal(await run.finished, 'interrupted', 'the server that was taken for dead ends it silently')
  t.match(await client.next(), { type: 'chat_message', data: { agent: 'x', content: 'so far', status: 'interrupted' } })
  t.match(await client.next(), { type: 'tool_output', data: { name: 'search', status: 'interrupted' } })
  t.match(await client.next(), { type: 'input_closed', data: { reason: 'interrupted' } })
  t.match(await client.next(), { type: 'run_finished', data: { run_id: run.id, ref: 'r1', status: 'interrupted' } })
  t.equal(await b.app.ws.chat(target).start(() => {}).finished, 'complete', 'the chat is free')
  await client.next('run_finished')
  t.equal(client.received.filter(({ type }) => type === 'run_finished').length, 2)
})

t.test('another server ends both the active and the waiting run of a dead server, each once', async t => {
  const [one, two] = brokersOfNodes(2)
  const [a, b] = await Promise.all([one, two].map(broker => start(t, { broker })))
  const client = await connect(t, `${b.url}/ws/w/a/c/u`)
  const first = a.app.ws.chat(target).start(() => new Promise(() => {}))
  await client.next('run_started')
  const waiting = a.app.ws.chat(target).start(() => t.fail('it never begins'))
  await loopTurns()
  one.nodes.die()
  t.strictSame([await first.finished, await waiting.finished], ['interrupted', 'interrupted'])
  const ended = [await client.next('run_finished'), await client.next('run_finished')]
  t.strictSame(ended.map(({ data }) => data!.run_id).toSorted(), [first.id, waiting.id].toSorted())
})

t.test('a run waits for a broker that fails for a while', async t => {
  const [one] = brokersOfNodes(1)
  const { app } = await start(t, { broker: one })
  one.nodes.fault = new Error('away')
  const run = app.ws.chat(target).start(() => {})
  await loopTurns()
  one.nodes.fault = undefined
  t.equal(await run.finished, 'complete')
})

t.test('a stored message of a user gets the end of its run, even if the server that handles it dies', async t => {
  const [one, two] = brokersOfNodes(2)
  const { publish } = one
  const onMessage = () => t.fail('the server is dead')
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

t.test('a message of a user that could not be stored leaves no run', async t => {
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

t.test('a run whose server loses the lease of its chat is interrupted, and its end is published', async t => {
  const [one, two] = brokersOfNodes(2)
  const [a, b] = await Promise.all([one, two].map(broker => start(t, { broker })))
  const client = await connect(t, `${b.url}/ws/w/a/c/u`)
  const run = a.app.ws.chat(target).start(() => new Promise(() => {}))
  await client.next('run_started')
  one.nodes.lose('chat ')
  t.equal(await run.finished, 'interrupted')
  t.match(await client.next(), { type: 'run_finished', data: { run_id: run.id, status: 'interrupted' } })
})

t.test('a third server ends the runs of a dead server when the second one dies too', async t => {
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
  await loopTurns()
  two.publish = publish
  two.nodes.die(three.nodes)
  t.match(await client.next('run_finished'), { data: { run_id: run.id, status: 'interrupted' } })
  goOn()
  t.match(await client.next('chat_message'), { data: { content: 'so far' } }, 'a publication that was already in transit')
  t.equal(await c.app.ws.chat(target).start(() => {}).finished, 'complete')
  t.match(await client.next('run_finished'), { data: { status: 'complete' } }, 'once')
})

t.test('a run that was cancelled on one server before its message arrived on another never begins', async t => {
  const [a, b] = await Promise.all(brokersOfNodes(2).map(broker => start(t, { broker, chat: { onMessage () { t.fail('it was cancelled') } } })))
  const [one, two] = [await connect(t, `${a.url}/ws/w/a/c/u`), await connect(t, `${b.url}/ws/w/a/c/u`)]
  one.send({ type: 'chat_cancel', ref: 'stop', data: { ref: 'm1' } })
  await one.next('ack')
  await loopTurns()
  two.send({ type: 'chat_message', ref: 'm1', data: { content: '?' } })
  t.match(await two.next('run_finished'), { data: { message_id: 'm1', status: 'cancelled' } })
})

t.test('messages are answered in order, even when a lease is late', async t => {
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

t.test('the next run begins after the end of the one before is published, and its unfinished reply is saved', async t => {
  const all = brokersOfNodes(2)
  const [one, two] = all
  for (const broker of all) {
    const { publish } = broker
    broker.publish = async (...args) => {
      // A slow broker.
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

t.test('a server holds the leases of a run until the end of the run is stored', async t => {
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
  await loopTurns(10)
  const keys = [`run ${run.id}`, 'chat chat:w/a/c/u']
  for (const key of keys) t.equal(await two.nodes.hold(key, ''), undefined, 'the lease is not free yet')
  stored.open()
  const free = new Set<string>()
  while (free.size < keys.length) {
    for (const key of keys) if (!free.has(key) && await two.nodes.hold(key, '') !== undefined) free.add(key)
    await loopTurns()
  }
  t.strictSame([...free], keys)
})

t.test('a server that ends the run of a dead server holds the lease of the run until the end is stored', async t => {
  const all = brokersOfNodes(3)
  const [one, two, three] = all
  const [a] = await Promise.all([one, two].map(broker => start(t, { broker })))
  const { publish } = two
  const ending = gate()
  const stored = gate()
  two.publish = async (channel, body) => {
    if (!body.includes('run_finished')) return publish(channel, body)
    ending.open()
    await stored.opened
    return publish(channel, body)
  }
  const began = gate()
  const run = a.app.ws.chat(target).start(() => {
    began.open()
    return new Promise(() => {})
  })
  await began.opened
  one.nodes.die(two.nodes)
  await ending.opened
  await loopTurns(10)
  t.equal(await three.nodes.hold(`run ${run.id}`, ''), undefined, 'the lease is not free yet')
  stored.open()
  await eventually(async () => await three.nodes.hold(`run ${run.id}`, '') !== undefined)
})

t.test('a run that ends while it waits for its chat stops waiting, and leaves no timer', async t => {
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
  t.strictSame([planned.size, turns.size], [1, 1], 'the other one still waits')
  await held.release()
  await new Cluster(there, timers, context.log).tell(subject<{ channel: string }>('chat_free'), { channel })
  await taken[1]
  t.strictSame([planned.size, turns.size], [0, 0])
  t.equal(await there.hold(`chat ${channel}`, ''), undefined, 'the second run holds the lease')
  await second.turn.end()
  t.not(await there.hold(`chat ${channel}`, ''), undefined)
  turns.close()
})

for (const where of ['another server', 'the same server']) {
  t.test(`the next run of a chat begins at once when the run of ${where} has ended`, async t => {
    const { timers, planned } = movedClock(t)
    const nodes = new FakeCluster()
    const context = new FakeContext()
    const turnsOf = () => {
      const cluster = new Cluster(nodes.join(), timers, context.log)
      return new Turns({ timers, log: context.log, onOrphan: async () => {}, cluster })
    }
    const here = turnsOf()
    const there = where === 'the same server' ? here : turnsOf()
    const enter = (turns: Turns) => {
      const run = new LiveRun(context, { userId: 'u', handler: () => {} })
      return turns.enter({ channel: 'chat:w/a/c/u', target, about: run.about }, run)
    }
    const first = enter(there)
    await first.take()
    const second = enter(here).take()
    // The clock does not move, so no timer fires.
    await eventually(() => planned.size === 1)
    await first.end()
    await second
    t.equal(planned.size, 0)
    here.close()
    there.close()
  })
}

t.test('a server that inherits the lease of a chat announces that the chat is free once the lease is released', async t => {
  const { timers } = movedClock(t)
  const nodes = new FakeCluster()
  const [heir, other] = [nodes.join(), nodes.join()]
  let inherit = (_lease: Lease) => {}
  heir.onInherited = listener => {
    inherit = listener
    return () => {}
  }
  const context = new FakeContext()
  const turns = new Turns({ timers, log: context.log, onOrphan: async () => {}, cluster: new Cluster(heir, timers, context.log) })
  const order: string[] = []
  new Cluster(other, timers, context.log).on(subject<{ channel: string }>('chat_free'), () => { order.push('free') })
  const released = gate()
  const release = async () => {
    await released.opened
    order.push('released')
  }
  const data = JSON.stringify({ channel: 'chat:w/a/c/u', target, about: { run_id: 'r' } })
  inherit({ key: 'chat chat:w/a/c/u', data, lost: new AbortController().signal, release })
  await loopTurns(5)
  t.strictSame(order, [])
  released.open()
  await eventually(() => order.length === 2)
  t.strictSame(order, ['released', 'free'])
  turns.close()
})

t.test('a server that inherits the lease of a run, and that of its chat before it, holds both until the end of the run is stored', async t => {
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
  const keys = ['chat chat:w/a/c/u', `run ${run.id}`]
  for (const key of keys) await gone.hold(key, JSON.stringify({ channel: 'chat:w/a/c/u', target, about: run.about }))
  gone.die()
  await ending.opened
  await loopTurns(5)
  for (const key of keys) t.equal(await third.hold(key, ''), undefined)
  stored.open()
  for (const key of keys) await eventually(async () => await third.hold(key, '') !== undefined)
  turns.close()
})

t.test('a run that waits for the broker, and a run of a dead server whose end fails, are logged and tried again', async t => {
  const { timers, planned, pass } = movedClock(t)
  const nodes = new FakeCluster()
  const [here, gone] = [nodes.join(), nodes.join()]
  const context = new FakeContext()
  let faults = 1
  const onOrphan = async () => { if (faults-- > 0) throw new Error('of the broker') }
  const turns = new Turns({ timers, log: context.log, onOrphan, cluster: new Cluster(here, timers, context.log) })
  const run = new LiveRun(context, { userId: 'u', handler: () => {} })
  here.fault = new Error('away')
  const { registered } = turns.enter({ channel: 'chat:w/a/c/u', target, about: run.about }, run)
  await eventually(() => planned.size === 1)
  here.fault = undefined
  pass(2_000)
  t.not(await registered, undefined)
  await gone.hold('run dead', JSON.stringify({ channel: 'chat:w/a/c/u', target, about: { run_id: 'dead' } }))
  gone.die(here)
  await eventually(() => planned.size === 1)
  t.equal(await gone.hold('run dead', ''), undefined, 'the server still has the lease')
  pass(2_000)
  await eventually(async () => await gone.hold('run dead', '') !== undefined)
  t.match(context.logged, [/a run is waiting for the broker/, /a run of a dead server could not be ended/])
  t.match(context.loggedFields, [{ runId: run.id }, { key: 'run dead' }])
  turns.close()
})
