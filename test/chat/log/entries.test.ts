import fc from 'fast-check'
import t from 'tap'
import { ChatLog } from '../../../lib/chat/log/chat-log.js'
import { Entries } from '../../../lib/chat/log/entries.js'
import { tellingOf } from '../../../lib/chat/log/telling.js'
import { Catalogue } from '../../../lib/server/messages/catalogue.js'
import { Client, bodyOf, callOf, delta, logOf, message, outputOf, progressOf, timestamp, toolsOf } from './readers.js'

t.test('a finished message is kept once', async t => {
  const log = logOf([delta('m', 0, 'a'), delta('m', 1, 'b'), message('m', 'ab')])
  t.equal(log.length, 1)
  for (const offset of [0, 1, 2]) {
    t.match(new Client(log, offset).readAll().received, [{ type: 'chat_message', data: { content: 'ab', status: 'complete' }, id: 'e.3' }], `from ${offset}`)
  }
})

t.test('the log keeps the latest progress of a tool, and drops it once there is an output', async t => {
  const log = logOf([callOf(1), progressOf(1), progressOf(2)])
  t.strictSame(new Client(log, 1).readAll().received.map(({ data }) => data), [{ call_id: 'c', progress: 2 }])
  log.append(outputOf(3), 0)
  t.strictSame(new Client(log, 1).readAll().received.map(({ data }) => data), [{ call_id: 'c', output: 3 }])
  t.strictSame(new Client(log, 3).readAll().received.map(({ data }) => data), [{ call_id: 'c', output: 3 }])
})

t.test('publications of a tool that are not expected are kept as they are', async t => {
  t.strictSame(toolsOf(new Client(logOf([callOf(1), callOf(2), outputOf(3), progressOf(4)]))),
    ['tool_call e.1', 'tool_output with call e.3', 'tool_progress e.4'])
  t.strictSame(toolsOf(new Client(logOf([outputOf(1), callOf(2)]))), ['tool_output e.1', 'tool_call e.2'])
  t.strictSame(toolsOf(new Client(logOf([progressOf(1), outputOf(2)]))), ['tool_output e.2'])
  t.strictSame(toolsOf(new Client(logOf([callOf(1), outputOf(2), outputOf(3)]))), ['tool_output with call e.2', 'tool_output e.3'])
  t.strictSame(toolsOf(new Client(logOf([callOf(1), progressOf(1), callOf(2), progressOf(2)]))), ['tool_call e.2', 'tool_progress with call e.4'])
  t.strictSame(toolsOf(new Client(logOf([callOf(1), progressOf(1), callOf(2), progressOf(2), outputOf(3)]))),
    ['tool_call e.2', 'tool_output with call e.5'])
})

t.test('a tool, a reasoning and a source with the same id are separate parts of a message', async t => {
  const part = (kind: string, more: object) => bodyOf('chat_part', { message_id: 'm', part_id: '1', kind, ...more })
  const log = logOf([
    part('reasoning', { text: 'Hm.', status: 'complete' }), part('source', { value: {} }), part('tool', { text: '{', status: 'streaming' }),
    bodyOf('chat_part_delta', { message_id: 'm', part_id: '1', kind: 'tool', at: 1, text: '}' }),
    bodyOf('tool_call', { message_id: 'm', call_id: '1', args: {} }), bodyOf('tool_output', { message_id: 'm', call_id: '1', output: 1 })
  ])
  t.strictSame(toolsOf(new Client(log)), ['chat_part e.1', 'chat_part e.2', 'tool_output with call e.6'])
})

t.test('the size of the log is the size of its entries after calls, progress and outputs', async t => {
  const log = logOf([callOf(1), progressOf(1)])
  const running = log.bytes
  log.append(progressOf(2), 0)
  t.equal(log.bytes, running)
  log.append(outputOf(3), 0)
  let freed = 0
  const { bytes } = log
  for (let count = log.length; count > 0; count--) freed += log.shift()
  t.strictSame([freed, log.bytes], [bytes, 0])
})

t.test('a finished message that is published again moves to the end', async t => {
  const log = logOf([message('a', '1'), message('b', '1'), message('a', '2')])
  t.strictSame(new Client(log).readAll().received.map(({ data }) => data.content), ['1', '2'])
  t.strictSame([log.authorOf('a'), log.authorOf('c')], [{ userId: undefined }, undefined])
})

t.test('a message and a tool with similar ids are separate entries', async t => {
  const log = logOf([message('tool c', '1'), bodyOf('tool_progress', { call_id: 'c', progress: 1 }), bodyOf('tool_output', { call_id: 'c' })])
  t.strictSame(new Client(log).readAll().types, ['chat_message', 'tool_output'])
})

