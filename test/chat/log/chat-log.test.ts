import fc from 'fast-check'
import t from 'tap'
import { found } from '../../every.js'
import { Client, bodyOf, delta, logOf, message } from './readers.js'

t.test('an active run is kept, from the message that started it onwards', async t => {
  const user = bodyOf('chat_message', { message_id: 'u1', role: 'user', content: 'hi' })
  const log = logOf([user, bodyOf('run_started', { run_id: 'r', message_id: 'u1' }), bodyOf('input_request', {})], { size: 3, ttl: 1_000 })
  for (let n = 0; n < 20; n++) log.append(bodyOf('app', { n }), 0)
  log.expire(100_000)
  log.trim()
  t.equal(log.length, 23)
  log.append(bodyOf('run_finished', { run_id: 'r' }), 100_000)
  t.equal(log.length, 3)
  log.expire(102_000)
  t.equal(log.length, 0)
})

t.test('a run with 28,000 replies at the same time can be read from its middle, and leaves only the history', async t => {
  const count = 28_000
  const log = logOf([bodyOf('run_started', { run_id: 'r' })], { size: 100, lag: 100_000_000 })
  for (let at = 0; at < count; at++) log.append(delta(`m${at}`, 0, 'begun, '), 0)
  const client = new Client(log, 1 + count / 2)
  for (let at = 0; at < count; at++) log.append(message(`m${at}`, 'begun, done'), 0)
  client.readAll(16_384)
  t.equal(client.received.length, count)
  t.strictSame(found([...client.texts.values()], text => text !== 'begun, done'), [])
  t.strictSame([client.offset, client.ahead], [log.head, undefined])
  log.append(bodyOf('run_finished', { run_id: 'r' }), 0)
  log.trim()
  t.equal(log.length, 100)
})

t.test('a waiting run is kept from its message onwards until it is finished', async t => {
  const user = bodyOf('chat_message', { message_id: 'u1', role: 'user', content: 'hi' })
  const log = logOf([
    user, bodyOf('run_started', { run_id: 'going' }), bodyOf('run_queued', { run_id: 'waiting', message_id: 'u1' }), bodyOf('run_queued', { run_id: 'later' })
  ], { size: 3, ttl: 1_000 })
  const fill = () => { for (let n = 0; n < 20; n++) log.append(bodyOf('app', { n }), 0) }
  const kept = () => {
    const client = new Client(log)
    const types = client.readAll().types.filter(type => type !== 'app')
    log.remove(client)
    return types
  }
  fill()
  log.append(bodyOf('run_finished', { run_id: 'going' }), 0)
  fill()
  t.strictSame(kept(), ['chat_message', 'run_started', 'run_queued', 'run_queued', 'run_finished'])
  log.append(bodyOf('run_started', { run_id: 'waiting', message_id: 'u1' }), 0)
  fill()
  t.strictSame(kept(), ['chat_message', 'run_started', 'run_queued', 'run_queued', 'run_finished', 'run_started'], 'while it is active')
  log.append(bodyOf('run_finished', { run_id: 'waiting' }), 0)
  fill()
  t.strictSame(kept(), ['run_queued', 'run_finished', 'run_started', 'run_finished'], 'the last one still waits')
  log.append(bodyOf('run_finished', { run_id: 'later' }), 0)
  fill()
  t.equal(log.length, 3)
})

t.test('authorOf returns the author of a finished or unfinished message, and undefined for an unknown id', async t => {
  const log = logOf([
    bodyOf('chat_message', { message_id: 'a', role: 'user', user_id: 'ada', content: 'hi' }),
    bodyOf('chat_message', { message_id: 'b', user_id: 'bot', content: '', status: 'streaming' }),
    bodyOf('chat_delta', { message_id: 'c', at: 0, text: 'x' })
  ])
  t.strictSame(['a', 'b', 'c', 'd'].map(id => log.authorOf(id)), [{ userId: 'ada' }, { userId: 'bot' }, { userId: undefined }, undefined])
})

