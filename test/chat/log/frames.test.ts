import t from 'tap'
import { ChatLog } from '../../../lib/chat/log/chat-log.js'
import type { Reader } from '../../../lib/logs/log.js'
import { found } from '../../every.js'
import { Client, bodyOf, callOf, delta, logOf, message, other, outputOf, progressOf, timestamp, toolsOf } from './readers.js'

t.test('a reader that keeps up gets each publication unchanged', async t => {
  const log = logOf()
  const client = new Client(log)
  const bodies = [delta('m', 0, 'Hel'), delta('m', 3, 'lo'), bodyOf('tool_call', { call_id: 'c' }), message('m', 'Hello')]
  for (const body of bodies) {
    log.append(body, 0)
    client.readAll()
  }
  t.strictSame(client.received, bodies.map((body, at) => ({ ...JSON.parse(body), id: `e.${at + 1}` })))
})

t.test('a reader that is behind gets one delta, and a reader that has nothing gets the whole message', async t => {
  const log = logOf([delta('m', 0, 'a'), delta('m', 1, 'b'), delta('m', 2, 'c')])
  t.match(new Client(log, 1).readAll().received, [{ type: 'chat_delta', data: { message_id: 'm', agent: 'a', at: 1, text: 'bc' }, id: 'e.3' }])
  t.strictSame(new Client(log, 0).readAll().received,
    [{ type: 'chat_message', data: { role: 'assistant', message_id: 'm', agent: 'a', content: 'abc', status: 'streaming' }, timestamp, id: 'e.3' }])
  t.strictSame([0, 1, 3].map(offset => log.behind(new Client(log, offset))), [1, 1, 0])
})

t.test('messages that are written at the same time are each sent once, with positions that are safe to resume from', async t => {
  const bodies: string[] = []
  for (let n = 0; n < 50; n++) bodies.push(delta('x', n, String(n % 10)), delta('y', n, 'y'), bodyOf('other', { n }))
  const log = logOf(bodies)
  const client = new Client(log, 0).readAll(300)
  t.equal(client.received.filter(({ data }) => data.message_id !== undefined).length, 2)
  t.equal(client.received.length, 52)
  t.strictSame(client.texts, new Map([['x', '0123456789'.repeat(5)], ['y', 'y'.repeat(50)]]))
  t.strictSame(client.received.slice(0, 3).map(({ id }) => id), ['e.1', 'e.2', 'e.5'])
  t.equal(client.ahead, undefined)
})

t.test('a reader that came after a tool was called gets the call with its latest progress or its output, in one frame at the place of the call', async t => {
  const log = logOf([callOf({ a: 1 }), other, progressOf(1), progressOf(2)])
  const call = JSON.parse(callOf({ a: 1 }))
  const dataOf = (client: Client) => client.readAll().received.map(({ data }) => data)
  t.strictSame(dataOf(new Client(log)), [{ call_id: 'c', progress: 2, call }, {}])
  const early = new Client(log)
  t.equal(log.behind(early), 2)
  t.ok(early.read(1))
  log.append(progressOf(3), 0)
  log.append(outputOf(4), 0)
  t.strictSame(dataOf(early), [{ call_id: 'c', progress: 2, call }, {}, { call_id: 'c', output: 4 }])
  const late = new Client(log)
  t.equal(log.behind(late), 2)
  t.strictSame(dataOf(late), [{ call_id: 'c', output: 4, call }, {}])
  t.strictSame(late.received.map(({ id }) => id), ['e.1', 'e.6'])
  t.equal(late.ahead, undefined)
})

t.test('a reader that was there when a tool was called gets the call and the output alone, also when it is slow', async t => {
  const log = logOf([other])
  const slow = new Client(log)
  for (const body of [callOf(1), progressOf(1), outputOf(2)]) log.append(body, 0)
  const late = new Client(log)
  t.strictSame(toolsOf(slow), ['other e.1', 'tool_call e.3', 'tool_output e.4'])
  t.strictSame(toolsOf(late), ['other e.1', 'tool_output with call e.4'])
  const calling = logOf([callOf(1)])
  const next = new Client(calling)
  calling.append(outputOf(2), 0)
  t.strictSame(toolsOf(next), ['tool_output with call e.2'], 'it came right after the call')
})