t.test('a delta that does not continue the known text replaces it from there, or is stored alone', async t => {
  const log = logOf([delta('m', 0, 'abc')])
  log.append(delta('m', 1, 'X'), 0)
  const behind = new Client(log, 0).readAll()
  t.equal(behind.texts.get('m'), 'aX')
  const gap = logOf([delta('m', 5, 'later')])
  t.match(new Client(gap, 0).readAll().received, [{ type: 'chat_delta', data: { at: 5, text: 'later' } }])
  for (const data of [{}, { message_id: 1, at: 0, text: '' }, { message_id: 'm', at: -1, text: '' }, { message_id: 'm', at: 0 }]) {
    t.equal(logOf([bodyOf('chat_delta', data)]).length, 1, 'stored unchanged')
  }
})

t.test('a delta after the final form of a message does not change it', async t => {
  const log = new ChatLog('e', { size: 100, ttl: 1_000, lag: 1_000 }, (_position, body) => `${body}\n`)
  const publish = (type: string, data: object) => log.append(JSON.stringify({ type, data: { message_id: 'm', ...data }, timestamp: '' }), 0)
  publish('chat_delta', { at: 0, text: 'one ' })
  publish('chat_message', { role: 'assistant', content: 'one ', status: 'interrupted' })
  publish('chat_delta', { at: 4, text: 'two' })
  const reader = { offset: 0, epoch: 'e', wake () {}, catchUp () {} }
  log.add(reader)
  let text = ''
  for (let frame = log.read(reader, 65_536); frame.length > 0; frame = log.read(reader, 65_536)) text += frame.toString()
  t.match(JSON.parse(text.split('\n')[0]), { type: 'chat_message', data: { content: 'one ', status: 'interrupted' } })
  t.ok(log.authorOf('m'))
})

t.test('a log that gets the publication as an object has the same content as one that parses the body', async t => {
  const catalogue = new Catalogue({ messages: {}, strict: false, maxBytes: 1_000_000 })
  const id = fc.constantFrom('m1', 'm2', 'run', '/3')
  const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constant('\ud800'), fc.constant('ж'.repeat(20)))
  const published = fc.oneof(
    fc.record({ type: fc.constant('chat_delta'), data: fc.record({ message_id: id, at: fc.nat(20), text, agent: fc.option(text, { nil: undefined }), more: fc.jsonValue() }) }),
    fc.record({
      type: fc.constant('chat_message'),
      data: fc.record({ message_id: id, content: text, status: fc.constantFrom('complete' as const, 'streaming' as const), x: fc.jsonValue() })
    }),
    fc.record({ type: fc.constantFrom('run_started', 'run_queued'), data: fc.record({ run_id: id, message_id: fc.option(id, { nil: undefined }) }) }),
    fc.record({ type: fc.constant('run_finished'), data: fc.record({ run_id: id, status: fc.constant('complete' as const) }) }),
    fc.record({ type: fc.constant('tool_progress'), data: fc.record({ call_id: id, run_id: id, value: fc.jsonValue() }) }),
    fc.record({ type: fc.constant('of_the_app'), data: fc.record({ x: fc.jsonValue() }) })
  )
  fc.assert(fc.property(fc.array(published, { maxLength: 30 }), fc.nat(30), (messages, from) => {
    const [given, parsing] = [logOf([], { size: 10 }), logOf([], { size: 10 })]
    for (const message of messages) {
      const { json, publication } = catalogue.encode({ ...message, timestamp } as never)
      given.append(json, 0, publication)
      parsing.append(json, 0)
    }
    t.strictSame([given.bytes, given.length, given.beginning], [parsing.bytes, parsing.length, parsing.beginning])
    t.strictSame(new Client(given, from).readAll().received, new Client(parsing, from).readAll().received)
  }), { numRuns: 200 })
})

/** Appends publications at the offsets from 1 on. */
function appended (bodies: string[]): Entries {
  const entries = new Entries()
  for (const [at, body] of bodies.entries()) entries.append({ offset: at + 1, body, now: at }, tellingOf(body, undefined))
  return entries
}

const sizesOf = (entries: Entries, count: number) => [...entries].slice(0, count).reduce((sum, { bytes }) => sum + bytes, 0)

t.test('the bytes are those of all entries, and the lag is that of the expired ones, however they grow, shrink, expire and go', async () => {
  const id = fc.constantFrom('m1', 'm2', 'm3')
  const body = fc.oneof(
    fc.tuple(id, fc.string()).map(([id, text]) => delta(id, 0, text)),
    fc.tuple(id, fc.string()).map(([id, text]) => message(id, text)),
    fc.constantFrom(callOf(1), progressOf(1), outputOf(1), bodyOf('other', {}))
  )
  const step = fc.oneof({ weight: 4, arbitrary: body }, { weight: 1, arbitrary: fc.constantFrom('expire', 'shift') })
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), steps => {
    const entries = new Entries()
    for (const [offset, step] of steps.entries()) {
      if (step === 'shift') entries.shift()
      else if (step !== 'expire') entries.append({ offset: offset + 1, body: step, now: 1 }, tellingOf(step, undefined))
      else if (entries.expired < entries.length) entries.expireOldest()
      t.strictSame([entries.bytes, entries.lag], [sizesOf(entries, entries.length), sizesOf(entries, entries.expired)])
    }
  }), { numRuns: 100 })
})

