import { Type } from '@sinclair/typebox'
import t from 'tap'
import { MemoryBroker } from '../../lib/brokers/memory.js'
import { optionsSchema, resolveOptions, type RealtimeOptions } from '../../lib/server/options.js'

/** What plain JavaScript may pass. */
const resolve = (options: unknown, env = 'test') => resolveOptions(options as RealtimeOptions, env)

const authenticate = () => ({ userId: 'u' })

t.test('every default', async t => {
  const { broker, ...rest } = resolve({})
  t.type(broker, MemoryBroker)
  t.strictSame(rest, {
    prefix: '/ws',
    insecure: false,
    messages: {},
    strict: false,
    onMessage: {},
    chat: { concurrency: 'queue' },
    compression: false,
    history: { size: 100, ttl: 300_000, bytes: 64 * 1024 * 1024 },
    heartbeat: { interval: 25_000, timeout: 10_000 },
    limits: {
      frame: 64 * 1024,
      fragments: 1_024,
      chunks: 4_096,
      message: 1024 * 1024,
      rate: 20,
      burst: 40,
      queue: 16,
      strikes: 5,
      run: 4 * 1024 * 1024,
      runs: 16,
      lag: 4 * 1024 * 1024,
      pending: 1_000,
      connections: 10_000,
      connectionsPerUser: 10
    },
    timeouts: {
      authenticate: 5_000, connect: 5_000, handler: 60_000, run: 600_000, stall: 10_000, close: 5_000, drain: 10_000, spread: 5_000
    }
  })
})

t.test('every option has a description', async t => {
  const { chat, history, heartbeat, limits, timeouts, ...rest } = optionsSchema.properties
  for (const options of [rest, chat.properties, history.properties, heartbeat.properties, limits.properties, timeouts.properties]) {
    for (const [name, { description }] of Object.entries<{ description?: string }>(options)) t.type(description, 'string', name)
  }
})

t.test('what is given is taken, and the defaults stay beside it', async t => {
  const messages = { order: Type.Object({ n: Type.Integer() }) }
  const hooks = { authenticate, authorize: () => true, renew: () => null, onConnect () {}, onDisconnect () {} }
  const chat = { onMessage () {}, visible: () => true, save () {}, loadHistory: () => [] }
  const onMessage = { order () {} }
  const broker = new MemoryBroker({ size: 1, ttl: 1, lag: 1, bytes: 1 })
  const options = resolve({
    ...hooks,
    messages,
    onMessage,
    chat,
    broker,
    prefix: '',
    strict: true,
    allowedOrigins: ['https://a.example'],
    limits: { rate: 5 },
    history: { size: 7 }
  })
  t.match(options, { prefix: '', strict: true, allowedOrigins: ['https://a.example'], limits: { rate: 5, burst: 40 }, history: { size: 7, ttl: 300_000 } })
  for (const [name, hook] of Object.entries(hooks)) t.equal(options[name as keyof typeof hooks], hook, name)
  t.strictSame(options.chat, { ...chat, concurrency: 'queue' })
  t.equal(options.broker, broker)
  t.equal(options.messages.order, messages.order)
  t.equal(options.onMessage.order, onMessage.order)
})

t.test('the memory broker gets its limits', async t => {
  const { broker } = resolve({ history: { size: 2, ttl: 5_000 }, limits: { lag: 77 } })
  const log = await broker.subscribe('a')
  t.match(log.limits, { size: 2, ttl: 5_000, lag: 77 })
})

t.test('nothing that is given is touched', async t => {
  const given = {
    limits: { rate: 5 },
    history: {},
    heartbeat: {},
    timeouts: {},
    messages: { order: Type.Object({}) },
    onMessage: { order () {} },
    allowedOrigins: ['https://a.example'],
    authenticate,
    logLevel: 'info'
  }
  const before = JSON.stringify(given)
  const first = resolve(given)
  t.equal(JSON.stringify(given), before)
  t.not(first.limits, given.limits)
  for (const part of Object.values(given)) if (typeof part === 'object' && !Array.isArray(part)) Object.freeze(part)
  t.doesNotThrow(() => resolve(Object.freeze(given)))

  first.limits.rate = 999
  first.messages.other = Type.Null()
  t.equal(resolve({}).limits.rate, 20, 'and neither are the defaults')
  t.strictSame(resolve({}).messages, {})
})

t.test("what Fastify reads from a plugin's options is no option of ours, and no mistake", async t => {
  const options = resolve({ logLevel: 'silent', logSerializers: {} })
  t.notOk('logLevel' in options || 'logSerializers' in options)
})

