import { runInNewContext } from 'node:vm'
import t from 'tap'
import type { Authenticate, Identity } from '../../../lib/index.js'
import { expiry, identityOf, renewalFault } from '../../../lib/server/access/identity.js'
import { outcome, start } from '../../harness.js'
import { logSink } from '../../log-sink.js'

const now = Date.now()
const seconds = Math.floor(now / 1000) + 3_600
const { proxy: revoked, revoke } = Proxy.revocable({}, {})
revoke()
const throwing = new Proxy({}, { get () { throw new Error('of the trap') } })
const rejecting = () => Promise.reject(new Error('of the promise'))
const secret = 's3cr3t value'

/** Wrong results of a hook. The error contains `came`, a description of the result, and `cure`. */
const wrong: Array<[name: string, returned: () => unknown, came: RegExp, cure: RegExp]> = [
  ['false', () => false, /returned false/, /null if no user is authenticated/],
  ['true', () => true, /returned true/, /return { userId }/],
  ['a string', () => secret, /returned a string/, /return { userId }/],
  ['an empty string', () => '', /returned a string/, /null if no user is authenticated/],
  ['a number', () => 5, /returned 5/, /return { userId }/],
  ['0', () => 0, /returned 0/, /null if no user is authenticated/],
  ['a bigint', () => 5n, /returned 5n/, /return { userId }/],
  ['a symbol', () => Symbol(secret), /returned a symbol/, /return { userId }/],
  ['a function', () => () => secret, /returned a function/, /return { userId }/],
  ['an array', () => [{ userId: secret }], /returned an array/, /return { userId }/],
  ['an empty object', () => ({}), /without a userId/, /null when the credential names no user/],
  ['the claims of a JWT', () => ({ sub: secret }), /without a userId/, /return { userId }/],
  ['a userId of 5', () => ({ userId: 5 }), /returned { userId: 5 }/, /write String\(id\)/],
  ['a userId of NaN', () => ({ userId: NaN }), /returned { userId: NaN }/, /write String\(id\)/],
  ['a bigint as userId', () => ({ userId: 12n }), /returned { userId: 12n }/, /write String\(id\)/],
  ['an object as userId', () => ({ userId: { toString: () => secret } }), /returned { userId: an object }/, /write String\(id\)/],
  ['a String object', () => ({ userId: Object('ada') }), /returned { userId: an object }/, /write String\(id\)/],
  ['an array as userId', () => ({ userId: [secret] }), /returned { userId: an array }/, /write String\(id\)/],
  ['null as userId', () => ({ userId: null }), /returned { userId: null }/, /null if no user is authenticated/],
  ['undefined as userId', () => ({ userId: undefined }), /without a userId/, /null when the credential names no user/],
  ['false as userId', () => ({ userId: false }), /returned { userId: false }/, /null if no user is authenticated/],
  ['a promise as userId', () => ({ userId: Promise.resolve('ada') }), /{ userId: a promise }/, /await it/],
  ['a rejecting promise as userId', () => ({ userId: rejecting() }), /{ userId: a promise }/, /await it/],
  ["'' as userId", () => ({ userId: '' }), /returned { userId: '' }/, /null if no user is authenticated/],
  ['a userId with a space', () => ({ userId: secret }), /a userId that is not an id/, /1 to 128 characters, letters, digits/],
  ['a userId with a slash', () => ({ userId: 'a/b' }), /a userId that is not an id/, /encode it/],
  ['a userId with a line break', () => ({ userId: 'ada\n' }), /a userId that is not an id/, /encode it/],
  ['a userId that is too long', () => ({ userId: 'x'.repeat(129) }), /a userId that is not an id/, /1 to 128/],
  ['a revoked Proxy', () => revoked, /cannot be read/, /plain { userId }/],
  ['a Proxy that throws', () => throwing, /cannot be read/, /plain { userId }/],
  ['a getter that throws', () => ({ get userId () { throw new Error(secret) } }), /cannot be read/, /plain { userId }/],
  ['a JWT without exp, times 1000', () => ({ userId: 'ada', expiresAt: Number(undefined) * 1000 }), /expiresAt: NaN/, /an 'exp'\? .*leave it out/],
  ['a JWT without exp, as a Date', () => ({ userId: 'ada', expiresAt: new Date(Number(undefined) * 1000) }), /expiresAt: an invalid Date/, /an 'exp'\? .*leave it out/],
  ['exp in seconds', () => ({ userId: 'ada', expiresAt: seconds }), new RegExp(`expiresAt: ${seconds} }`), /in seconds: write exp \* 1000/],
  ['exp in seconds as a Date', () => ({ userId: 'ada', expiresAt: new Date(seconds) }), /expiresAt: the Date 1970-/, /in seconds: write new Date\(exp \* 1000\)/],
  ['a lifetime as expiresAt', () => ({ userId: 'ada', expiresAt: 3_600_000 }), /expiresAt: 3600000 }/, /milliseconds since 1970/],
  ['null as expiresAt', () => ({ userId: 'ada', expiresAt: null }), /expiresAt: null/, /leave it out/],
  ['a string as expiresAt', () => ({ userId: 'ada', expiresAt: secret }), /expiresAt: a string/, /a Date or milliseconds/],
  ['true as expiresAt', () => ({ userId: 'ada', expiresAt: true }), /expiresAt: true/, /a Date or milliseconds/],
  ['an object as expiresAt', () => ({ userId: 'ada', expiresAt: {} }), /expiresAt: an object/, /a Date or milliseconds/],
  ['a rejecting promise as expiresAt', () => ({ userId: 'ada', expiresAt: rejecting() }), /expiresAt: a promise/, /await it/],
  ['an expiresAt that throws', () => ({ userId: 'ada', expiresAt: { valueOf () { throw new Error(secret) } } }), /cannot be read/, /plain { userId }/]
]

