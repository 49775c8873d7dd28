import { inspect } from 'node:util'
import { Type, type TSchema } from '@sinclair/typebox'
import Fastify from 'fastify'
import t from 'tap'
import { MemoryBroker } from '../lib/brokers/memory.js'
import realtime from '../lib/index.js'
import { optionsSchema, resolveOptions, type RealtimeOptions } from '../lib/plugin-options.js'

/** Accepts options of any type, as plain JavaScript can pass them. */
const resolve = (options: unknown, env = 'test') => resolveOptions(options as RealtimeOptions, env)

const authenticate = () => ({ userId: 'u' })

t.test('without options every option has its default', async t => {
  const { broker, ...rest } = resolve({})
  t.type(broker, MemoryBroker)
  t.strictSame(rest, {
    prefix: '/ws',
    insecure: false,
    messages: {},
    answers: {},
    strict: false,
    onMessage: {},
    channels: {},
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
      userRate: 100,
      userBurst: 200,
      nodes: 1_000,
      waiting: 64 * 1024 * 1024,
      queue: 16,
      strikes: 5,
      run: 4 * 1024 * 1024,
      runs: 16,
      liveRuns: 4_096,
      stored: 32 * 1024 * 1024,
      lag: 4 * 1024 * 1024,
      pending: 1_000,
      connections: 10_000,
      connectionsPerUser: 20,
      channels: 100,
      channelsPerUser: 400
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

t.test('undefined selects the default, for an option and for a section', async t => {
  const names = optionNames()
  const nothing = Object.fromEntries(names.filter(name => !name.includes('.')).map(name => [name, undefined]))
  const inSections = Object.fromEntries(['chat', 'history', 'heartbeat', 'limits', 'timeouts'].map(section =>
    [section, Object.fromEntries(names.filter(name => name.startsWith(`${section}.`)).map(name => [name.slice(section.length + 1), undefined]))]))
  const { broker, ...defaults } = resolve({})
  for (const given of [nothing, { ...nothing, ...inSections }]) {
    const { broker, ...resolved } = resolve(given)
    t.type(broker, MemoryBroker)
    t.same(JSON.parse(JSON.stringify(resolved)), defaults)
  }
})

t.test('given options are used, and the other options have their defaults', async t => {
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

t.test('the memory broker gets the history options and limits.lag', async t => {
  const { broker } = resolve({ history: { size: 2, ttl: 5_000 }, limits: { lag: 77 } })
  const log = await broker.subscribe('a')
  t.match(log.limits, { size: 2, ttl: 5_000, lag: 77 })
})

t.test('resolveOptions modifies neither the given options nor the defaults', async t => {
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
  t.equal(resolve({}).limits.rate, 20, 'the defaults are not modified')
  t.strictSame(resolve({}).messages, {})
})

t.test('options that Fastify itself reads from a plugin are accepted and left out', async t => {
  const options = resolve({ logLevel: 'silent', logSerializers: {} })
  t.notOk('logLevel' in options || 'logSerializers' in options)
})

/** Unknown options, and the cure in the error. */
const unknown: Array<[options: object, name: string, cure: string]> = [
  [{ authenticated: authenticate }, 'authenticated', "Did you mean 'authenticate'?"],
  [{ authentication: authenticate }, 'authentication', "Did you mean 'authenticate'?"],
  [{ on_message: {} }, 'on_message', "Did you mean 'onMessage'?"],
  [{ allowed_origins: [] }, 'allowed_origins', "Did you mean 'allowedOrigins'?"],
  [{ origin: '*' }, 'origin', "Did you mean 'allowedOrigins'?"],
  [{ histroy: {} }, 'histroy', "Did you mean 'history'?"],
  [{ limits: { rates: 5 } }, 'limits.rates', "Did you mean 'limits.rate'?"],
  [{ limits: { connectionPerUser: 5 } }, 'limits.connectionPerUser', "Did you mean 'limits.connectionsPerUser'?"],
  [{ timeouts: { handlers: 5 } }, 'timeouts.handlers', "Did you mean 'timeouts.handler'?"],
  [{ chat: { onMesage () {} } }, 'chat.onMesage', "Did you mean 'chat.onMessage'?"],
  [{ chat: { onmessage () {} } }, 'chat.onmessage', "Did you mean 'chat.onMessage'?"],
  [{ rate: 5 }, 'rate', "Did you mean 'limits.rate'?"],
  [{ loadHistory () {} }, 'loadHistory', "Did you mean 'chat.loadHistory'?"],
  [{ chat: { authorize () {} } }, 'chat.authorize', "Did you mean 'authorize'?"],
  [{ limits: { drain: 5 } }, 'limits.drain', "Did you mean 'timeouts.drain'?"],
  [{ 'limits.rate': 5 }, 'limits.rate', 'Write it in a section: { limits: { rate: … } }'],
  [{ heartbeat: { ms: 5 } }, 'heartbeat.ms', "In 'heartbeat' there are 'interval' and 'timeout'"],
  [{ history: { count: 5 } }, 'history.count', "In 'history' there are 'size', 'ttl' and 'bytes'"]
]

t.test('the error of an unknown option names the option that is probably meant', async t => {
  for (const [options, name, cure] of unknown) {
    t.throws(() => resolve(options), { code: 'RT_ERR_OPTIONS', message: `fastify-realtime: there is no option '${name}'. ${cure}` })
  }
  t.throws(() => resolve({ redis: {} }), { message: /no option 'redis'\. The options are 'prefix', 'authenticate', .* and 'timeouts'$/ })
})

t.test('every option is suggested for its name with an extra letter, and for its name in another section', async t => {
  for (const option of optionNames()) {
    const [name, section] = option.split('.').reverse()
    const misspelt = `${name}x`
    const near = (path: string) => new RegExp(`there is no option '${path}'\\. Did you mean .*'${option}'`)
    t.throws(() => resolve(section === undefined ? { [misspelt]: 1 } : { [section]: { [misspelt]: 1 } }), { message: near(option + 'x') })
    const elsewhere = section === 'heartbeat' ? 'history' : 'heartbeat'
    t.throws(() => resolve({ [elsewhere]: { [name]: 1 } }), { message: near(`${elsewhere}.${name}`) })
  }
})

/** Names of all options. An option of a section has the form `limits.rate`. */
function optionNames (): string[] {
  return Object.entries<TSchema>(optionsSchema.properties).flatMap(([key, { properties }]) =>
    properties === undefined ? [key] : [key, ...Object.keys(properties).map(name => `${key}.${name}`)])
}

t.test('resolveOptions accepts frozen options', async t => {
  const given = Object.freeze({ allowedOrigins: Object.freeze(['https://a.example']), limits: Object.freeze({ rate: 5 }), messages: Object.freeze({}) })
  t.match(resolve(given), { allowedOrigins: ['https://a.example'], limits: { rate: 5, burst: 40 } })
})

const path = "a path with a slash at its beginning and none at its end, such as '/ws' or '/api/live', " +
  "of letters, digits and _ . ~ -; or '' for none"
const schemas = 'a plain object with a TypeBox schema for each type, such as { order_shipped: Type.Object({}) }'
const answers = 'a plain object with a TypeBox schema for each type, such as { quote: Type.Number() }'
const handlers = 'a plain object with a function for each type, such as { mark_read (message, connection) {} }'
const oneOrMore = 'a whole number of 1 or more'
const milliseconds = 'a whole number from 1 to 2147483647'

/** Wrong values: the option, the value and the expectation as the error shows them. */
const wrong: Array<[options: object, option: string, value: string, expectation: string]> = [
  ...['ws', 'ws/', '/ws/', '/', '/:a', '/a b', '/a?b', '*'].map((prefix): [object, string, string, string] => [{ prefix }, 'prefix', `'${prefix}'`, path]),
  [{ prefix: 5 }, 'prefix', '5', path],
  [{ prefix: null }, 'prefix', 'null', path],
  ...['insecure', 'strict', 'compression'].map((name): [object, string, string, string] => [{ [name]: 'yes' }, name, "'yes'", 'true or false']),
  ...['authenticate', 'authorize', 'renew', 'onConnect', 'onDisconnect'].flatMap((name): Array<[object, string, string, string]> => [
    [{ [name]: 'jwt' }, name, "'jwt'", 'a function'], [{ [name]: null }, name, 'null', 'a function'], [{ [name]: [] }, name, '[]', 'a function']
  ]),
  ...['onMessage', 'visible', 'save', 'loadHistory'].map((name): [object, string, string, string] => [{ chat: { [name]: true } }, `chat.${name}`, 'true', 'a function']),
  [{ chat: { concurrency: 'all' } }, 'chat.concurrency', "'all'", "'queue' or 'replace'"],
  [{ chat: { presence: 'all' } }, 'chat.presence', "'all'", 'true, or { data, max }'],
  [{ allowedOrigins: 'https://a.example' }, 'allowedOrigins', "'https://a.example'", "an array of origins, such as ['https://app.example.com']"],
  [{ allowedOrigins: [5] }, 'allowedOrigins.0', '5', "an origin, such as 'https://app.example.com'"],
  [{ messages: 5 }, 'messages', '5', schemas],
  [{ messages: [] }, 'messages', '[]', schemas],
  [{ messages: { order: 'string' } }, 'messages.order', "'string'", 'a TypeBox schema, such as Type.Object({})'],
  [{ messages: { order: () => {} } }, 'messages.order', '[Function: order]', 'a TypeBox schema, such as Type.Object({})'],
  [{ answers: [] }, 'answers', '[]', answers],
  [{ answers: { order: 5 } }, 'answers.order', '5', 'a TypeBox schema, such as Type.Object({})'],
  [{ channels: [] }, 'channels', '[]', 'a plain object with a channel kind for each name, such as { board: defineChannel({ authorize }) }'],
  [{ onMessage: authenticate }, 'onMessage', '[Function: authenticate]', handlers],
  [{ onMessage: null }, 'onMessage', 'null', handlers],
  [{ onMessage: { order: 'x' } }, 'onMessage.order', "'x'", 'a function'],
  [{ limits: null }, 'limits', 'null', 'a plain object, such as { frame: 65536 }'],
  [{ limits: [] }, 'limits', '[]', 'a plain object, such as { frame: 65536 }'],
  [{ history: new Map() }, 'history', 'Map(0) {}', 'a plain object, such as { size: 100 }'],
  [{ heartbeat: 5 }, 'heartbeat', '5', 'a plain object, such as { interval: 25000 }'],
  [{ timeouts: 'long' }, 'timeouts', "'long'", 'a plain object, such as { authenticate: 5000 }'],
  [{ chat: authenticate }, 'chat', '[Function: authenticate]', "a plain object, such as { concurrency: 'queue' }"],
  [{ limits: { rate: 5n } }, 'limits.rate', '5n', oneOrMore],
  [{ limits: { rate: Symbol('s') } }, 'limits.rate', 'Symbol(s)', oneOrMore]
]

/** Adds every wrong value for each option that is a number. */
for (const [section, values] of Object.entries({ history: ['size', 'bytes'], limits: Object.keys(optionsSchema.properties.limits.properties) })) {
  for (const name of values) for (const value of [0, -1, 1.5, '5', NaN, Infinity, null]) wrong.push([{ [section]: { [name]: value } }, `${section}.${name}`, inspect(value), oneOrMore])
}
const times = { history: ['ttl'], heartbeat: ['interval', 'timeout'], timeouts: Object.keys(optionsSchema.properties.timeouts.properties) }
for (const [section, values] of Object.entries(times)) {
  for (const name of values) for (const value of [0, 1.5, '5', 2 ** 31]) wrong.push([{ [section]: { [name]: value } }, `${section}.${name}`, inspect(value), milliseconds])
}

t.test('the error of a wrong value shows the option, the value and the expectation', async t => {
  for (const [options, option, value, expectation] of wrong) {
    t.throws(() => resolve(options), { code: 'RT_ERR_OPTIONS', message: `fastify-realtime: option '${option}' is ${value}. It must be ${expectation}` })
  }
  const covered = new Set(wrong.map(([, option]) => option))
  t.strictSame(optionNames().filter(option => !covered.has(option)), ['broker'], 'every option has a wrong value here, except broker, which is among the contradictions')
})

t.test('options that contradict each other are refused with the cure', async t => {
  const cases: Array<[options: object, message: RegExp]> = [
    [{ insecure: true, authenticate }, /'insecure' .* Remove one of them/],
    [{ authorize: () => true }, /'authorize' .* Pass 'authenticate' too/],
    [{ heartbeat: { interval: 1_000, timeout: 1_000 } }, /'heartbeat\.timeout' must be shorter/],
    [{ heartbeat: { interval: 9_999 } }, /'heartbeat\.timeout' must be shorter/],
    [{ limits: { rate: 41 } }, /'limits\.burst' must be at least/],
    [{ limits: { burst: 19 } }, /'limits\.burst' must be at least/],
    [{ limits: { userRate: 19 } }, /'limits\.userRate' must be at least 'limits\.rate'/],
    [{ limits: { rate: 101, burst: 101, userRate: 100 } }, /'limits\.userRate' must be at least 'limits\.rate'/],
    [{ limits: { userBurst: 39 } }, /'limits\.userBurst' must be at least 'limits\.burst'/],
    [{ history: { bytes: 1024 * 1024 - 1 } }, /'limits\.message' must not be more than 'history\.bytes'/],
    [{ limits: { channels: 401 } }, /'limits\.channelsPerUser' must be at least 'limits\.channels'/],
    [{ answers: { order: Type.Null() } }, /'answers\.order': .* Add 'onMessage\.order'/],
    [{ channels: { chat: { authorize: () => true } } }, /'chat' in 'channels' is reserved/],
    [{ onMessage: { ping () {} } }, /'onMessage\.ping'/],
    ...['subscribe', 'unsubscribe', 'presence'].map((type): [object, RegExp] => [{ onMessage: { [type] () {} } }, new RegExp(`'onMessage\\.${type}': .* Choose another`)]),
    [{ renew: () => null }, /'renew' .* Pass 'authenticate' too/],
    [{ renew: () => null, insecure: true }, /'renew' .* Pass 'authenticate' too/],
    [{ onMessage: { renew () {} } }, /'onMessage\.renew': .* option 'renew'/],
    [{ authenticate, renew: () => null, onMessage: { renew () {} } }, /'onMessage\.renew'/],
    [{ onMessage: { chat_message () {} }, chat: { onMessage () {} } }, /'chat\.onMessage' and 'onMessage\.chat_message' .* Remove one/],
    [{ broker: {} }, /'broker' must be a broker/],
    [{ broker: 'redis' }, /'broker' must be a broker/],
    [{ broker: { publish: true } }, /'broker' must be a broker/]
  ]
  for (const [options, message] of cases) t.throws(() => resolve(options), { code: 'RT_ERR_OPTIONS', message })
})

t.test('the default rate of a user is at least the rate of one connection', async t => {
  const limitsOf = (limits: object) => (({ userRate, userBurst }) => [userRate, userBurst])(resolve({ limits }).limits)
  t.strictSame(limitsOf({ rate: 50, burst: 199 }), [100, 200])
  t.strictSame(limitsOf({ rate: 500, burst: 1_000 }), [500, 1_000])
  t.strictSame(limitsOf({ rate: 500, burst: 1_000, userRate: 600, userBurst: 1_500 }), [600, 1_500])
  t.strictSame(limitsOf({ userRate: 20, userBurst: 40 }), [20, 40])
})

t.test('an onMessage handler for a type that chats handle is refused', async t => {
  for (const type of ['chat_cancel', 'input_response', 'chat_history']) {
    const app = Fastify()
    await t.rejects(async () => { await app.register(realtime, { onMessage: { [type] () {} } }) }, {
      code: 'RT_ERR_OPTIONS',
      message: new RegExp(`'onMessage\\.${type}'.* Choose another`)
    })
  }
})

t.test('options at the edge of a contradiction are accepted', async t => {
  t.doesNotThrow(() => resolve({ insecure: true }))
  t.doesNotThrow(() => resolve({ authenticate, authorize: () => true }))
  t.doesNotThrow(() => resolve({ authenticate, renew: () => null, onMessage: { renew: undefined, renewed () {} } }))
  t.doesNotThrow(() => resolve({ heartbeat: { interval: 1_001, timeout: 1_000 } }))
  t.doesNotThrow(() => resolve({ limits: { rate: 5, burst: 5 } }))
  t.doesNotThrow(() => resolve({ limits: { channels: 400 } }))
  t.doesNotThrow(() => resolve({ answers: { order: Type.Null() }, onMessage: { order () {} } }))
  t.doesNotThrow(() => resolve({ onMessage: { chat_message () {} }, chat: { concurrency: 'replace' } }))
  t.doesNotThrow(() => resolve({ onMessage: { chat_delta () {} }, chat: { onMessage () {} } }))
  t.doesNotThrow(() => resolve({ broker: { open () {}, publish () {}, subscribe () {}, stats () {}, close () {} } }))
})

t.test('allowedOrigins accepts origins as a browser writes them, and nothing else', async t => {
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

t.test('in production authenticate is required, unless the app is insecure', async t => {
  t.throws(() => resolve({}, 'production'), { code: 'RT_ERR_AUTHENTICATE_REQUIRED', message: /'authenticate'.*'insecure: true'/ })
  t.doesNotThrow(() => resolve({ authenticate }, 'production'))
  t.doesNotThrow(() => resolve({ insecure: true }, 'production'))
  for (const env of ['development', 'test', '', 'Production']) t.doesNotThrow(() => resolve({}, env), env)
  t.throws(() => resolve({ limits: { rate: 0 } }, 'production'), { code: 'RT_ERR_OPTIONS' }, 'other errors take precedence')
})

t.test('NODE_ENV determines whether the app is in production', async t => {
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
