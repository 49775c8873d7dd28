import t from 'tap'
import { errors, MemoryBroker, type Broker, type CreateLog } from '../../lib/index.js'
import { all, ask, finished, startChat, tokens, Transcript, typesOf } from '../chat.js'
import { Client } from '../harness.js'
import { loopTurns } from '../waiting.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))

/** Fate of a publication: `stored`; `lost`, rejected and not stored; `unsure`, stored and rejected as unconfirmed. */
type Fate = 'stored' | 'lost' | 'unsure'

/** Stores each publication a few turns later, in order. The test decides the fate of each. */
class UnsureBroker implements Broker {
  readonly stored: Array<{ type: string, data: Record<string, any> }> = []
  fateOf: (type: string, data: Record<string, any>) => Fate = () => 'stored'
  readonly #inner = new MemoryBroker({ size: 1_000, ttl: 60_000, bytes: 64 * 1024 * 1024, lag: 4 * 1024 * 1024 })
  #last: Promise<unknown> = Promise.resolve()

  open (createLog: CreateLog) {
    this.#inner.open(createLog)
  }

  publish (channel: string, body: string) {
    const { type, data } = JSON.parse(body)
    const fate = this.fateOf(type, data)
    const stored = this.#last.then(async () => {
      for (let turns = Math.random() * 4; turns > 0; turns--) await loopTurns()
      const position = fate === 'lost' ? undefined : this.#inner.publish(channel, body)
      if (position !== undefined) this.stored.push({ type, data })
      if (fate === 'lost') throw new errors.BROKER('not now')
      if (fate === 'unsure') throw new errors.UNCONFIRMED()
      return position!
    })
    this.#last = stored.catch(() => {})
    return stored
  }

  async subscribe (channel: string) {
    await loopTurns()
    return this.#inner.subscribe(channel)
  }

  stats () {
    return this.#inner.stats()
  }

  close () {
    this.#inner.close()
  }
}

/** Gives this fate to the first publication of each type, and stores the later ones. */
function once (fate: Fate, types: string[]): UnsureBroker['fateOf'] {
  const left = new Set(types)
  return type => left.delete(type) ? fate : 'stored'
}

t.test('with a broker that stores later, all publications arrive in order and each text is complete', async t => {
  const broker = new UnsureBroker()
  const words = tokens(300)
  const { join } = await startChat(t, {
    onMessage: async run => {
      const reply = run.reply()
      for (const word of words) {
        reply.write(word)
        if (Math.random() < 0.5) await loopTurns()
      }
      const tool = run.tool('t', {}, async ({ progress }) => progress(1))
      const source = (async function * () { for (const word of words) yield word })()
      const [text] = await Promise.all([run.stream(source), tool, reply.end()])
      t.equal(text, words.join(''))
    }
  }, { broker })
  const client = await join()
  const transcript = new Transcript()
  for (let n = 0; n < 3; n++) client.send({ type: 'chat_message', ref: `m${n}`, data: { content: 'q' } })
  await finished(client, 3)
  t.strictSame(transcript.take(client).faults, [])
  t.strictSame([...transcript.texts.values()].sort(), [...Array(6).fill(words.join('')), 'q', 'q', 'q'].sort())
  const order = typesOf(client).filter(type => type === 'run_started' || type === 'run_finished')
  t.strictSame(order, Array(3).fill(['run_started', 'run_finished']).flat())
  t.strictSame(typesOf(client).filter(type => type === 'tool_call' || type === 'tool_output'), Array(3).fill(['tool_call', 'tool_output']).flat())
})

t.test('messages that arrive while others are being stored run one at a time', async t => {
  const broker = new UnsureBroker()
  let going = 0
  let most = 0
  const { join } = await startChat(t, {
    onMessage: async run => {
      most = Math.max(most, ++going)
      run.reply().write('answer')
      await loopTurns()
      going--
    }
  }, { broker })
  const devices = [await join(), await join(), await join()]
  const answers: Array<Promise<string>> = []
  for (let n = 0; n < 5; n++) {
    for (const client of devices) answers.push(ask(client, 'chat_message', { content: 'q' }))
    for (let turns = Math.random() * 20; turns > 0; turns--) await loopTurns()
  }
  t.strictSame(new Set(await Promise.all(answers)), new Set(['ack']))
  await finished(devices[0], 15)
  t.equal(most, 1)
})