t.test('a reader that has the arguments of a tool so far gets its call with the output', async t => {
  const part = (id: string) => bodyOf('chat_part', { message_id: 'm', part_id: id, kind: 'tool', text: '', status: 'streaming' })
  const call = bodyOf('tool_call', { message_id: 'm', call_id: 'c', args: 1 })
  const log = logOf([part('c'), part('d'), call, other, outputOf(2)])
  t.strictSame(toolsOf(new Client(log, 0)), ['tool_output with call e.1', 'chat_part e.3', 'other e.5'])
  t.strictSame(toolsOf(new Client(log, 1)), ['chat_part e.2', 'tool_output with call e.3', 'other e.5'])
  t.strictSame(toolsOf(new Client(log, 2)), ['tool_output with call e.3', 'other e.5'])
  t.strictSame(toolsOf(new Client(log, 3)), ['other e.4', 'tool_output e.5'])
})

t.test('what a reader got with a call it gets once, however many entries are between them, also when the call is evicted meanwhile', async t => {
  const many = Array.from({ length: 150 }, () => other)
  const log = logOf([callOf(1), ...many, outputOf(2), other], { size: 200 })
  const reader = new Client(log)
  t.ok(reader.read(1))
  for (let count = 0; count < 60; count++) log.append(other, 0)
  t.equal(log.beginning > 1, true)
  t.strictSame(toolsOf(reader).filter(line => line.startsWith('tool_')), ['tool_output with call e.1'])
  t.equal(reader.received.length, 212)
})

t.test('a call with its output is not read together with other frames if both exceed the room', t => {
  const log = logOf([other, callOf('a'.repeat(300)), outputOf('b'.repeat(300))])
  const client = new Client(log)
  client.read(1_000)
  t.strictSame(client.types, ['other'])
  client.read(1_000)
  t.strictSame(client.types, ['other', 'tool_output'])
  t.end()
})

t.test('a call that is published again is sent with its own output, and the first one too', async t => {
  const call = (args: number) => bodyOf('tool_call', { message_id: 'm', call_id: 'c', args })
  const written = bodyOf('chat_part', { message_id: 'm', part_id: 'c', kind: 'tool', text: '', status: 'streaming' })
  const late = new Client(logOf([written, other, call(1), outputOf(1), call(2), outputOf(2)]))
  t.strictSame(toolsOf(late), ['tool_output with call e.1', 'other e.4', 'tool_output with call e.6'])
  t.match(late.received, [{ data: { output: 1, call: { data: { args: 1 } } } }, {}, { data: { output: 2, call: { data: { args: 2 } } } }])
})

t.test('a reader that is there when a tool is called gets the call alone, also after the log has begun again', async t => {
  const log = logOf([other, other, other])
  const slow = new Client(log)
  log.reset('f')
  for (const body of [callOf(1), outputOf(2)]) log.append(body, 0)
  Object.assign(slow, { epoch: 'f', offset: 0 })
  t.strictSame(toolsOf(slow), ['tool_call f.1', 'tool_output f.2'])
})

t.test('a reader with a filter gets the call and the output of a tool that it may see, together or each alone', async t => {
  const log = logOf([callOf(1), other, outputOf(2)])
  const reading = (hidden: string[]) =>
    toolsOf(Object.assign(new Client(log), { sees: ({ type }: { type: string }) => !hidden.includes(type) }))
  t.strictSame(reading([]), ['tool_output with call e.1', 'other e.3'])
  t.strictSame(reading(['tool_call']), ['other e.2', 'tool_output e.3'])
  t.strictSame(reading(['tool_output']), ['tool_call e.1', 'other e.2'])
  t.strictSame(reading(['tool_call', 'tool_output']), ['other e.2'])
  t.strictSame(toolsOf(new Client(log)), ['tool_output with call e.1', 'other e.3'])
})