t.test('unknown options', async t => {
  const cases: Array<[options: object, name: string]> = [
    [{ authentication: authenticate }, 'authentication'], [{ limits: { rates: 5 } }, 'limits.rates'], [{ heartbeat: { ms: 5 } }, 'heartbeat.ms'],
    [{ history: { count: 5 } }, 'history.count'], [{ timeouts: { ping: 5 } }, 'timeouts.ping'], [{ chat: { onmessage () {} } }, 'chat.onmessage']
  ]
  for (const [options, name] of cases) {
    t.throws(() => resolve(options), { code: 'RT_ERR_OPTIONS', message: `fastify-realtime: there is no option '${name}'. The README lists them all` })
  }
})

t.test('what was given is not touched, frozen or not', async t => {
  const given = Object.freeze({ allowedOrigins: Object.freeze(['https://a.example']), limits: Object.freeze({ rate: 5 }), messages: Object.freeze({}) })
  t.match(resolve(given), { allowedOrigins: ['https://a.example'], limits: { rate: 5, burst: 40 } })
})

t.test('wrong types', async t => {
  const cases: Array<[options: object, message: RegExp]> = [
    [{ prefix: 5 }, /option 'prefix': expected string, got 5/], [{ prefix: 'ws' }, /'prefix'/], [{ prefix: '/ws/' }, /'prefix'/], [{ prefix: '/:a' }, /'prefix'/],
    [{ prefix: '/' }, /'prefix'/], [{ insecure: 'yes' }, /option 'insecure': expected boolean, got 'yes'/], [{ strict: 1 }, /'strict'/],
    [{ authenticate: 'jwt' }, /'authenticate': expected function/], [{ authenticate: null }, /'authenticate'/], [{ authorize: {} }, /'authorize'/],
    [{ onConnect: true }, /'onConnect'/], [{ authenticate, renew: 'jwt' }, /'renew': expected function/], [{ onDisconnect: [] }, /'onDisconnect'/], [{ allowedOrigins: 'https://a.example' }, /'allowedOrigins': expected array/],
    [{ allowedOrigins: [5] }, /'allowedOrigins\.0'/], [{ messages: 5 }, /'messages'/], [{ messages: { order: 'string' } }, /'messages\.order'/],
    [{ messages: { order: () => {} } }, /'messages\.order': expected object, got \[Function: order\]/],
    [{ onMessage: () => {} }, /'onMessage': expected a plain object, got \[Function/], [{ onMessage: { order: 'x' } }, /'onMessage\.order': expected function/],
    [{ limits: null }, /'limits': expected a plain object, got null/], [{ limits: 5 }, /'limits'/],
    [{ limits: { rate: 0 } }, /'limits\.rate': .*1, got 0/],
    [{ limits: { rate: 1.5 } }, /'limits\.rate'/], [{ limits: { rate: '5' } }, /'limits\.rate': expected integer, got '5'/],
    [{ limits: { rate: 5n } }, /'limits\.rate': expected integer, got 5n/], [{ limits: { rate: Symbol('s') } }, /'limits\.rate'/],
    [{ limits: [] }, /'limits': expected a plain object, got \[\]/], [{ history: new Map() }, /'history': expected a plain object/],
    [{ messages: [] }, /'messages': expected a plain object/], [{ onMessage: new Date() }, /'onMessage': expected a plain object/],
    [{ limits: { rate: NaN } }, /'limits\.rate'/], [{ limits: { rate: Infinity } }, /'limits\.rate'/],
    [{ history: { size: -1 } }, /'history\.size'/],
    [{ chat: () => {} }, /'chat': expected a plain object/], [{ chat: { concurrency: 'all' } }, /'chat\.concurrency'.*'all'/],
    ...['onMessage', 'visible', 'save', 'loadHistory'].map((name): [object, RegExp] => [{ chat: { [name]: true } }, new RegExp(`'chat\\.${name}': expected function`)]),
    [{ limits: { run: '1' } }, /'limits\.run'/], [{ limits: { runs: 0.5 } }, /'limits\.runs'/], [{ timeouts: { run: 2 ** 31 } }, /'timeouts\.run'/],
    [{ heartbeat: { interval: 2 ** 31 } }, /'heartbeat\.interval'/],
    [{ timeouts: { drain: 0 } }, /'timeouts\.drain'/], [{ timeouts: { drain: 2 ** 31 } }, /'timeouts\.drain'/]
  ]
  for (const [options, message] of cases) t.throws(() => resolve(options), { code: 'RT_ERR_OPTIONS', message })
})

t.test('every number is at least 1', async t => {
  const { history, heartbeat, limits, timeouts } = resolve({})
  for (const [section, values] of Object.entries({ history, heartbeat, limits, timeouts })) {
    for (const name of Object.keys(values)) {
      t.throws(() => resolve({ [section]: { [name]: 0 } }), { code: 'RT_ERR_OPTIONS', message: new RegExp(`'${section}\\.${name}'`) })
    }
  }
})

t.test('contradictions', async t => {
  const cases: Array<[options: object, message: RegExp]> = [
    [{ insecure: true, authenticate }, /'insecure' .* Remove one of them/],
    [{ authorize: () => true }, /'authorize' .* Pass 'authenticate' too/],
    [{ heartbeat: { interval: 1_000, timeout: 1_000 } }, /'heartbeat\.timeout' must be shorter/],
    [{ heartbeat: { interval: 9_999 } }, /'heartbeat\.timeout' must be shorter/],
    [{ limits: { rate: 41 } }, /'limits\.burst' must be at least/],
    [{ limits: { burst: 19 } }, /'limits\.burst' must be at least/],
    [{ history: { bytes: 1024 * 1024 - 1 } }, /'limits\.message' must not be more than 'history\.bytes'/],
    [{ onMessage: { ping () {} } }, /'onMessage\.ping'/],
    [{ renew: () => null }, /'renew' .* Pass 'authenticate' too/],
    [{ renew: () => null, insecure: true }, /'renew' .* Pass 'authenticate' too/],
    [{ onMessage: { renew () {} } }, /'onMessage\.renew': .* option 'renew'/],
    [{ authenticate, renew: () => null, onMessage: { renew () {} } }, /'onMessage\.renew'/],
    ...['chat_cancel', 'input_response', 'chat_history'].map((type): [object, RegExp] => [{ onMessage: { [type] () {} } }, new RegExp(`'onMessage\\.${type}'.* Choose another`)]),
    [{ onMessage: { chat_message () {} }, chat: { onMessage () {} } }, /'chat\.onMessage' and 'onMessage\.chat_message' .* Remove one/],
    [{ broker: {} }, /'broker' must be a broker/],
    [{ broker: 'redis' }, /'broker' must be a broker/],
    [{ broker: { publish: true } }, /'broker' must be a broker/]
  ]
  for (const [options, message] of cases) t.throws(() => resolve(options), { code: 'RT_ERR_OPTIONS', message })
})

t.test('what is just not a contradiction', async t => {
  t.doesNotThrow(() => resolve({ insecure: true }))
  t.doesNotThrow(() => resolve({ authenticate, authorize: () => true }))
  t.doesNotThrow(() => resolve({ authenticate, renew: () => null, onMessage: { renew: undefined, renewed () {} } }))
  t.doesNotThrow(() => resolve({ heartbeat: { interval: 1_001, timeout: 1_000 } }))
  t.doesNotThrow(() => resolve({ limits: { rate: 5, burst: 5 } }))
  t.doesNotThrow(() => resolve({ onMessage: { chat_message () {} }, chat: { concurrency: 'replace' } }))
  t.doesNotThrow(() => resolve({ onMessage: { chat_delta () {} }, chat: { onMessage () {} } }))
  t.doesNotThrow(() => resolve({ broker: { open () {}, publish () {}, subscribe () {}, stats () {}, close () {} } }))
})

t.test('allowedOrigins', async t => {
  const right = ['https://app.example.com', 'http://localhost:3000', 'http://127.0.0.1:8080', 'http://[::1]:3000', 'https://xn--bcher-kva.example']
  t.strictSame(resolve({ allowedOrigins: right }).allowedOrigins, right)
  t.doesNotThrow(() => resolve({ allowedOrigins: [] }))
  const wrong = [
    '', '*', 'null', 'app.example.com', 'https://', 'https://a.example/', 'https://a.example/path', 'https://a.example:443', 'HTTPS://a.example',
    'https://A.example', 'https://bücher.example', ' https://a.example', 'https://u:p@a.example', 'file://'
  ]
  const expected = { code: 'RT_ERR_OPTIONS', message: /'allowedOrigins' is not an origin\. Write it like/ }
  for (const origin of wrong) t.throws(() => resolve({ allowedOrigins: ['https://ok.example', origin] }), expected, origin)
})

t.test('in production', async t => {
  t.throws(() => resolve({}, 'production'), { code: 'RT_ERR_AUTHENTICATE_REQUIRED', message: /'authenticate'.*'insecure: true'/ })
  t.doesNotThrow(() => resolve({ authenticate }, 'production'))
  t.doesNotThrow(() => resolve({ insecure: true }, 'production'))
  for (const env of ['development', 'test', '', 'Production']) t.doesNotThrow(() => resolve({}, env), env)
  t.throws(() => resolve({ limits: { rate: 0 } }, 'production'), { code: 'RT_ERR_OPTIONS' }, 'other mistakes come first')
})

t.test('NODE_ENV says whether it is', async t => {
  const before = process.env.NODE_ENV
  t.teardown(() => {
    if (before === undefined) delete process.env.NODE_ENV
    else process.env.NODE_ENV = before
  })
  process.env.NODE_ENV = 'production'
  t.throws(() => resolveOptions({}), { code: 'RT_ERR_AUTHENTICATE_REQUIRED' })
  delete process.env.NODE_ENV
  t.doesNotThrow(() => resolveOptions({}))
})