t.test('publications of a run that the broker rejects at first are retried, and each is stored exactly once', async t => {
  const broker = new UnsureBroker()
  const { join } = await startChat(t, {
    onMessage: async run => {
      const reply = run.reply()
      for (const word of 'one two three four'.split(' ')) {
        reply.write(`${word} `)
        await loopTurns(10)
      }
      await reply.end()
      t.equal(broker.stored.at(-1)!.data.status, 'complete', 'reply.end() resolves after the final message is stored')
      await run.tool('t', {}, () => 1)
    }
  }, { broker })
  const client = await join()
  broker.fateOf = once('lost', ['run_started', 'chat_delta', 'tool_output', 'run_finished'])
  let isLost = true
  const fateOf = broker.fateOf
  broker.fateOf = (type, data) => {
    if (!isLost || data.role !== 'assistant') return fateOf(type, data)
    isLost = false
    return 'lost'
  }
  t.equal(await ask(client, 'chat_message', { content: 'q' }), 'ack')
  const transcript = new Transcript()
  await finished(client)
  t.strictSame(transcript.take(client).faults, [])
  t.match([...transcript.texts.values()], ['q', 'one two three four '])
  for (const type of ['run_started', 'run_finished', 'tool_call', 'tool_output']) t.equal(broker.stored.filter(each => each.type === type).length, 1, type)
})

t.test('tool, ask and send of a run reject when the broker does not confirm their publication, and the run completes', async t => {
  const broker = new UnsureBroker()
  const { join } = await startChat(t, {
    onMessage: async run => {
      await t.rejects(run.tool('t', {}, () => t.fail('the tool ran before its call was stored')), { code: /RT_ERR_(BROKER|UNCONFIRMED)/ })
      await t.rejects(run.ask({ prompt: 'p' }), { code: /RT_ERR_(BROKER|UNCONFIRMED)/ })
      await t.rejects(run.send({ type: 'app' }), { code: /RT_ERR_(BROKER|UNCONFIRMED)/ })
      run.reply().write('text')
    }
  }, { broker })
  for (const fate of ['lost', 'unsure'] as const) {
    broker.fateOf = once(fate, ['tool_call', 'input_request', 'app'])
    const client = await join()
    const before = all(client, 'run_finished').length
    t.equal(await ask(client, 'chat_message', { content: 'q' }), 'ack')
    t.match((await finished(client, before + 1)).at(-1), { status: 'complete' })
    t.match(all(client, 'tool_output').at(-1), { status: 'error' }, 'the tool call gets an output with status error')
    t.match(all(client, 'input_closed').at(-1), { reason: 'error' })
  }
})

t.test("a user's message that the broker did not confirm can be sent again", async t => {
  const broker = new UnsureBroker()
  let runs = 0
  const { join } = await startChat(t, { onMessage: () => { runs++ } }, { broker })
  const client = await join()
  for (const fate of ['lost', 'unsure'] as const) {
    broker.fateOf = once(fate, ['chat_message'])
    t.equal(await ask(client, 'chat_message', { content: 'q', message_id: fate }), 'handler_failed')
    t.equal(await ask(client, 'chat_message', { content: 'q', message_id: fate }), 'ack')
    t.equal(await ask(client, 'chat_message', { content: 'q', message_id: fate }), 'ack')
  }
  await finished(client, 2)
  t.equal(runs, 2, 'each message starts one run')
})

t.test('when the broker does not confirm some deltas, the text is right for live clients and for clients that resume', async t => {
  const broker = new UnsureBroker()
  const words = tokens(60)
  const { join } = await startChat(t, {
    onMessage: async run => {
      const reply = run.reply()
      for (const word of words) {
        reply.write(word)
        await loopTurns(5)
      }
    }
  }, { broker })
  const client = await join()
  let count = 0
  broker.fateOf = type => type === 'chat_delta' && count++ % 4 === 2 ? 'unsure' : 'stored'
  await ask(client, 'chat_message', { content: 'q' })
  await client.until(() => all(client, 'chat_delta').length > 2)
  const others: Client[] = []
  for (const { id } of client.received.filter(({ id }) => id !== undefined)) others.push(await join('u1', id))
  for (const each of [client, ...others]) {
    await finished(each)
    const transcript = new Transcript()
    transcript.take(client).take(each)
    t.equal([...transcript.texts.values()][1], words.join(''))
  }
})

t.test('no rejection is left unhandled', async t => t.strictSame(unhandled, []))