t.test('hasSaid and hasRunOf recognise a user\'s message by id and text, and the run of a message', async t => {
  const log = logOf([
    bodyOf('chat_message', { message_id: 'a', role: 'user', content: 'hi' }),
    bodyOf('chat_message', { message_id: 'b', role: 'assistant', content: 'hi' }),
    bodyOf('chat_delta', { message_id: 'c', at: 0, text: 'hi' }),
    bodyOf('run_queued', { run_id: 'r', message_id: 'a~1' }),
    bodyOf('tool_call', { run_id: 'r', call_id: 'x', args: 'a~2' }),
    bodyOf('chat_message', { message_id: 'e~1', role: 'user', content: 'hi', repeats: 'e' })
  ])
  t.strictSame([log.hasSaid('a', 'hi'), log.hasSaid('a', 'ho')], [true, false])
  t.strictSame([log.hasSaid('e', 'hi'), log.hasSaid('e', 'ho')], [true, false], 'the first one did not arrive')
  t.strictSame(['b', 'c', 'd'].map(id => log.hasSaid(id, 'hi')), [false, false, false], 'of an agent, unfinished, unknown')
  t.strictSame(['a', 'a~1', 'a~2', 'r'].map(id => log.hasRunOf(id)), [false, true, false, false])
  while (log.length > 0) log.shift()
  t.strictSame([log.hasSaid('e', 'hi'), log.bytes], [false, 0], 'evicted')
})

t.test('a run without an end is only protected up to a limit', async t => {
  const log = logOf([bodyOf('run_started', { run_id: 'r' })], { size: 10, lag: 10_000 })
  for (let n = 0; n < 1_000; n++) log.append(bodyOf('app', { n, pad: 'x'.repeat(100) }), 0)
  t.equal(log.length, 10)
})

t.test('a reader that does not read makes the log keep at most limits.lag bytes, and is then lost', async t => {
  const log = logOf([], { size: 2, lag: 10_000 })
  const blocked = new Client(log)
  blocked.isReading = false
  for (let n = 0; n < 1_000; n++) log.append(bodyOf('other', { n, pad: 'x'.repeat(100) }), 0)
  t.equal(log.isLost(blocked), true)
  t.ok(log.bytes > 4_000 && log.bytes < 12_000, `${log.bytes}: half of the lag is kept`)
})

t.test('shift evicts even the publications of an unfinished run, and a message that continues is read from there', async t => {
  const log = logOf([bodyOf('run_started', { run_id: 'r' }), delta('m', 0, 'a'.repeat(100))])
  const { bytes } = log
  t.equal(log.shift() + log.shift(), bytes)
  t.strictSame([log.length, log.bytes, log.shift()], [0, 0, 0])
  log.append(delta('m', 100, 'b'), 0)
  t.match(new Client(log).readAll().received, [{ data: { at: 100, text: 'b' } }])
})

t.test('a reset log has no earlier publications, and its readers are lost', async t => {
  const log = logOf([delta('m', 0, 'a')])
  const client = new Client(log)
  log.reset('f', 9)
  t.equal(log.isLost(client), true)
  t.match(log, { epoch: 'f', head: 9, length: 0, bytes: 0, beginning: 9 })
  log.append(delta('m', 0, 'z'), 0)
  t.match(new Client(log).readAll().received, [{ data: { at: 0, text: 'z' }, id: 'f.10' }])
})

t.test('a log that starts again keeps only its history, and nothing of an earlier run, reader or eviction', async t => {
  const log = logOf([bodyOf('run_started', { run_id: 'r' }), delta('m', 0, 'a'), delta('m', 1, 'b')], { size: 2 })
  const blocked = new Client(log)
  blocked.isReading = false
  log.append(bodyOf('run_finished', { run_id: 'r' }), 0)
  for (let n = 0; n < 4; n++) log.append(bodyOf('status', { n }), 0)
  t.ok(log.length > 2, 'kept for the reader')
  log.shift()
  log.reset('f')
  const client = new Client(log)
  t.equal(log.isLost(client), false)
  log.remove(client)
  for (let n = 0; n < 4; n++) log.append(bodyOf('status', { n }), 0)
  log.trim()
  t.strictSame([log.length, log.beginning], [2, 2])
  t.strictSame(new Client(log).readAll().received.map(({ data }) => data.n), [2, 3])
  const running = logOf([bodyOf('run_started', { run_id: 'r' })], { size: 2 })
  running.reset('f')
  for (let n = 0; n < 4; n++) running.append(bodyOf('status', { n }), 0)
  t.equal(running.length, 2, 'the run protects nothing any more')
})

t.test('a publication can be recovered for exactly the ttl', async t => {
  const log = logOf([bodyOf('status', {})], { ttl: 1_000 })
  log.expire(1_000)
  t.equal(log.length, 1)
  log.expire(1_001)
  t.equal(log.length, 0)
})