for (const hook of ['authenticate', 'renew'] as const) {
  for (const [name, returned, came, cure] of wrong) {
    t.test(`${hook} returned ${name}: the error names the result and the cure, and contains no secret`, async t => {
      let message = ''
      try {
        await identityOf(hook, returned())
      } catch (error) {
        message = (error as Error).message
      }
      t.match(message, new RegExp(`^'${hook}' returned `))
      t.match(message, came)
      t.match(message, cure)
      t.notMatch(message, secret)
    })
  }
}

t.test('a wrong result of authenticate closes the connection with 4401, and is logged at error', async t => {
  for (const [name, returned, came, cure] of wrong) {
    const { lines, options } = logSink()
    const { app, url } = await start(t, { authenticate: (() => returned()) as Authenticate }, { logger: options })
    t.equal(await outcome(`${url}/ws/notifications/ada`), 4401, name)
    const logged = lines.map(line => JSON.parse(line)).filter(({ reason }) => reason === 'invalid_identity')
    t.match(logged, [{ level: 50, code: 4401, userId: 'ada', remoteAddress: '127.0.0.1', msg: came }])
    t.match(logged[0].msg, cure)
    t.notMatch(lines.join(''), secret)
    await app.close()
  }
})

t.test('identityOf() returns a valid identity itself, with the properties that the app adds', async t => {
  class User {
    readonly userId = 'ada'
    readonly #role = 'admin'
    role () { return this.#role }
  }
  const identities: object[] = [
    { userId: 'ada' }, { userId: 'ada', expiresAt: now }, { userId: 'ada', expiresAt: new Date(now) }, { userId: 'ada', expiresAt: Infinity },
    { userId: 'ada', expiresAt: undefined }, { userId: 'ada', expiresAt: new Date(0) }, { userId: 'ada', expiresAt: 0 }, { userId: 'ada', expiresAt: -1 },
    { userId: 'ada', expiresAt: Number.MAX_SAFE_INTEGER }, { userId: 'ada', expiresAt: runInNewContext('new Date()') },
    { userId: 'ada', expiresAt: { valueOf: () => now } }, Object.freeze({ userId: 'auth0|5f7c' }), Object.assign(Object.create(null), { userId: 'ada@example.com' }),
    new User(), new Proxy({ userId: 'ada' }, {})
  ]
  for (const identity of identities) {
    t.equal(await identityOf('authenticate', identity), identity)
    t.equal(await identityOf('renew', Promise.resolve(identity)), identity)
  }
  t.equal(await identityOf('authenticate', null), undefined)
  t.equal(await identityOf('renew', Promise.resolve()), undefined)
  await t.rejects(async () => { await identityOf('renew', Promise.reject(new Error('of the hook'))) }, { message: 'of the hook' })
})

t.test('a promise that the app adds to an identity does not end the process when it rejects', async t => {
  const identity = { userId: 'ada', role: rejecting() }
  t.equal(await identityOf('authenticate', identity), identity)
  await t.rejects(identity.role, { message: 'of the promise' }, 'code that awaits the promise gets the rejection')
})

t.test('an identity expires at its expiresAt, or never if it has none', async t => {
  t.equal(expiry({ userId: 'ada' }), Infinity)
  t.equal(expiry({ userId: 'ada', expiresAt: new Date(5) }), 5)
  t.equal(expiry({ userId: 'ada', expiresAt: now }), now)
})

t.test('a renewal must be for the same user, with a credential that has not expired', async t => {
  const identity: Identity = { userId: 'ada', expiresAt: now + 60_000 }
  t.equal(renewalFault(identity, 'ada'), undefined)
  t.match(renewalFault(identity, 'bob'), /another user/)
  t.match(renewalFault({ userId: 'ada', expiresAt: now - 1 }, 'ada'), /has passed/)
  t.match(renewalFault(undefined, 'ada'), /null or undefined/)
})