t.test('an entry is found by its place among the offsets, and by its key until it is removed', async t => {
  const entries = appended([delta('m', 0, 'a'), bodyOf('other', {}), delta('m', 1, 'b'), bodyOf('other', {})])
  t.strictSame([...entries].map(({ first, last, time }) => [first, last, time]), [[1, 3, 2], [2, 2, 1], [4, 4, 3]])
  t.strictSame([0, 1, 2, 3, 4].map(offset => entries.indexAfter(offset)), [0, 1, 2, 2, 3])
  t.equal(entries.newestMerged, entries.at(0))
  t.equal(entries.find('message m'), entries.at(0))
  t.equal(entries.newest, entries.at(2))
  t.equal(entries.shift()?.text?.text.slice(0), 'ab')
  t.strictSame([entries.find('message m'), entries.newestMerged, entries.at(0)?.first], [undefined, undefined, 2])
  entries.clear()
  t.match(entries, { length: 0, bytes: 0, lag: 0, expired: 0, newest: undefined })
  t.equal(entries.shift(), undefined)
})

t.test('the bytes of an entry are those of its content, of its keys and of its bookkeeping', async t => {
  const bytesOf = (...bodies: string[]) => appended(bodies).bytes
  const more = 1_000
  const [short, long] = ['m', `m${'x'.repeat(more)}`]
  t.equal(bytesOf(bodyOf('app', { n: long })) - bytesOf(bodyOf('app', { n: short })), more, 'without a key')
  t.equal(bytesOf(message(long, '')) - bytesOf(message(short, '')), more + more, 'its body and its key')
  const repeat = (repeats: string) => bodyOf('chat_message', { message_id: 'n', role: 'user', content: '', repeats })
  t.equal(bytesOf(repeat(long)) - bytesOf(repeat(short)), more + more, 'its body and its second key')
  const keyless = bodyOf('chat_message', { message_id: 1, role: 'assistant', content: '', status: 'complete' })
  t.ok(bytesOf(message(short, '')) - bytesOf(keyless) > 100, 'a key costs more than its characters')
  const growing = [delta('m', 0, 'a'), delta('m', 1, 'x'.repeat(more))]
  t.ok(bytesOf(...growing) > bytesOf(growing[0]) + more, 'a text that grows')
  const written = (agent: string) => bodyOf('chat_delta', { message_id: 'm', agent, at: 0, text: 'a' })
  t.equal(bytesOf(written(long)) - bytesOf(written(short)), more, 'the other fields of a text')
  t.equal(bytesOf(callOf(1), progressOf(1), bodyOf('tool_progress', { call_id: 'c', progress: long })) - bytesOf(callOf(1), progressOf(1)),
    more + 2, 'the latest progress')
  const done = bytesOf(callOf(1), bodyOf('tool_progress', { call_id: 'c', progress: long }), outputOf(1)) - bytesOf(callOf(1), outputOf(1))
  t.ok(done < 300, 'progress that was dropped frees its content')
})

t.test('the oldest entry takes no key with it that a later entry has', async t => {
  const entries = appended([message('m', '1'), callOf(1), message('m', '2'), callOf(2), outputOf(3)])
  const [again, call] = [entries.at(2), entries.at(3)]
  entries.shift()
  entries.shift()
  t.equal(entries.find('message m'), again)
  t.strictSame([entries.find('message m')?.first, call?.later?.first], [3, 5])
  const calls = appended([callOf(1), callOf(2)])
  calls.shift()
  calls.append({ offset: 3, body: outputOf(3), now: 2 }, tellingOf(outputOf(3), undefined))
  t.equal(calls.at(1)?.call, calls.at(0), 'the output belongs to the later call')
})

t.test('the newest entry is that of the newest publication, also when it was merged', async t => {
  const entries = appended([delta('m', 0, 'a'), bodyOf('other', {}), delta('m', 1, 'b')])
  t.equal(entries.newest, entries.at(0))
})

t.test('an expired entry that grows counts as lag, also when no other entry is left', async t => {
  const entries = appended([delta('m', 0, 'a')])
  entries.expireOldest()
  const grow = (offset: number, at: number) => entries.append({ offset, body: delta('m', at, 'b'), now: 1 }, tellingOf(delta('m', at, 'b'), undefined))
  grow(2, 1)
  t.equal(entries.lag, entries.bytes)
  entries.append({ offset: 3, body: bodyOf('other', {}), now: 1 }, undefined)
  grow(4, 2)
  t.equal(entries.lag, entries.at(0)!.bytes)
})

t.test('entries that were cleared leave no key, no order and no expired entry', async t => {
  const entries = appended([delta('m', 0, 'a'), delta('m', 1, 'b'), bodyOf('other', {})])
  entries.expireOldest()
  entries.clear()
  t.match(entries, { length: 0, bytes: 0, lag: 0, expired: 0, newest: undefined, newestMerged: undefined })
  t.equal(entries.find('message m'), undefined)
})