t.test('a run is protected from the first publication of its message', async t => {
  const log = logOf([delta('u1', 0, 'h'), bodyOf('status', {}), delta('u1', 1, 'i'), bodyOf('run_started', { run_id: 'r', message_id: 'u1' })], { size: 3 })
  for (let n = 0; n < 4; n++) log.append(bodyOf('status', { n }), 0)
  t.equal(log.beginning, 0)
})

// Random writes, reads, disconnects and resumes: each client must show the text that was written.
type Step =
  | { do: 'write', client: number, text: string }
  | { do: 'finish', client: number }
  | { do: 'other' | 'join' }
  | { do: 'read', client: number, room: number }
  | { do: 'cut', client: number, keep: number }

const index = fc.nat(5)
const steps: fc.Arbitrary<Step[]> = fc.array(fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('write' as const), client: index, text: fc.string({ unit: 'binary', maxLength: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('write' as const), client: index, text: fc.constant('long '.repeat(1_500)) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('finish' as const), client: index }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('other' as const, 'join' as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('read' as const), client: index, room: fc.integer({ min: 1, max: 2_000 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('cut' as const), client: index, keep: fc.nat(3) }) }
), { maxLength: 120 })

t.test('a client shows the written text, however it reads, disconnects and resumes', async () => {
  fc.assert(fc.property(steps, steps => {
    const log = logOf()
    const texts = new Map<string, string>()
    let clients = [new Client(log)]
    let finished = 0
    for (const step of steps) {
      const id = 'client' in step ? `m${step.client % 3}-${finished}` : ''
      if (step.do === 'join') clients.push(new Client(log))
      if (step.do === 'other') log.append(bodyOf('other', {}), 0)
      if (step.do === 'write') {
        const before = texts.get(id) ?? ''
        texts.set(id, before + step.text)
        log.append(delta(id, before.length, step.text), 0)
      }
      if (step.do === 'finish') {
        finished++
        log.append(message(id, texts.get(id) ?? ''), 0)
        texts.set(id, texts.get(id) ?? '')
      }
      if (step.do === 'read') clients[step.client % clients.length].read(step.room)
      if (step.do === 'cut') {
        // The frames in transit are lost. The client resumes after the last frame that it received.
        const at = step.client % clients.length
        const cut = clients[at]
        const kept = cut.received.slice(0, Math.max(0, cut.received.length - step.keep))
        log.remove(cut)
        const next = new Client(log, kept.length === 0 ? log.beginning : Number(kept.at(-1)!.id.split('.')[1]))
        for (const each of kept) next.apply(each)
        clients = clients.with(at, next)
      }
    }
    for (const client of [...clients, new Client(log)]) {
      client.readAll()
      const offsets = client.received.map(({ id }) => Number(id.split('.')[1]))
      if (offsets.some((offset, at) => at > 0 && offset <= offsets[at - 1])) throw new Error(`positions ${offsets}`)
      for (const [id, text] of texts) if (client.texts.get(id) !== text) throw new Error(`${id}: ${client.texts.get(id)} for ${text}`)
      if (client.ahead !== undefined || client.offset !== log.head) throw new Error('it is not at the head')
    }
  }), { numRuns: 500 })
})

t.test('a reader with part of an evicted message is lost, even if it has read later publications', async t => {
  const log = logOf([delta('m', 0, 'a'), bodyOf('status', {}), delta('m', 1, 'b'), bodyOf('status', {})])
  const reader = new Client(log, 2)
  t.equal(log.isLost(reader), false)
  log.shift()
  t.equal(log.evicted, 3)
  t.equal(log.isLost(reader), true)
})

t.test('a message outside the history of which a reader has read a part is kept until the reader has the rest', async t => {
  const log = logOf([delta('m', 0, 'a')], { size: 2 })
  const reader = new Client(log, 0)
  reader.isReading = false
  reader.read()
  log.append(delta('m', 1, 'b'), 0)
  for (let n = 0; n < 4; n++) log.append(bodyOf('status', { n }), 0)
  log.trim()
  t.equal(log.isLost(reader), false)
  reader.readAll()
  t.equal(reader.texts.get('m'), 'ab')
  log.trim()
  t.equal(log.length, 2)
})

t.test('evicted and beginning do not decrease when an entry is evicted that ends before an earlier one', async t => {
  const log = logOf([delta('m', 0, 'a'), bodyOf('status', {}), delta('m', 1, 'b'), bodyOf('status', {})])
  const reader = new Client(log, 2)
  log.shift()
  log.shift()
  t.strictSame([log.length, log.evicted, log.beginning], [1, 3, 3])
  t.equal(log.isLost(reader), true)
})