t.test('all of 10,000 publications of one turn arrive', async t => {
  const log = logOf([], { size: 100 })
  const client = new Client(log)
  for (let n = 0; n < 10_000; n++) log.append(bodyOf('other', { n }), 0)
  client.readAll(16_384)
  t.strictSame(client.received.map(({ data }) => data.n), Array.from({ length: 10_000 }, (_, n) => n))
  log.trim()
  t.equal(log.length, 100)
})

t.test('readers with a filter share one parsed message', async t => {
  const log = logOf([message('m1', 'one')])
  const shown: unknown[] = []
  const readers = [1, 2].map(() => {
    const client = new Client(log)
    return Object.assign(client, { sees: (shownMessage: unknown) => { shown.push(shownMessage); return true } })
  })
  log.append(message('m2', 'two'), 0)
  for (const reader of readers) {
    reader.offset = 1
    reader.readAll()
  }
  t.equal(shown.length, 2)
  t.match(shown[0], { data: { message_id: 'm2' } })
  t.equal(shown[0], shown[1], 'parsed once')
})

t.test('a reader with a filter gets the published object, without parsing it again', async t => {
  const log = logOf()
  const shown: unknown[] = []
  const reader = Object.assign(new Client(log), { sees: (shownMessage: unknown) => { shown.push(shownMessage); return true } })
  const body = message('m1', 'one')
  const publication = JSON.parse(body)
  log.append(body, 0, publication)
  reader.readAll()
  t.equal(shown.length, 1)
  t.equal(shown[0], publication)
})

t.test('a read that takes only text leaves a newest publication whose frame is a Buffer for the next read', async t => {
  const log = logOf([message('m', 'x'.repeat(5_000))])
  const reader: Reader = { offset: 0, epoch: 'e', wake () {}, catchUp () {} }
  t.equal(log.read(reader, 10_000, true), '')
  t.equal(reader.offset, 0)
  t.ok(Buffer.isBuffer(log.read(reader, 10_000)))
  t.equal(reader.offset, 1)
  for (const body of [message('n', 'x'.repeat(5_000)), other]) log.append(body, 0)
  t.equal(log.read(reader, 10_000, true), '', 'and so does a read of a reader that is behind')
  t.equal(reader.offset, 1)
})

t.test('a frame is built once for all readers, and each reader gets it plain or compressed, as it asked', async t => {
  let built = 0
  const log = new ChatLog('e', { size: 100, ttl: 1_000, lag: 1_000 }, ({ offset }, body) => {
    built++
    return { length: body.length, plain: `plain ${offset}`, deflated: `deflated ${offset}` }
  })
  const readers = [true, false, true, false].map(isDeflated => ({ offset: 0, epoch: 'e', isDeflated, wake () {}, catchUp () {} }))
  for (const reader of readers) log.add(reader)
  const read = () => readers.map(reader => log.read(reader, 1_000))
  log.append(other, 0)
  t.strictSame([read(), built], [['deflated 1', 'plain 1', 'deflated 1', 'plain 1'], 1], 'the newest publication')
  for (const body of [delta('m', 0, 'a'), delta('m', 1, 'b')]) log.append(body, 0)
  t.strictSame([read(), built], [['deflated 3', 'plain 3', 'deflated 3', 'plain 3'], 2], 'for readers that are behind')
})

/** A client that may read only publications for which `sees` holds. */
function filtered (log: ChatLog, sees: (data: { message_id?: string }) => boolean): Client {
  return Object.assign(new Client(log), { sees: ({ data }: { data?: unknown }) => sees(data as { message_id?: string }) })
}

