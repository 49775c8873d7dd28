import fc from 'fast-check'
import t from 'tap'
import { ChatLog } from '../../../lib/chat/log/chat-log.js'
import type { Frame, FrameOf, LogLimits, Reader } from '../../../lib/logs/log.js'
import { Catalogue } from '../../../lib/server/messages/catalogue.js'

const endless: LogLimits = { size: 1_000, ttl: 60_000, lag: 10_000_000 }
const timestamp = '2026-01-01T00:00:00.000Z'

interface Received {
  type: string
  data: Record<string, any>
  id: string
}

/** Frames are lines of JSON. Long ones are Buffers, as in the server. */
const frameOf: FrameOf = ({ epoch, offset }, body) => {
  const text = `${body.slice(0, -1)},"id":"${epoch}.${offset}"}\n`
  const bytes = Buffer.from(text)
  return bytes.length > 4096 ? bytes : bytes.toString('latin1')
}

const bodyOf = (type: string, data: object) => JSON.stringify({ type, data, timestamp })
const delta = (id: string, at: number, text: string) => bodyOf('chat_delta', { message_id: id, agent: 'a', at, text })
const message = (id: string, content: string, status = 'complete') => bodyOf('chat_message', { message_id: id, role: 'assistant', content, status })

function logOf (bodies: string[] = [], limits: Partial<LogLimits> = {}): ChatLog {
  const log = new ChatLog('e', { ...endless, ...limits }, frameOf)
  for (const body of bodies) log.append(body, 0)
  return log
}

/** A client that applies its messages as the protocol requires. */
class Client implements Reader {
  offset: number
  epoch: string
  ahead: Reader['ahead']
  readonly received: Received[] = []
  readonly texts = new Map<string, string>()
  readonly log: ChatLog
  isReading = true

  constructor (log: ChatLog, offset = log.beginning) {
    this.log = log
    this.offset = offset
    this.epoch = log.epoch
    log.add(this)
  }

  wake () {}

  catchUp () {
    if (this.isReading) this.readAll()
  }

  /** Reads one chunk; `false` if there was none. */
  read (room = 1_000): boolean {
    const chunk = this.log.read(this, room)
    if (chunk.length === 0) return false
    this.#receive(chunk)
    return true
  }

  readAll (room = 1_000): this {
    while (!this.log.isLost(this) && this.read(room));
    return this
  }

  get types (): string[] {
    return this.received.map(({ type }) => type)
  }

  get lastOffset (): number {
    return Number(this.received.at(-1)?.id.split('.')[1] ?? this.offset)
  }

  #receive (chunk: Frame) {
    for (const line of chunk.toString(typeof chunk === 'string' ? 'latin1' : 'utf8').split('\n').slice(0, -1)) {
      this.apply(JSON.parse(typeof chunk === 'string' ? Buffer.from(line, 'latin1').toString() : line))
    }
  }

  apply (received: Received) {
    const { type, data } = received
    this.received.push(received)
    const text = this.texts.get(data.message_id) ?? ''
    if (type === 'chat_message') this.texts.set(data.message_id, data.content)
    if (type === 'chat_delta' && data.at <= text.length) this.texts.set(data.message_id, text.slice(0, data.at) + data.text)
  }
}

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
  t.equal(log.behind(new Client(log, 0)), 1)
})

t.test('a finished message is kept once', async t => {
  const log = logOf([delta('m', 0, 'a'), delta('m', 1, 'b'), message('m', 'ab')])
  t.equal(log.length, 1)
  for (const offset of [0, 1, 2]) {
    t.match(new Client(log, offset).readAll().received, [{ type: 'chat_message', data: { content: 'ab', status: 'complete' }, id: 'e.3' }], `from ${offset}`)
  }
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

const progressOf = (n: number) => bodyOf('tool_progress', { call_id: 'c', progress: n })
const callOf = (args: unknown) => bodyOf('tool_call', { call_id: 'c', args })
const outputOf = (output: unknown) => bodyOf('tool_output', { call_id: 'c', output })
const other = bodyOf('other', {})

/** What a client receives of tools: its type, whether it has the call in it, and its position. */
const toolsOf = (client: Client) => client.readAll().received.map(({ type, data, id }) => `${type}${'call' in data ? ' with call' : ''} ${id}`)

t.test('the log keeps the latest progress of a tool, and drops it once there is an output', async t => {
  const log = logOf([callOf(1), progressOf(1), progressOf(2)])
  t.strictSame(new Client(log, 1).readAll().received.map(({ data }) => data), [{ call_id: 'c', progress: 2 }])
  log.append(outputOf(3), 0)
  t.strictSame(new Client(log, 1).readAll().received.map(({ data }) => data), [{ call_id: 'c', output: 3 }])
  t.strictSame(new Client(log, 3).readAll().received.map(({ data }) => data), [{ call_id: 'c', output: 3 }])
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

t.test('a tool, a reasoning and a source with the same id are separate parts of a message', async t => {
  const part = (kind: string, more: object) => bodyOf('chat_part', { message_id: 'm', part_id: '1', kind, ...more })
  const log = logOf([
    part('reasoning', { text: 'Hm.', status: 'complete' }), part('source', { value: {} }), part('tool', { text: '{', status: 'streaming' }),
    bodyOf('chat_part_delta', { message_id: 'm', part_id: '1', kind: 'tool', at: 1, text: '}' }),
    bodyOf('tool_call', { message_id: 'm', call_id: '1', args: {} }), bodyOf('tool_output', { message_id: 'm', call_id: '1', output: 1 })
  ])
  t.strictSame(toolsOf(new Client(log)), ['chat_part e.1', 'chat_part e.2', 'tool_output with call e.6'])
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
  t.same([...client.texts.values()].filter(text => text !== 'begun, done'), [])
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

t.test('all of 10,000 publications of one turn arrive', async t => {
  const log = logOf([], { size: 100 })
  const client = new Client(log)
  for (let n = 0; n < 10_000; n++) log.append(bodyOf('other', { n }), 0)
  client.readAll(16_384)
  t.strictSame(client.received.map(({ data }) => data.n), Array.from({ length: 10_000 }, (_, n) => n))
  log.trim()
  t.equal(log.length, 100)
})

t.test('a reader that does not read makes the log keep at most limits.lag bytes, and is then lost', async t => {
  const log = logOf([], { size: 2, lag: 10_000 })
  const blocked = new Client(log)
  blocked.isReading = false
  for (let n = 0; n < 1_000; n++) log.append(bodyOf('other', { n, pad: 'x'.repeat(100) }), 0)
  t.equal(log.isLost(blocked), true)
  t.ok(log.bytes < 12_000, `${log.bytes}`)
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

t.test('a reader with part of an evicted message is lost, even if it has read later publications', async t => {
  const log = logOf([delta('m', 0, 'a'), bodyOf('status', {}), delta('m', 1, 'b'), bodyOf('status', {})])
  const reader = new Client(log, 2)
  t.equal(log.isLost(reader), false)
  log.shift()
  t.equal(log.evicted, 3)
  t.equal(log.isLost(reader), true)
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
})
