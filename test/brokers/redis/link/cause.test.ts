import { inspect } from 'node:util'
import t from 'tap'
import { causeOf, isCause } from '../../../../lib/brokers/redis/link/cause.js'

/** Code of the cause, then message and code of the error, as Redis 7 and 8, Node.js, OpenSSL and ioredis write them. */
const said: Array<[string, string, string?]> = [
  ['WRONGPASS', 'WRONGPASS invalid username-password pair or user is disabled.'],
  ['NOAUTH', 'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used'],
  ['NOAUTH', 'NOAUTH Authentication required.'],
  ['NOPERM_CHANNEL', 'NOPERM this user has no permissions to access one of the channels used as arguments'],
  ['NOPERM_CHANNEL', "ERR The user executing the script can't publish to the channel mentioned in the command"],
  ['NOPERM_CHANNEL', 'NOPERM No permissions to access a channel'],
  ['NOPERM_KEY', 'NOPERM this user has no permissions to access one of the keys used as arguments'],
  ['NOPERM_KEY', "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments"],
  ['NOPERM_KEY', 'NOPERM No permissions to access a key'],
  ['NOPERM_COMMAND', "NOPERM this user has no permissions to run the 'evalsha' command"],
  ['NOPERM_COMMAND', "NOPERM User app has no permissions to run the 'evalsha' command"],
  ['NOPERM_COMMAND', "XADD: ERR The user executing the script can't run this command or subcommand"],
  ['UNKNOWN_COMMAND', "ERR unknown command 'evalsha', with args beginning with: 'a' 'b' "],
  ['UNKNOWN_COMMAND', 'ERR Unknown Redis command called from script'],
  ['DATABASE', 'ERR DB index is out of range'],
  ['DENIED', 'DENIED Redis is running in protected mode because protected mode is enabled'],
  ['MAXCLIENTS', 'ERR max number of clients reached'],
  ['TLS_EXPECTED', 'Redis answers with TLS', 'TLS_EXPECTED'],
  ['TLS_UNEXPECTED', 'Redis answers without TLS', 'TLS_UNEXPECTED'],
  ['TLS_UNEXPECTED', '80BC504BE17F0000:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../deps', 'ERR_SSL_WRONG_VERSION_NUMBER'],
  ['CLIENT_CERTIFICATE', 'error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../deps', 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'],
  ['CERTIFICATE', 'self-signed certificate', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['CERTIFICATE', 'certificate has expired', 'CERT_HAS_EXPIRED'],
  ['CERTIFICATE', 'unable to verify the first certificate', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ['CERTIFICATE', "Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list", 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ['TLS', 'error:0A000102:SSL routines::unsupported protocol', 'ERR_SSL_UNSUPPORTED_PROTOCOL'],
  ['NOT_REDIS', 'Unknown RESP type 72 "H". Please report this.'],
  ['ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:6379', 'ECONNREFUSED'],
  ['ENOTFOUND', 'getaddrinfo ENOTFOUND redis.invalid', 'ENOTFOUND'],
  ['ENOTFOUND', 'getaddrinfo EAI_AGAIN redis', 'EAI_AGAIN'],
  ['UNREACHABLE', 'connect ETIMEDOUT', 'ETIMEDOUT'],
  ['UNREACHABLE', 'connect EHOSTUNREACH 10.0.0.1:6379', 'EHOSTUNREACH'],
  ['SOCKET_FILE', 'connect ENOENT /tmp/redis.sock', 'ENOENT'],
  ['NO_MASTER', 'connected to sentinel 127.0.0.1:1 successfully, but got an invalid reply: null'],
  ['ECONNREFUSED', 'failed to connect to sentinel 127.0.0.1:1 because connect ECONNREFUSED 127.0.0.1:1'],
  ['READONLY', "READONLY You can't write against a read only replica."],
  ['MISCONF', 'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist on disk.'],
  ['OOM', "OOM command not allowed when used memory > 'maxmemory'."],
  ['LOADING', 'LOADING Redis is loading the dataset in memory'],
  ['MASTERDOWN', "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."],
  ['CLUSTERDOWN', 'CLUSTERDOWN The cluster is down'],
  ['CLUSTERDOWN', 'Failed to refresh slots cache.'],
  ['CLUSTERDOWN', 'Too many Cluster redirections. Last error: ReplyError: MOVED 3999 127.0.0.1:6381'],
  ['CLUSTER', 'MOVED 3999 127.0.0.1:6381'],
  ['NOT_CLUSTER', 'ERR This instance has cluster support disabled'],
  ['NOREPLICAS', 'NOREPLICAS Not enough good replicas to write.'],
  ['BUSY', 'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.'],
  ['WRONGTYPE', 'WRONGTYPE Operation against a key holding the wrong kind of value'],
  ['NO_ANSWER', "Socket timeout. Expecting data, but didn't receive any in 4000ms."],
  ['CLOSED', 'write EPIPE', 'EPIPE'],
  ['CLOSED', 'read ECONNRESET', 'ECONNRESET'],
  ['CLOSED', 'Client network socket disconnected before secure TLS connection was established', 'ECONNRESET']
]

t.test('each cause has a code, keeps the message of the error, and names a cure', async t => {
  for (const [name, message, code] of said) {
    const cause = causeOf(Object.assign(new Error(message), code === undefined ? {} : { code }))
    t.equal(cause.code, name, message)
    t.ok(cause.text.length > cause.error.message.length + 10, cause.text)
    t.ok(cause.text.startsWith(cause.error.message))
    t.equal(cause.isVague, name === 'CLOSED')
  }
})

t.test('only causes that waiting does not cure are faults of the setup', async t => {
  const causes = said.map(([, message, code]) => causeOf(Object.assign(new Error(message), { code })))
  const setup = new Set(causes.filter(({ isSetup }) => isSetup).map(({ code }) => code))
  t.strictSame([...setup].sort(), [
    'CERTIFICATE', 'CLIENT_CERTIFICATE', 'CLUSTER', 'DATABASE', 'DENIED', 'NOAUTH', 'NOPERM_CHANNEL', 'NOPERM_COMMAND', 'NOPERM_KEY',
    'NOT_CLUSTER', 'TLS', 'TLS_EXPECTED', 'TLS_UNEXPECTED', 'UNKNOWN_COMMAND', 'WRONGPASS'
  ])
})

t.test('the cure of a missing permission contains the prefix', async t => {
  t.match(causeOf(new Error('NOPERM No permissions to access a key'), 'shop:').text, 'ACL SETUSER <user> ~shop:*')
  t.match(causeOf(new Error('NOPERM No permissions to access a channel'), 'shop:').text, 'ACL SETUSER <user> &shop:*')
})

t.test('the error of a cause contains no password and no payload', async t => {
  const errors = [
    Object.assign(new Error('WRONGPASS invalid username-password pair or user is disabled.'), { command: { name: 'hello', args: ['3', 'AUTH', 'app', 's3cr3t'] } }),
    Object.assign(new Error('OOM command not allowed'), { command: { name: 'evalsha', args: ['s3cr3t'] } }),
    new Error("ERR unknown command 'auth', with args beginning with: 's3cr3t' "),
    Object.assign(new TypeError('Invalid URL'), { input: 'redis://:s3cr3t@x:y', code: 'ERR_INVALID_URL' }),
    Object.assign(new Error('x'), { lastNodeError: Object.assign(new Error('y'), { command: { args: ['s3cr3t'] } }) }),
    Object.assign(new Error('z', { cause: 's3cr3t' }))
  ]
  for (const error of errors) t.notMatch(inspect(causeOf(error), { depth: 10, showHidden: true }), 's3cr3t', error.message)
})

t.test('the error of a cause keeps the system call, the address and the port', async t => {
  const fields = { code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1', port: 1 }
  t.match(causeOf(Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), fields)).error, fields)
})

t.test('the cause of a host name with several addresses contains the error of each address', async t => {
  const both = new AggregateError([new Error('connect ECONNREFUSED ::1:1'), new Error('connect ECONNREFUSED 127.0.0.1:1')], '')
  const { code, text } = causeOf(Object.assign(both, { code: 'ECONNREFUSED' }))
  t.equal(code, 'ECONNREFUSED')
  t.match(text, 'connect ECONNREFUSED ::1:1, connect ECONNREFUSED 127.0.0.1:1')
})

t.test('the message of a cause ends where the error begins to repeat what does not help', async t => {
  const sha = 'a'.repeat(40)
  for (const [message, expected] of [
    [`OOM command not allowed when used memory > 'maxmemory'. script: ${sha}, on @user_script:5.`, "OOM command not allowed when used memory > 'maxmemory'"],
    ["ERR unknown command 'evalsha', with args beginning with: 'a' \n'b' ", "ERR unknown command 'evalsha'"],
    ['NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used', 'NOAUTH HELLO must be called with the client already authenticated'],
    ['Unknown RESP type 72 "H". Please report this.', 'Unknown RESP type 72 "H"'],
    ["Socket timeout. Expecting data, but didn't receive any in 4000ms.", 'Redis does not answer']
  ]) t.equal(causeOf(new Error(message)).message, expected)
  const ofTls = (fields: object) => causeOf(Object.assign(new Error('80BC504BE17F0000:error:0A00010B:SSL routines:wrong version number:../deps'), fields)).message
  t.equal(ofTls({ code: 'ERR_SSL_WRONG_VERSION_NUMBER', reason: 'wrong version number' }), 'wrong version number')
  t.match(ofTls({ code: 'ERR_SSL_WRONG_VERSION_NUMBER' }), /^80BC/)
  t.match(ofTls({ code: 'OTHER', reason: 'wrong version number' }), /^80BC/)
  t.equal(causeOf(new AggregateError([new Error('of one address')], 'of all addresses')).message, 'of all addresses')
})

t.test('unknown errors have the same code if their messages differ only in numbers', async t => {
  const [a, b, c] = ['no luck after 12 ms', 'no luck after 340 ms', 'no power'].map(message => causeOf(new Error(message)))
  t.equal(a.code, b.code)
  t.not(a.code, c.code)
  t.equal(a.text, 'no luck after 12 ms')
  t.equal(causeOf(new Error('x'.repeat(90))).code, causeOf(new Error(`${'x'.repeat(80)} at another end`)).code, 'long messages are compared by their beginning')
  for (const thrown of ['text', undefined, null, 5, {}]) t.type(causeOf(thrown).text, 'string')
})

t.test('an error about a missing connection is not a cause', async t => {
  const messages = [
    'Connection is closed.', "Stream isn't writeable and enableOfflineQueue options is false", 'Command aborted due to connection close',
    'Reached the max retries per request limit (which is 0).', "Cluster isn't ready and enableOfflineQueue options is false"
  ]
  for (const message of messages) {
    t.equal(isCause(new Error(message)), false, message)
  }
  t.equal(isCause(new Error('NOPERM')), true)
})