t.test('a reader gets no part of a message that its filter hides, also when other publications are between the parts', async t => {
  const log = logOf([delta('m', 0, 'a'), other])
  const reader = filtered(log, ({ message_id: id }) => id !== 'm')
  for (const body of [other, delta('m', 1, 'b'), other]) {
    reader.readAll()
    log.append(body, 0)
  }
  t.equal(log.behind(reader), 1)
  t.strictSame(reader.readAll().types, ['other', 'other', 'other'])
  t.equal(reader.offset, log.head)
})

t.test('a reader from which the beginning of a message was withheld gets the whole message when it may read it', async t => {
  const log = logOf()
  let isHidden = true
  const reader = filtered(log, () => !isHidden)
  log.append(delta('m', 0, 'a'), 0)
  reader.readAll()
  isHidden = false
  log.append(delta('m', 1, 'b'), 0)
  reader.readAll()
  log.append(delta('m', 2, 'c'), 0)
  reader.readAll()
  t.match(reader.received, [{ type: 'chat_message', data: { content: 'ab' } }, { type: 'chat_delta', data: { at: 2, text: 'c' } }])

  t.comment('and also when it is behind')
  isHidden = true
  for (const body of [delta('n', 0, 'a'), other]) log.append(body, 0)
  reader.readAll()
  isHidden = false
  for (const body of [delta('n', 1, 'b'), other]) log.append(body, 0)
  t.equal(reader.readAll().texts.get('n'), 'ab')
  t.strictSame(new Client(log).readAll().texts, new Map([['m', 'abc'], ['n', 'ab']]), 'a reader without a filter')
})

t.test('a reader that began after the first parts of a message gets all of it, although another reader has just got the rest', async t => {
  const log = logOf([delta('x', 0, '1'), delta('m', 0, 'a'), delta('m', 1, 'b'), delta('x', 1, '2')], { ttl: 1_000 })
  for (const body of [other, delta('m', 2, 'c'), delta('m', 3, 'd')]) log.append(body, 5_000)
  t.match(new Client(log, 5).readAll().received, [{ type: 'chat_delta', data: { at: 2, text: 'cd' } }])
  log.expire(2_000)
  t.equal(log.beginning, 4)
  t.equal(new Client(log, 5).readAll().texts.get('m'), 'abcd', 'it resumes after having read one publication')
  t.equal(new Client(log).readAll().texts.get('m'), 'abcd')
})

t.test('a reader that began after the first parts of a message gets all of it with the next part', async t => {
  const log = logOf([delta('x', 0, '1'), delta('m', 0, 'a'), delta('x', 1, '2')])
  log.shift()
  const late = new Client(log)
  t.equal(late.offset, 3)
  for (const text of ['b', 'c']) {
    log.append(delta('m', 'abc'.indexOf(text), text), 0)
    late.readAll()
  }
  t.match(late.received, [{ type: 'chat_message', data: { content: 'ab' } }, { type: 'chat_delta', data: { at: 2, text: 'c' } }])
})

t.test('a reader that keeps up gets only deltas, also while the history begins after the text that it has', async t => {
  const log = logOf([], { size: 1 })
  const blocked = new Client(log)
  const live = new Client(log)
  for (const text of ['a', 'b', 'c', 'd']) {
    for (const body of [delta('m', 'abcd'.indexOf(text), text), other, other]) {
      log.append(body, 0)
      live.readAll()
    }
  }
  const parts = found(live.received, ({ data }) => data?.message_id === 'm')
  t.strictSame(parts.map(({ type, data }) => [type, data.at, data.text]), [...'abcd'].map((text, at) => ['chat_delta', at, text]))
  t.ok(log.beginning > 1)
  t.equal(blocked.readAll().texts.get('m'), 'abcd')
})

t.test('a reader gets as many frames at once as fit into its room, but a Buffer alone', async t => {
  const log = logOf([other, other, other, message('m', 'x'.repeat(5_000)), other])
  const client = new Client(log)
  const counts: number[] = []
  while (client.read(1_000)) counts.push(client.received.length)
  t.strictSame(counts, [3, 4, 5])
  const narrow = new Client(log)
  narrow.read(1)
  t.equal(narrow.received.length, 1)
})
